"""The vendors' books beside the ledger's, and the ledger's beside themselves."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from tests.pipeline.workbench import Workbench
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.ledger.v1.ledger_service_pb2 import ReportRequest, ReportResponse
from waybill.ledger.v1.report_pb2 import Grouping
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.runtime.semconv import LOCAL
from waybill.runtime.wire import timestamp
from waybill.sim.remote import Remote

SUMS = ("used", "held", "in_doubt")
# Each window as it stands, beside what the entries that count in it add up to.
WINDOWS = """
with counted as (
    select window_id, e.state, coalesce(a.nano_usd, 0) as adjusted,
        case w.unit when 'NANO_USD' then e.expected_nano_usd when 'BYTES' then e.size_bytes else 1 end wanted,
        case w.unit when 'NANO_USD' then e.reported_nano_usd when 'BYTES' then e.size_bytes else 1 end bought,
        w.unit
    from waybill_ledger.budget_windows w
    join waybill_ledger.entries e on e.tenant = %s and w.window_id = any(e.window_ids)
    left join (
        select entry_id, sum(nano_usd) nano_usd from waybill_ledger.adjustments group by entry_id
    ) a using (entry_id)
)
select w.window_id, w.unit, w.used, w.held, w.in_doubt,
    coalesce(sum(bought) filter (where state = 'SETTLED'), 0)
        + coalesce(sum(adjusted) filter (where c.unit = 'NANO_USD'), 0) entries_used,
    coalesce(sum(wanted) filter (where state = 'HELD'), 0) entries_held,
    coalesce(sum(wanted) filter (where state = 'IN_DOUBT'), 0) entries_in_doubt
from waybill_ledger.budget_windows w left join counted c using (window_id)
where w.tenant = %s group by w.window_id
"""
OF_ONE_DAY = datetime.timedelta(days=1)


def spent(entry: Entry) -> int:
    """What is known to be owed for an attempt."""
    return entry.reported_nano_usd + entry.adjusted_nano_usd


def at_once(entry: Entry) -> bool:
    """Whether it is a synchronous embedding, of which no vendor tells what became."""
    return entry.vendor == "openai" and not entry.model.endswith(" batch")


def _settled(entry: Entry) -> int:
    return entry.quantity if entry.state == Entry.STATE_SETTLED else 0


def doubtful(entries: Sequence[Entry]) -> int:
    """What may be owed beside that."""
    return sum(entry.expected_nano_usd for entry in entries if entry.state == Entry.STATE_IN_DOUBT)


class Books:
    """What each vendor asks for from now on, held against what the ledger has of a tenant.

    Args:
        bench: The tenant's; nobody else buys meanwhile.
        vendors: By name.
        kind: Of the money; it is real wherever the stack does not know of the simulators.
    """

    def __init__(
        self,
        bench: Workbench,
        vendors: Mapping[str, Remote],
        kind: CostKind = CostKind.COST_KIND_SIMULATED,
    ) -> None:
        self._bench = bench
        self._vendors = vendors
        self._kind = kind
        self._before = {name: vendor.invoice.total_nano_usd for name, vendor in vendors.items()}
        self._seen = {name: len(vendor.journal) for name, vendor in vendors.items()}

    def invoiced(self, vendor: str) -> int:
        """Nano-USD."""
        return self._vendors[vendor].invoice.total_nano_usd - self._before[vendor]

    def broken(self, entries: Sequence[Entry], runs: Sequence[Run]) -> list[str]:
        """Everything that does not hold, once all runs have ended."""
        complaints = [
            f"{entry.spend_key} is still held" for entry in entries if entry.state == Entry.STATE_HELD
        ]
        for vendor in self._vendors:
            mine = [entry for entry in entries if entry.vendor == vendor]
            complaints += _outside(f"of {vendor}", mine, self.invoiced(vendor))
        return [*complaints, *self._calls(entries), *self._windows(), *self._parts(entries, runs)]

    def billed(self) -> dict[str, int]:
        """Tokens of each synchronous request that OpenAI charges for, by its entry's id; from its journal."""
        tokens: dict[str, int] = defaultdict(int)
        for line in self._vendors["openai"].journal[self._seen["openai"] :]:
            if line.operation == "embeddings" and line.billed_nano_usd:
                tokens[line.client_request_id] += line.tokens
        return tokens

    def _calls(self, entries: Sequence[Entry]) -> Iterator[str]:
        """Each attempt is settled for what it was billed, or in doubt."""
        billed = self.billed()
        for entry in filter(at_once, entries):
            tokens = billed.pop(entry.entry_id, 0)
            may_be = range(entry.quantity + 1) if entry.state == Entry.STATE_IN_DOUBT else [_settled(entry)]
            if tokens not in may_be:
                state = Entry.State.Name(entry.state)
                yield f"{entry.entry_id} is {state} for {_settled(entry)} tokens, and billed for {tokens}"
        yield from (f"{entry_id} was bought without a hold" for entry_id in billed)

    def _windows(self) -> Iterator[str]:
        """Budgets count what the entries say."""
        for row in self._bench.rows(WINDOWS, self._bench.tenant, self._bench.tenant):
            if any(row[name] != row[f"entries_{name}"] for name in SUMS):
                yield f"a budget counts what its entries do not say: {row}"

    def _parts(self, entries: Sequence[Entry], runs: Sequence[Run]) -> Iterator[str]:
        """The sums of the runs, and of each report's lines, are those of the entries."""
        known = sum(map(spent, entries))
        unknown = doubtful(entries)
        for run in runs:
            mine = sum(spent(entry) for entry in entries if entry.run_id == run.run_id)
            says = {
                CostKind.COST_KIND_SIMULATED: run.simulated_nano_usd,
                CostKind.COST_KIND_REAL: run.cost_nano_usd,
            }
            if says.pop(self._kind) != mine or any(says.values()):
                yield f"{run.run_id} says {run.simulated_nano_usd} + {run.cost_nano_usd}, its entries {mine}"
        for name in Grouping.keys()[1:]:
            report = self._report(name)
            lines = sum(line.settled_nano_usd + line.adjusted_nano_usd for line in report.lines)
            doubts = sum(line.in_doubt_nano_usd for line in report.lines)
            totals = [one for one in report.totals if one.kind == self._kind]
            whole = (sum(one.cost_nano_usd for one in totals), sum(one.in_doubt_nano_usd for one in totals))
            if {(lines, doubts), whole} != {(known, unknown)}:
                yield f"{name}: lines {lines}, {doubts}; totals {whole}; entries {known}, {unknown}"

    def _report(self, by: str) -> ReportResponse:
        now = datetime.datetime.now(datetime.UTC)
        request = ReportRequest(
            since=timestamp(now - OF_ONE_DAY), until=timestamp(now + OF_ONE_DAY), by=by, page_size=2_000
        )
        return self._bench.client.ledger.Report(request)


def _outside(what: str, entries: Sequence[Entry], invoiced: int) -> Iterator[str]:
    """settled ≤ invoice ≤ settled + in doubt."""
    settled = sum(map(spent, entries))
    if not settled <= invoiced <= settled + doubtful(entries):
        yield f"{what} {settled} settled, {invoiced} invoiced, {doubtful(entries)} in doubt"
    if LOCAL in {entry.vendor for entry in entries}:
        yield f"{what} nobody is paid for local work"
