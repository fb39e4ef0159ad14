"""What must hold once all that a vendor's absence left is healed; each check names what does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.pipeline.books import Books, spent
from tests.pipeline.hybrid import Hybrid
from tests.pipeline.test_kill import check_whole
from tests.pipeline.test_simulated_parser import made
from tests.soak.outage_plan import Outage
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.orchestrator.v1.orchestrator_service_pb2 import GetTraceRequest, SearchResponse
from waybill.orchestrator.v1.plan_pb2 import PlanLine
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.sim.journal import Entry as Line
from waybill.vendors.registry import LLAMAPARSE, OPENAI

# Of versions that nobody sees any more, too.
SPACES = """
select s.model, count(*) from waybill_index.vectors v join waybill_index.spaces s using (space_id)
where v.tenant = %s group by s.model
"""
# What a kill of the orchestrator may have the embedder buy again: what was in flight.
MOST_REPEATED = 8


@dataclass(frozen=True)
class Whole:
    """What a run that nobody disturbs makes of a document.

    Attributes:
        chunks: With their vectors, as `Workbench.indexed` has them.
        backends: By service.
        parse_nano_usd: What its pages cost.
        embed_nano_usd: What its vectors cost.
    """

    chunks: Sequence[Mapping[str, Any]]
    backends: Mapping[str, str]
    parse_nano_usd: int
    embed_nano_usd: int


@dataclass(frozen=True)
class First:
    """How a run ended for the first time.

    Attributes:
        chunk_ids: That were published then.
        nano_usd: What embedding all of them costs.
    """

    run: Run
    chunk_ids: Sequence[str]
    nano_usd: int

    @property
    def parsed_locally(self) -> bool:
        """The vendor's pages came later, and made another version."""
        return self.run.reason == "PARSED_LOCALLY"


@dataclass(frozen=True)
class Played:
    """An outage that is over.

    Attributes:
        runs: By document.
        firsts: By document.
        found: By a question while the vendors were away; None: nobody asked.
        plans: Of each document, as it is configured, before anything happened.
        lines: The vendors' journals of it.
    """

    hybrid: Hybrid
    outage: Outage
    books: Books
    runs: Mapping[str, str]
    firsts: Mapping[str, First]
    found: SearchResponse | None
    plans: Mapping[str, PlanLine]
    lines: Callable[[str], Sequence[Line]]


def backends_of(run: Run) -> dict[str, str]:
    """Who did the work, by service."""
    return {choice.service: choice.backend for choice in run.backends}


def bought(entries: Sequence[Entry], operation: str) -> int:
    """What is owed for it without any doubt, nano-USD."""
    done = [one for one in entries if one.operation == operation and one.state == Entry.STATE_SETTLED]
    return sum(map(spent, done))


