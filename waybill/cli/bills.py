"""Bills as the ledger tells them: the one source of every figure that is shown."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from waybill.cli.money import Figures
from waybill.cli.objects import Shape, approval_object, priced_object, told
from waybill.cli.paging import pages
from waybill.client import Client
from waybill.ledger.v1.avoided_pb2 import Avoided, ListAvoidedRequest
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.ledger.v1.ledger_service_pb2 import ListEntriesRequest
from waybill.ledger.v1.plan_pb2 import ListPlansRequest, Plan
from waybill.orchestrator.v1.orchestrator_service_pb2 import GetRunRequest, ListRunsRequest
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.runtime.errors import NotFound

_RUNS_A_REQUEST = 200
_NOTHING = Figures()


@dataclass(frozen=True, slots=True)
class Bill:
    """What one run bought.

    Attributes:
        run: None for what was bought for no document's run: questions' vectors, and a space's fill.
        entries: Oldest first.
        figures: The ledger's own sums over them, for a run.
        plan: What was agreed to before; None where nothing was.
        work: The id under which a space was filled, or that of a run that is gone; else empty.
        avoided: What the run did not buy, since it was there.
    """

    run: Run | None
    entries: tuple[Entry, ...] = ()
    figures: Figures = _NOTHING
    plan: Plan | None = None
    work: str = ""
    avoided: tuple[Avoided, ...] = ()


def bill_object(bill: Bill) -> Shape:
    """A bill, as `bill` prints it."""
    return {
        "run_id": bill.run.run_id if bill.run else bill.work or None,
        "correlation_id": bill.run.correlation_id if bill.run else bill.entries[0].correlation_id,
        "document_key": bill.run.document_key if bill.run else None,
        "trace_id": bill.run.trace_id if bill.run else None,
        "cost_nano_usd": bill.figures.cost_nano_usd,
        "simulated_nano_usd": bill.figures.simulated_nano_usd,
        "uncertain_nano_usd": bill.figures.uncertain_nano_usd,
        "uncertain_simulated_nano_usd": bill.figures.uncertain_simulated_nano_usd,
        "plan": approval_object(bill.plan) if bill.plan else None,
        "avoided_nano_usd": sum(one.nano_usd for one in bill.avoided),
        "entries": [priced_object(entry) for entry in bill.entries],
        "avoided": [told(one) for one in bill.avoided],
    }


def bills_of_runs(client: Client, runs: Sequence[Run]) -> list[Bill]:
    """The bills of these runs, in their order."""
    bought = _Bought()
    for start in range(0, len(runs), _RUNS_A_REQUEST):
        run_ids = [run.run_id for run in runs[start : start + _RUNS_A_REQUEST]]
        bought.read(client, run_ids=run_ids)
    bought.read_plans(client, runs)
    return [bought.bill(run) for run in runs]


def bills_of(client: Client, run_or_correlation_id: str) -> list[Bill]:
    """The bill of a run, or the bills of all that has this correlation id, searches last.

    Raises:
        NotFound: Neither a run nor anything bought has the id.
    """
    run = run_or_none(client, run_or_correlation_id)
    if run is not None:
        return bills_of_runs(client, [run])
    runs = sorted(_labelled(client, run_or_correlation_id), key=lambda labelled: labelled.run_id)
    bought = _Bought()
    bought.read(client, correlation_id=run_or_correlation_id)
    bought.read_plans(client, runs)
    if not bought.entries and _is_uuid(run_or_correlation_id):
        bought.read(client, run_ids=[run_or_correlation_id])
    bills = [bought.bill(run) for run in runs]
    bills += [bought.work(run_id) for run_id in bought.others(run.run_id for run in runs)]
    if bought.entries[""]:
        bills.append(bought.bill(None))
    if not bills:
        raise NotFound(
            "RUN_NOT_FOUND", f"No run and no search of this tenant has the id {run_or_correlation_id}."
        )
    return bills


class _Bought:
    """Entries and sums by run id."""

    def __init__(self) -> None:
        self.entries: defaultdict[str, list[Entry]] = defaultdict(list)
        self._figures: dict[str, Figures] = {}
        self._plans: dict[str, Plan] = {}
        self._avoided: defaultdict[str, list[Avoided]] = defaultdict(list)

    def read(self, client: Client, run_ids: Sequence[str] = (), correlation_id: str = "") -> None:
        there = ListAvoidedRequest(run_ids=run_ids, correlation_id=correlation_id)
        for listed in pages(client.ledger.ListAvoided, there):
            for one in listed.avoided:
                self._avoided[one.run_id].append(one)
        bought = ListEntriesRequest(run_ids=run_ids, correlation_id=correlation_id)
        for answer in pages(client.ledger.ListEntries, bought):
            for entry in answer.entries:
                self.entries[entry.run_id].append(entry)
            self._figures.update({total.run_id: Figures.of(total) for total in answer.totals})

    def read_plans(self, client: Client, runs: Sequence[Run]) -> None:
        for start in range(0, len(runs), _RUNS_A_REQUEST):
            run_ids = [run.run_id for run in runs[start : start + _RUNS_A_REQUEST]]
            found = client.ledger.ListPlans(ListPlansRequest(run_ids=run_ids)).plans
            self._plans.update({plan.run_id: plan for plan in found})

    def others(self, run_ids: Iterable[str]) -> list[str]:
        """What else was bought under an id."""
        return sorted(self.entries.keys() - {"", *run_ids})

    def work(self, run_id: str) -> Bill:
        return Bill(None, tuple(self.entries[run_id]), self._figures.get(run_id, _NOTHING), work=run_id)

    def bill(self, run: Run | None) -> Bill:
        run_id = run.run_id if run else ""
        entries, avoided = tuple(self.entries[run_id]), tuple(self._avoided[run_id])
        figures = self._figures.get(run_id, _NOTHING) if run else Figures.summed(entries)
        return Bill(run, entries, figures, self._plans.get(run_id), avoided=avoided)


def _is_uuid(text: str) -> bool:
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False


def run_or_none(client: Client, run_id: str) -> Run | None:
    """The run of this id; None where there is none."""
    try:
        return client.orchestrator.GetRun(GetRunRequest(run_id=run_id)).run
    except NotFound:
        return None


def _labelled(client: Client, correlation_id: str) -> Iterator[Run]:
    request = ListRunsRequest(correlation_id=correlation_id, page_size=_RUNS_A_REQUEST)
    for answer in pages(client.orchestrator.ListRuns, request):
        yield from answer.runs
