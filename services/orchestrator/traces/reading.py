"""A run's trace, whole also after crashes: rows for root and steps, live spans, and the ledger.

Whatever was lost with a process is filled in and marked `interrupted`: a ledger entry whose span is
missing is shown from the ledger, and a span whose caller's span is missing hangs under its step.
"""

from __future__ import annotations

import dataclasses
import datetime
import time
import uuid
from collections.abc import Sequence

from google.protobuf.timestamp_pb2 import Timestamp

from services.orchestrator.peers import Peers
from services.orchestrator.runs.rows import Row, RunRef, run_not_found
from services.orchestrator.runs.step_log import StepLog
from services.orchestrator.runs.store import Runs
from services.orchestrator.traces import bills, spans
from services.orchestrator.traces import ids as trace_ids
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.orchestrator.v1.orchestrator_service_pb2 import GetTraceRequest, GetTraceResponse
from waybill.orchestrator.v1.span_pb2 import Span
from waybill.runtime.errors import InvalidRequest, NotFound
from waybill.runtime.postgres import Database
from waybill.runtime.wire import bad_page_token

# Of an answer, which then stays under 2 MiB.
MAX_TRACES, MAX_SPANS = 50, 4_000
SERVICE = "orchestrator"
# A span arrives within a fraction of this after its end; what is missing later was lost.
LATE_NANOS = 2_000_000_000
_STATUS_OF_STATE = {"READY": "OK", "UNCHANGED": "OK", "FAILED": "ERROR", "EXPIRED": "ERROR",
                    "CANCELLED": "CANCELLED", "READY_DEGRADED": "OK"}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Parts:
    """What a run's trace is put together from.

    Attributes:
        steps: Its rows of waybill_runs.steps.
        live: Its rows of waybill_runs.spans.
        entries: Its ledger entries.
    """

    steps: Sequence[Row]
    live: Sequence[Row]
    entries: Sequence[Entry]


class Traces:
    """Reads what the traces of runs are made of."""

    def __init__(self, runs: Runs, steps: StepLog, peers: Peers, database: Database) -> None:
        self._runs = runs
        self._steps = steps
        self._peers = peers
        self._database = database

    async def of(self, tenant: str, request: GetTraceRequest) -> GetTraceResponse:
        """A page of the traces of the run, or of the runs with the correlation id; oldest first.

        Raises:
            NotFound: RUN_NOT_FOUND.
            InvalidRequest: INVALID_REQUEST, PAGE_TOKEN_INVALID.
        """
        first, offset = _place(request.page_token)
        answer, room = GetTraceResponse(), MAX_SPANS
        for number, row in enumerate(await self._rows(tenant, request, first)):
            run_id = str(row["run_id"])
            if number == MAX_TRACES or not room:
                answer.next_page_token = f"{run_id}:0"
                break
            spans = assemble(row, await self.parts(row), time.time_ns())
            part = spans[offset : offset + room]
            answer.traces.add(run_id=run_id, trace_id=trace_ids.trace_id(run_id), spans=part)
            if offset + room < len(spans):
                answer.next_page_token = f"{run_id}:{offset + room}"
                break
            offset, room = 0, room - len(part)
        return answer

    async def parts(self, run: Row) -> Parts:
        """What is known of a run; its tenant is the caller."""
        tenant, run_id = run["tenant"], str(run["run_id"])
        steps = await self._steps.of_run(tenant, run_id)
        live = await spans.of_trace(self._database, tenant, trace_ids.trace_id(run_id))
        return Parts(steps, live, await bills.entries(self._peers, [run_id]))

    async def _rows(self, tenant: str, request: GetTraceRequest, first: str | None) -> list[Row]:
        if request.run_id:
            try:
                run = RunRef(tenant, str(uuid.UUID(request.run_id)))
            except ValueError:
                raise run_not_found() from None
            return [await self._runs.find(run)]
        if not request.correlation_id:
            raise InvalidRequest("INVALID_REQUEST", "Name a run_id or a correlation_id.")
        rows = await self._runs.correlated(tenant, request.correlation_id, first, MAX_TRACES + 1)
        if not rows:
            raise NotFound(
                "RUN_NOT_FOUND", "No run has this correlation id. `waybill runs` lists those there are."
            )
        return rows


def _place(page_token: str) -> tuple[str | None, int]:
    """The run that a page begins with, and how many of its spans were on the page before."""
    if not page_token:
        return None, 0
    run_id, _, offset = page_token.partition(":")
    try:
        return str(uuid.UUID(run_id)), int(f"+{offset[:9]}")
    except ValueError:
        raise bad_page_token() from None


@dataclasses.dataclass
class _Placed:
    span: Span
    step_span_id: str = ""