class Checks:
    """Looks at what an outage has left; make a new one to look again."""

    def __init__(self, played: Played, wholes: Mapping[str, Whole]) -> None:
        self._played, self._wholes = played, wholes
        self._hybrid, self._bench = played.hybrid, played.hybrid.bench
        self._runs = {name: self._hybrid.run(run_id) for name, run_id in played.runs.items()}
        self._entries = {name: self._bench.entries(run_id) for name, run_id in played.runs.items()}

    def broken(self) -> list[str]:
        """Everything that does not hold now."""
        checks = (
            self._states,
            self._chunks,
            self._ids,
            self._spaces,
            self._search,
            self._bill,
            self._twice,
            self._traces,
        )
        return [complaint for check in checks for complaint in check()]

    def _states(self) -> Iterator[str]:
        for name, run in self._runs.items():
            if (run.state, run.reason, run.message) != (Run.STATE_READY, "", ""):
                yield f"{name} is {Run.State.Name(run.state)}: {run.reason} {run.message}"
            if backends_of(run) != self._wholes[name].backends:
                yield f"{name} was done by {backends_of(run)}, and not {self._wholes[name].backends}"

    def _chunks(self) -> Iterator[str]:
        """Text, place and vector of each chunk are those of a run that nobody disturbed."""
        rows = self._bench.indexed()
        for name in self._runs:
            mine = [row for row in rows if row["document_key"] == name]
            if mine != self._wholes[name].chunks:
                yield f"{name}: {len(mine)} chunks are not those of a run without faults"

    def _ids(self) -> Iterator[str]:
        for name, first in self._played.firsts.items():
            now = self._hybrid.chunks(self._runs[name])
            if first.parsed_locally:
                if set(now) & set(first.chunk_ids):
                    yield f"{name} was parsed by the vendor, and has chunks of the version before"
            elif now != first.chunk_ids:
                yield f"{name} has other chunk ids than before it was healed"

    def _spaces(self) -> Iterator[str]:
        models = {row["model"] for row in self._bench.rows(SPACES, self._bench.tenant)}
        if len(models) > 1:
            yield f"vectors of two spaces: {models}"

    def _search(self) -> Iterator[str]:
        """A question asked without the embedder's vendor says so, and how much has no vector."""
        found = self._played.found
        if found is None:
            return
        pending = [first for first in self._played.firsts.values() if first.run.reason == "VECTORS_PENDING"]
        if not found.without_vector:
            yield "a question had a vector though the embedder's vendor was away"
        if pending and found.coverage.vectors >= found.coverage.chunks:
            yield f"chunks had no vector, and a search said {found.coverage}"

    def _bill(self) -> Iterator[str]:
        """The vendors' invoices, and each run's plan."""
        every = [entry for entries in self._entries.values() for entry in entries]
        yield from self._played.books.broken(every, list(self._runs.values()))
        doubts = [entry.spend_key for entry in every if entry.state == Entry.STATE_IN_DOUBT]
        if doubts and not self._played.outage.loses_replies:
            yield f"no reply was lost, and yet there are doubts: {doubts}"
        for name in self._runs:
            yield from self._run_bill(name)

    def _run_bill(self, name: str) -> Iterator[str]:
        whole, first, plan = self._wholes[name], self._played.firsts[name], self._played.plans[name]
        parse, embed = bought(self._entries[name], "parse"), bought(self._entries[name], "embed")
        if parse != whole.parse_nano_usd:
            yield f"{name}: parsed for {parse}, and without faults for {whole.parse_nano_usd}"
        most = whole.embed_nano_usd + (first.nano_usd if first.parsed_locally else 0)
        again = self._played.outage.killed == "orchestrator"
        if embed < whole.embed_nano_usd or (embed > most and not again):
            yield f"{name}: embedded for {embed}, and without faults for {whole.embed_nano_usd}, most {most}"
        if plan.exact and not (first.parsed_locally or again):
            planned = plan.parse_nano_usd + plan.embed_nano_usd
            if parse + embed != planned:
                yield f"{name}: planned {planned}, spent {parse + embed}"

    def _twice(self) -> Iterator[str]:
        """Nothing is paid twice."""
        for name, entries in self._entries.items():
            settled = Counter(
                (entry.vendor, entry.spend_key) for entry in entries if entry.state == Entry.STATE_SETTLED
            )
            repeats = {key: count for key, count in settled.items() if count > 1}
            again = MOST_REPEATED if self._played.outage.killed == "orchestrator" else 0
            if any(vendor == LLAMAPARSE.name for vendor, _ in repeats):
                yield f"{name}: a parse was paid twice: {repeats}"
            if sum(repeats.values()) - len(repeats) > again:
                yield f"{name}: paid again: {repeats}"
        pages = [name for name in self._runs if self._wholes[name].parse_nano_usd]
        begun = made(self._played.lines(LLAMAPARSE.name))
        if sorted(begun.values()) != [1] * len(pages):
            yield f"LlamaParse began {sorted(begun.values())} jobs for {len(pages)} documents"
        for vendor in (LLAMAPARSE.name, OPENAI.name):
            wrong = {line.violation for line in self._played.lines(vendor)} - {""}
            yield from (f"{vendor}: {one}" for one in wrong)

    def _traces(self) -> Iterator[str]:
        for name, run_id in self._played.runs.items():
            traces = self._bench.client.orchestrator.GetTrace(GetTraceRequest(run_id=run_id)).traces
            if len(traces) != 1:
                yield f"{name} has {len(traces)} traces"
            try:
                check_whole(self._bench, run_id)
            except (AssertionError, KeyError) as error:
                yield f"the trace of {name} is not whole: {error!r}"


def afterwards(played: Played) -> Iterator[str]:
    """What a user finds then: every chunk by its vector, and nothing to do for the same documents."""
    found, bench = played.hybrid.search(), played.hybrid.bench
    if found.without_vector or found.coverage.vectors != found.coverage.chunks:
        yield f"a search lacks something: {found.without_vector} {found.coverage}"
    again = [bench.client.ingest(bench.folder / name).run_id for name in played.runs]
    for run in map(bench.finish, again):
        if run.state != Run.STATE_UNCHANGED or bench.entries(run.run_id):
            yield f"{run.document_key} again is {Run.State.Name(run.state)}: {run.reason} {run.message}"
