"""Hold, call, settle: whatever happens to the call, the ledger has the truth about it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.inprocess import Recorder, channel, of_service, served, someone
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1 import ledger_service_pb2 as pb
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.ledger.v1.ledger_service_pb2_grpc import (
    LedgerServiceServicer,
    LedgerServiceStub,
    add_LedgerServiceServicer_to_server,
)
from waybill.metering import Meter, Purchase
from waybill.runtime import identity, semconv
from waybill.runtime.errors import InvalidRequest, Precondition, Unavailable, VendorContract
from waybill.runtime.server import Service

PURCHASE = Purchase("embed:s:1", "embed", "openai", "m", "token", 10, CostKind.COST_KIND_SIMULATED)


class FakeLedger(LedgerServiceServicer):
    """Notes what it is told; refuses the first calls where it is told to."""

    def __init__(
        self, *, away: int = 0, hold_error: Exception | None = None, answer: asyncio.Event | None = None
    ) -> None:
        self.said: list[str] = []
        self.away = away
        self.hold_error = hold_error
        self.asked = asyncio.Event()
        self.answer = answer

    async def Hold(self, request: pb.HoldRequest, context: Any) -> pb.HoldResponse:  # noqa: N802
        if self.hold_error:
            raise self.hold_error
        self.said.append(f"hold {request.quantity}")
        self.asked.set()
        if self.answer:
            await self.answer.wait()
        return pb.HoldResponse(entry=Entry(entry_id=request.entry_id, attempt=1))

    async def Settle(self, request: pb.SettleRequest, context: Any) -> pb.SettleResponse:  # noqa: N802
        if self.away:
            self.away -= 1
            raise Unavailable("RESTARTING", "Repeat.")
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
    rpcs = [(add_LedgerServiceServicer_to_server, ledger, "waybill.ledger.v1.LedgerService")]
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
        (InvalidRequest("TOO_LONG", "m"), "release TOO_LONG"),
        (Precondition("NO_MODEL", "m"), "release NO_MODEL"),
        (Unavailable("RESET", "m"), "doubt_reason RESET"),
        (VendorContract("GARBAGE", "m"), "doubt_reason GARBAGE"),
        (TimeoutError(), "doubt_reason TimeoutError"),
    ],
)
async def test_a_refusal_releases_and_anything_else_is_in_doubt(error: Exception, said: str) -> None:
    ledger = FakeLedger()
    async with metered(ledger) as meter:
        with pytest.raises(type(error)):
            async with meter.attempt(PURCHASE):
                raise error
    assert ledger.said == ["hold 10", said]


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


async def test_a_settlement_waits_for_a_ledger_that_restarts() -> None:
    ledger = FakeLedger(away=3)
    async with metered(ledger) as meter, meter.attempt(PURCHASE) as attempt:
        attempt.settle(10)
    assert ledger.said == ["hold 10", "quantity 10"]


async def test_no_call_is_made_without_a_hold() -> None:
    ledger, called = FakeLedger(hold_error=Precondition("PRICE_UNKNOWN", "m")), []
    async with metered(ledger) as meter:
        with pytest.raises(Precondition):
            async with meter.attempt(PURCHASE):
                called.append(True)
    assert not called
    assert not ledger.said