def assemble(run: Row, parts: Parts, now_unix_nano: int) -> list[Span]:
    """The spans of one run, the root first, then by start.

    Args:
        run: Row of waybill_runs.runs.
        parts: What is known of it.
        now_unix_nano: What has ended just now may still be on its way here, and is not called lost.
    """
    steps, live, entries = parts.steps, parts.live, parts.entries
    root = _root(run)
    by_entry = {entry.entry_id: entry for entry in entries}
    tries = {row["try"]: _try(run, row["try"], steps, root) for row in steps if row["try"] > 1}
    placed = [_Placed(root), *(_Placed(span) for span in tries.values())]
    placed += [_Placed(_step(row, tries.get(row["try"], root).span_id)) for row in steps]
    placed += [_Placed(_live(row, by_entry), row["step_span_id"]) for row in live]
    seen = {one.span.entry_id for one in placed}
    placed += [
        _Placed(_from_ledger(entry), entry.span.step_span_id)
        for entry in entries
        if entry.entry_id not in seen
    ]
    _hang(placed, root.span_id)
    for one in placed:
        span = one.span
        ended = (
            span.duration_nano > 0 and span.start_unix_nano + span.duration_nano < now_unix_nano - LATE_NANOS
        )
        span.interrupted = span.interrupted and ended
    rest = sorted((one.span for one in placed[1:]), key=lambda span: (span.start_unix_nano, span.span_id))
    return [root, *rest]


def _hang(placed: Sequence[_Placed], root_span_id: str) -> None:
    """Gives every span a parent that is there."""
    known = {one.span.span_id for one in placed}
    for one in placed[1:]:
        if one.span.parent_span_id not in known:
            one.span.parent_span_id = one.step_span_id if one.step_span_id in known else root_span_id
            one.span.interrupted = True


def _root(run: Row) -> Span:
    start = nanos(run["created_at"])
    return Span(
        span_id=trace_ids.root_span_id(str(run["run_id"])),
        service=SERVICE,
        name="ingest",
        kind="INTERNAL",
        start_unix_nano=start,
        duration_nano=nanos(run["ended_at"]) - start if run["ended_at"] else 0,
        status=_STATUS_OF_STATE.get(run["state"], "UNSET"),
    )


def _try(run: Row, number: int, steps: Sequence[Row], root: Span) -> Span:
    """The root of a later try: it covers that try's steps."""
    own = [row for row in steps if row["try"] == number]
    start = min(nanos(row["started_at"]) for row in own)
    end = max(nanos(row["ended_at"]) if row["ended_at"] else 0 for row in own)
    return Span(
        span_id=trace_ids.try_span_id(str(run["run_id"]), number),
        parent_span_id=root.span_id,
        service=SERVICE,
        name=f"try {number}",
        kind="INTERNAL",
        start_unix_nano=start,
        duration_nano=max(0, end - start),
        status=root.status,
    )


def _step(row: Row, root_span_id: str) -> Span:
    start = nanos(row["started_at"])
    return Span(
        span_id=row["span_id"],
        parent_span_id=root_span_id,
        service=SERVICE,
        name=row["name"],
        kind="INTERNAL",
        start_unix_nano=start,
        duration_nano=nanos(row["ended_at"]) - start if row["ended_at"] else 0,
        status=row["status"],
    )


def _live(row: Row, entries: dict[str, Entry]) -> Span:
    names = ("span_id", "parent_span_id", "service", "name", "kind", "start_unix_nano", "duration_nano",
             "status", "entry_id")  # fmt: skip
    span = Span(**{name: row[name] for name in names})
    if row["entry_id"] in entries:
        _price(span, entries[row["entry_id"]])
    return span


def _from_ledger(entry: Entry) -> Span:
    start = entry.hold_time.ToNanoseconds()
    span = Span(
        # Any id will do that is stable and is nobody else's.
        span_id=entry.entry_id.replace("-", "")[:16],
        parent_span_id=entry.span.parent_span_id,
        service=entry.service,
        name=f"{entry.operation} {entry.model}",
        kind="CLIENT",
        start_unix_nano=start,
        duration_nano=_end(entry.end_time) - start if entry.HasField("end_time") else 0,
        status="OK" if entry.state == Entry.STATE_SETTLED else "ERROR",
        interrupted=True,
        entry_id=entry.entry_id,
    )
    _price(span, entry)
    return span


def _price(span: Span, entry: Entry) -> None:
    """Truth for cost is the ledger, whatever the exported span says."""
    cost = entry.reported_nano_usd + entry.adjusted_nano_usd
    if entry.kind == CostKind.COST_KIND_REAL:
        span.cost_nano_usd = cost
    elif entry.kind == CostKind.COST_KIND_SIMULATED:
        span.simulated_nano_usd = cost


def _end(moment: Timestamp) -> int:
    return int(moment.ToNanoseconds())


def nanos(moment: datetime.datetime) -> int:
    """Unix nanoseconds, exact: a float of seconds would round to hundreds of nanoseconds."""
    since = moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1_000
