"""Hold, call, settle: whatever happens to the call, the ledger has the truth about it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.inprocess import Recorder, channel, of_service, served, someone
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1 import ledger_service_pb2 as pb
from waybill.ledger.v1.entry_pb2 import Entry, SpanLink
from waybill.ledger.v1.ledger_service_pb2_grpc import (
    LedgerServiceServicer,
    LedgerServiceStub,
    add_LedgerServiceServicer_to_server,
)
from waybill.metering import Meter
from waybill.purchases import Purchase
from waybill.refusals import refusals_of
from waybill.runtime import deadline, identity, semconv
from waybill.runtime.errors import (
    Deadline,
    InvalidRequest,
    Precondition,
    Quota,
    ServiceError,
    Unavailable,
    VendorContract,
)
from waybill.runtime.server import Service

OPENAI_S = {semconv.VENDOR: "openai"}
PURCHASE = Purchase("embed:s:1", "embed", "openai", "m", "token", 10, CostKind.COST_KIND_SIMULATED)


class FakeLedger(LedgerServiceServicer):
    """Notes what it is told; refuses the first calls where it is told to."""

    def __init__(
        self,
        *,
        away: int = 0,
        away_error: ServiceError | None = None,
        hold_error: Exception | None = None,
        answer: asyncio.Event | None = None,
    ) -> None:
        self.said: list[str] = []
        self.held: list[pb.HoldRequest] = []
        self.away = away
        self.away_error = away_error or Unavailable("RESTARTING", "Repeat.")
        self.hold_error = hold_error
        self.asked = asyncio.Event()
        self.answer = answer

    async def Hold(self, request: pb.HoldRequest, context: Any) -> pb.HoldResponse:  # noqa: N802
        if self.hold_error:
            raise self.hold_error
        self.said.append(f"hold {request.quantity}")
        self.held.append(request)
        self.asked.set()
        if self.answer:
            await self.answer.wait()
        return pb.HoldResponse(entry=Entry(entry_id=request.entry_id, attempt=1))

    async def Settle(self, request: pb.SettleRequest, context: Any) -> pb.SettleResponse:  # noqa: N802
        if self.away:
            self.away -= 1
            raise self.away_error
        outcome = request.WhichOneof("outcome")
        self.said.append(f"{outcome} {getattr(request, str(outcome))}")
        entry = Entry(
            entry_id=request.entry_id, quantity=request.quantity, reported_nano_usd=request.quantity * 20
        )
        return pb.SettleResponse(entry=entry)

    async def Release(self, request: pb.ReleaseRequest, context: Any) -> pb.ReleaseResponse:  # noqa: N802
        self.said.append(f"release {request.reason}")
        return pb.ReleaseResponse(entry=Entry(entry_id=request.entry_id))


@asynccontextmanager
async def metered(ledger: FakeLedger, recorder: Recorder | None = None) -> AsyncIterator[Meter]:
    recorder = recorder or Recorder()
    rpcs = [(add_LedgerServiceServicer_to_server, ledger)]
    async with served("ledger", of_service(Service(rpcs))) as address, channel(address) as opened:
        with identity.acting_as(someone()):
            yield Meter(LedgerServiceStub(opened), recorder.telemetry("embedder").tracer, "embedder")


async def test_a_call_that_reports_usage_is_settled_and_its_span_carries_entry_and_cost() -> None:
    ledger, recorder = FakeLedger(), Recorder()
    async with metered(ledger, recorder) as meter, meter.attempt(PURCHASE) as attempt:
        attempt.settle(12)
    assert ledger.said == ["hold 10", "quantity 12"]
    (span,) = recorder.exporter.get_finished_spans()
    assert span.attributes is not None
    assert span.attributes[semconv.ENTRY_ID] == attempt.entry_id
    assert span.attributes[semconv.COST_NANO_USD] == 240


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (InvalidRequest("TOO_LONG", "m", OPENAI_S), "release TOO_LONG"),
        (Precondition("NO_MODEL", "m", OPENAI_S), "release NO_MODEL"),
        (InvalidRequest("UNREADABLE", "m", {**OPENAI_S, semconv.CHARGED: "true"}), "doubt_reason UNREADABLE"),
        (Quota("DISK_FULL", "m"), "doubt_reason DISK_FULL"),
        (Quota("BUCKET_FULL", "m", {semconv.VENDOR: "supabase"}), "doubt_reason BUCKET_FULL"),
        (Unavailable("RESET", "m", OPENAI_S), "doubt_reason RESET"),
        (VendorContract("GARBAGE", "m", OPENAI_S), "doubt_reason GARBAGE"),
        (TimeoutError(), "doubt_reason TimeoutError"),
    ],
)
async def test_the_vendor_s_own_refusal_releases_and_anything_else_is_in_doubt(
    error: Exception, said: str
) -> None:
    ledger = FakeLedger()
    async with metered(ledger) as meter:
        with pytest.raises(type(error)):
            async with meter.attempt(PURCHASE):
                raise error
    assert ledger.said == ["hold 10", said]


async def test_each_call_to_a_vendor_is_a_line_of_the_log_and_a_local_engine_s_work_is_none() -> None:
    with capture_logs() as lines:
        async with metered(FakeLedger()) as meter:
            for vendor in ("openai", "local"):
                async with meter.attempt(replace(PURCHASE, vendor=vendor)) as attempt:
                    attempt.settle(9)
            with pytest.raises(Quota):
                async with meter.attempt(PURCHASE):
                    raise Quota("VENDOR_RATE_LIMITED", "Wait.", OPENAI_S)
    calls = [line for line in lines if line["event"] == "vendor call"]
    assert [line["vendor"] for line in calls] == ["openai", "openai"]
    assert len({line["entry_id"] for line in calls}) == 2


async def test_an_engine_of_our_own_refuses_as_the_vendor_whose_place_it_takes() -> None:
    ledger = FakeLedger()
    async with metered(ledger) as meter:
        with pytest.raises(InvalidRequest) as refused:
            async with meter.attempt(PURCHASE):
                with refusals_of(PURCHASE.vendor):
                    raise InvalidRequest("EMPTY", "m", {"pages": "3"})
    assert ledger.said == ["hold 10", "release EMPTY"]
    assert refused.value.metadata == {"pages": "3", **OPENAI_S}


async def test_an_answer_that_was_charged_and_then_refused_is_settled() -> None:
    ledger, invalid = FakeLedger(), VendorContract("EMBEDDING_INVALID", "m")
    async with metered(ledger) as meter:
        with pytest.raises(VendorContract, match="EMBEDDING_INVALID"):
            async with meter.attempt(PURCHASE) as attempt:
                attempt.settle(10)
                raise invalid
    assert ledger.said == ["hold 10", "quantity 10"]


async def test_a_cancelled_call_is_in_doubt_and_the_ledger_is_told_all_the_same() -> None:
    ledger, begun = FakeLedger(), asyncio.Event()
    async with metered(ledger) as meter:

        async def call() -> None:
            async with meter.attempt(PURCHASE):
                begun.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(call())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await meter.drain()
    assert ledger.said == ["hold 10", "doubt_reason CancelledError"]


async def test_a_hold_whose_caller_goes_away_is_released() -> None:
    ledger = FakeLedger(answer=asyncio.Event())
    async with metered(ledger) as meter:

        async def call() -> None:
            async with meter.attempt(PURCHASE):
                raise AssertionError("no call may be made")

        task = asyncio.create_task(call())
        await ledger.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ledger.answer
        ledger.answer.set()
        await meter.drain()
    assert ledger.said == ["hold 10", "release NOT_CALLED"]


@pytest.mark.parametrize("how", [Unavailable("RESTARTING", "Repeat."), Deadline("SILENT", "Repeat.")])
async def test_a_settlement_waits_for_a_ledger_that_restarts(how: ServiceError) -> None:
    """Also where it is away so long that single calls run into their own deadline."""
    ledger = FakeLedger(away=3, away_error=how)
    async with metered(ledger) as meter, meter.attempt(PURCHASE) as attempt:
        attempt.settle(10)
    assert ledger.said == ["hold 10", "quantity 10"]


@pytest.mark.parametrize(
    ("seconds", "reason"), [(None, "LEDGER_UNAVAILABLE"), (120.0, "LEDGER_UNAVAILABLE"), (5.0, "SILENT")]
)
async def test_a_ledger_that_is_silent_is_away_unless_the_callers_own_time_is_over(
    seconds: float | None, reason: str
) -> None:
    """A run waits for a service that is away; one whose time is over has ended."""
    async with metered(FakeLedger(hold_error=Deadline("SILENT", "Repeat."))) as meter:
        if seconds is not None:
            deadline.start(seconds)
        with pytest.raises(ServiceError) as caught:
            async with meter.attempt(PURCHASE):
                pytest.fail("nothing is bought without a hold")
    assert (caught.value.reason, isinstance(caught.value, Deadline)) == (reason, reason == "SILENT")


async def test_no_call_is_made_without_a_hold() -> None:
    ledger, called = FakeLedger(hold_error=Precondition("PRICE_UNKNOWN", "m")), []
    async with metered(ledger) as meter:
        with pytest.raises(Precondition):
            async with meter.attempt(PURCHASE):
                called.append(True)
    assert not called
    assert not ledger.said


async def test_a_hold_of_work_that_outlives_its_process_is_owned_by_the_work_and_not_let_go() -> None:
    ledger = FakeLedger(answer=asyncio.Event())
    async with metered(ledger) as meter:
        task = asyncio.create_task(meter.hold(PURCHASE, "e-1", "job-1", 3600))
        await ledger.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ledger.answer
        ledger.answer.set()
        await meter.hold(PURCHASE, "e-1", "job-1", 3600)
        await meter.drain()
    assert {(one.entry_id, one.owner, one.ttl.seconds) for one in ledger.held} == {
        ("e-1", "embedder/job-1", 3600)
    }
    assert ledger.said == ["hold 10", "hold 10"]


@pytest.mark.parametrize(
    ("state", "reported", "adjusted"),
    [
        ("STATE_SETTLED", 240, 0),
        ("STATE_SETTLED", 240, -40),
        ("STATE_RELEASED", 0, 0),
        ("STATE_RELEASED", 0, 20),
    ],
)
async def test_an_entry_that_has_ended_is_one_span_of_its_own_run_however_often_it_is_recorded(
    state: str, reported: int, adjusted: int
) -> None:
    entry = Entry(
        entry_id="0123456789abcdef-rest",
        run_id="run-1",
        state=state,
        operation="embed",
        model="m",
        quantity=12,
        unit="token",
        reported_nano_usd=reported,
        adjusted_nano_usd=adjusted,
        span=SpanLink(trace_id=f"{7:032x}", parent_span_id=f"{8:016x}", step_span_id=f"{9:016x}"),
    )
    entry.hold_time.FromSeconds(100)
    entry.end_time.FromSeconds(200)
    recorder = Recorder()
    async with metered(FakeLedger(), recorder) as meter:
        meter.record(entry)
        meter.record(entry)
    first, second = recorder.exporter.get_finished_spans()
    assert first.to_json() == second.to_json()
    assert first.context
    assert first.parent
    assert (first.context.trace_id, first.parent.span_id) == (7, 8)
    assert (first.start_time, first.end_time) == (100 * 10**9, 200 * 10**9)
    assert first.attributes
    assert first.attributes[semconv.RUN_ID] == "run-1"
    assert first.attributes[semconv.COST_NANO_USD] == reported + adjusted
    assert first.status.is_ok == (state == "STATE_SETTLED")
