"""Hold, call, settle: the one place where spending is written down.

    async with meter.attempt(purchase) as attempt:
        answer = await vendor.call(..., attempt.entry_id)
        attempt.settle(answer.quantity)

Each attempt is one ledger entry and one span. A block that ends without `settle` releases its entry only
where the vendor itself refused and charged nothing, by `refused_for_nothing`. All else leaves the entry in
doubt: a cancellation, or a neighbour's error, which may come after the vendor has done its work.

An attempt that goes on without its process is `resumed` by another, under the same rules. For work that has
no such block there are `hold`, `settle`, `release` and `doubt`. `record` makes the span from the entry.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
import structlog
from google.protobuf import duration_pb2
from opentelemetry import trace
from opentelemetry.trace import Status, StatusCode, Tracer

from waybill.ledger.v1 import doubt_pb2, entry_pb2, ledger_service_pb2
from waybill.purchases import Purchase, describe, record, started
from waybill.refusals import refused_for_nothing
from waybill.runtime import deadline, faults, identity
from waybill.runtime.errors import Conflict, Deadline, NotFound, ServiceError, Unavailable, from_status
from waybill.runtime.retry import insist
from waybill.runtime.semconv import LOCAL

if TYPE_CHECKING:  # the async stubs exist for type checkers only
    from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceAsyncStub

HOLD_SECONDS = 10.0
CALL_SECONDS = 5.0
# A ledger that restarts on a busy machine takes longer than one call waits.
LAST_WORD_SECONDS = 60.0
HOLD_TTL_SECONDS = 600
T = TypeVar("T")
# Of an entry, beside its state.
_LOGGED = ("model", "operation", "entry_id", "attempt", "quantity", "unit", "reported_nano_usd", "end_reason")
log = structlog.get_logger()


class Attempt:
    """One attempt under way."""

    def __init__(self, entry_id: str, number: int) -> None:
        self.entry_id = entry_id
        self.number = number
        self.quantity: int | None = None
        self.goes_on = False

    def leave(self) -> None:
        """The work goes on without this process, which ends neither entry nor span; see `Meter.record`."""
        self.goes_on = True

    def settle(self, quantity: int) -> None:
        """The vendor did the work and reports so many units."""
        self.quantity = quantity


class Meter:
    """Wraps vendor calls of one process in holds.

    Args:
        ledger: Stub of the ledger.
        tracer: Makes the vendor spans.
        service: For instance "embedder".
        new_id: Makes entry ids.
    """

    def __init__(
        self,
        ledger: LedgerServiceAsyncStub,
        tracer: Tracer,
        service: str,
        new_id: Callable[[], uuid.UUID] = uuid.uuid4,
    ) -> None:
        self._ledger = ledger
        self._tracer = tracer
        self._service = service
        self._new_id = new_id
        self._owner = f"{service}/{new_id()}"
        self._last_words: set[asyncio.Task[Any]] = set()

    @asynccontextmanager
    async def attempt(
        self, purchase: Purchase, entry_id: str = "", ttl_seconds: int = HOLD_TTL_SECONDS
    ) -> AsyncIterator[Attempt]:
        """Holds the expected cost, then lets the call be made.

        Args:
            purchase: What is bought.
            entry_id: UUID of the attempt, where the caller must know it before the hold.
            ttl_seconds: How long it may take before it is in doubt.

        Raises:
            Unavailable: The ledger is away: no call is made without a hold.
            Precondition: PRICE_UNKNOWN.
        """
        entry = await self._hold(purchase, entry_id or str(self._new_id()), ttl_seconds)
        attempt = Attempt(entry.entry_id, entry.attempt)
        span = started(self._tracer, purchase, entry)
        failure: BaseException | None = None
        try:
            with trace.use_span(span, record_exception=False, set_status_on_exception=False):
                place = f"call.{purchase.operation}"
                faults.attempt(attempt.number)
                await faults.point(f"{place}.before")
                yield attempt
                await faults.point(f"{place}.after")
        except BaseException as error:
            failure = error
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise
        finally:
            faults.attempt(0)
            if not attempt.goes_on:
                try:
                    describe(span, await self._undisturbed(self._end(attempt, purchase.vendor, failure)))
                finally:
                    span.end()

    @asynccontextmanager
    async def resumed(self, entry_id: str, vendor: str) -> AsyncIterator[Attempt]:
        """Goes on with an attempt whose process let it go, and ends its entry by the rules of `attempt`.

        An entry that has ended otherwise by now, given up by policy, say, or that was never held, stays so.

        Args:
            entry_id: The attempt's.
            vendor: That was to be paid.
        """
        attempt, failure = Attempt(entry_id, 0), None
        try:
            yield attempt
        except BaseException as error:
            failure = error
            raise
        finally:
            if not attempt.goes_on:
                try:
                    self.record(await self._undisturbed(self._end(attempt, vendor, failure)))
                except (NotFound, Conflict) as ended:
                    log.warning("entry had ended", entry_id=entry_id, reason=ended.reason)

    async def hold(self, purchase: Purchase, entry_id: str, owner: str, ttl_seconds: int) -> entry_pb2.Entry:
        """Holds for work that goes on without this process. Repeated, it answers the entry that there is.

        Args:
            purchase: What is bought.
            entry_id: UUID, derived from what the work is called.
            owner: Stable across processes. A hold on this spend key by another owner puts the entry in
                doubt.
            ttl_seconds: How long the work may take before it is in doubt.

        Raises:
            Unavailable: The ledger is away.
            Precondition: PRICE_UNKNOWN.
            Conflict: ENTRY_CONFLICT, the id was used for another spend key.
        """
        return await self._held(self._request(purchase, entry_id, f"{self._service}/{owner}", ttl_seconds))

    async def settle(self, entry_id: str, quantity: int) -> entry_pb2.Entry:
        """Says that the vendor did so much. Repeated while the ledger restarts.

        Raises:
            NotFound: ENTRY_NOT_FOUND.
            Conflict: ENTRY_CONFLICT, it has ended otherwise.
        """
        return await self._settle(ledger_service_pb2.SettleRequest(entry_id=entry_id, quantity=quantity))

    async def release(self, entry_id: str, reason: str) -> entry_pb2.Entry:
        """Says that the vendor surely did not act. Repeated while the ledger restarts.

        Raises:
            NotFound: ENTRY_NOT_FOUND.
            Conflict: ENTRY_CONFLICT, it has ended otherwise.
        """
        request = ledger_service_pb2.ReleaseRequest(entry_id=entry_id, reason=reason)
        response = await _last_word(lambda: self._ledger.Release(request, timeout=CALL_SECONDS))
        return response.entry

    async def doubt(self, entry_id: str, reason: str) -> entry_pb2.Entry:
        """Says that nobody knows whether the vendor acted. Repeated while the ledger restarts.

        Raises:
            NotFound: ENTRY_NOT_FOUND.
            Conflict: ENTRY_CONFLICT, it has ended otherwise.
        """
        return await self._settle(ledger_service_pb2.SettleRequest(entry_id=entry_id, doubt_reason=reason))

    async def adjust(
        self, entry_id: str, model: str, unit: str, quantity: int, reason: str, reference: str = ""
    ) -> entry_pb2.Entry:
        """Says what the vendor charged in the end, and what it calls it. Repeated while the ledger restarts.

        Raises:
            NotFound: ENTRY_NOT_FOUND.
            Precondition: PRICE_UNKNOWN.
        """
        request = ledger_service_pb2.AdjustRequest(
            entry_id=entry_id,
            model=model,
            unit=unit,
            quantity=quantity,
            reason=reason,
            vendor_reference=reference,
        )
        response = await _last_word(lambda: self._ledger.Adjust(request, timeout=CALL_SECONDS))
        return response.entry

    async def claim_doubts(self, vendor: str, most: int) -> Sequence[doubt_pb2.Doubt]:
        """Takes doubts of any tenant about which a vendor is to be asked now."""
        request = doubt_pb2.ClaimDoubtsRequest(vendor=vendor, page_size=most)
        response = await insist(
            lambda: self._ledger.ClaimDoubts(request, timeout=CALL_SECONDS), seconds=CALL_SECONDS
        )
        return response.doubts

    async def note_doubt(self, entry_id: str, answer: str, *, final: bool) -> None:
        """Notes what a vendor said of a doubt that stays one. Repeated while the ledger restarts.

        Raises:
            NotFound: ENTRY_NOT_FOUND.
        """
        request = doubt_pb2.NoteDoubtRequest(entry_id=entry_id, answer=answer, final=final)
        await _last_word(lambda: self._ledger.NoteDoubt(request, timeout=CALL_SECONDS))

    def record(self, entry: entry_pb2.Entry) -> None:
        """Makes the span of an entry of `hold` that has ended; again, it is the same span."""
        record(self._tracer, entry)

    async def drain(self) -> None:
        """Waits for the last words still being said."""
        await asyncio.gather(*self._last_words, return_exceptions=True)

    async def _settle(self, request: ledger_service_pb2.SettleRequest) -> entry_pb2.Entry:
        response = await _last_word(lambda: self._ledger.Settle(request, timeout=CALL_SECONDS))
        return response.entry

    async def _end(self, attempt: Attempt, vendor: str, failure: BaseException | None) -> entry_pb2.Entry:
        """Says the last word on an attempt; each call to a vendor is a line of the log, with its caller."""
        entry = await self._said(attempt, vendor, failure)
        if vendor != LOCAL:
            log.info(
                "vendor call",
                vendor=vendor,
                **{name: getattr(entry, name) for name in _LOGGED},
                state=entry_pb2.Entry.State.Name(entry.state).removeprefix("STATE_"),
            )
        return entry

    async def _said(self, attempt: Attempt, vendor: str, failure: BaseException | None) -> entry_pb2.Entry:
        # The caller's deadline may be why the attempt failed; its end is told on time of its own.
        deadline.clear()
        if attempt.quantity is not None:
            return await self.settle(attempt.entry_id, attempt.quantity)
        reason = getattr(failure, "reason", type(failure).__name__ if failure else "NO_USAGE_REPORTED")
        if refused_for_nothing(failure, vendor):
            return await self.release(attempt.entry_id, reason)
        return await self.doubt(attempt.entry_id, reason)

    async def _undisturbed(self, word: Coroutine[Any, Any, entry_pb2.Entry]) -> entry_pb2.Entry:
        return await asyncio.shield(self._in_background(word))

    def _in_background(self, word: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Says a last word, whatever becomes of the caller; `drain` waits for it."""
        task = asyncio.create_task(word)
        self._last_words.add(task)
        task.add_done_callback(self._last_words.discard)
        return task

    async def _hold(self, purchase: Purchase, entry_id: str, ttl_seconds: int) -> entry_pb2.Entry:
        request = self._request(purchase, entry_id, self._owner, ttl_seconds)
        held = asyncio.create_task(self._held(request))
        try:
            return await asyncio.shield(held)
        except (asyncio.CancelledError, Unavailable, Deadline):
            # The ledger may hold it all the same, for a call that will not be made.
            self._in_background(self._let_go(held, entry_id))
            raise

    def _request(
        self, purchase: Purchase, entry_id: str, owner: str, ttl_seconds: int
    ) -> ledger_service_pb2.HoldRequest:
        parent = trace.get_current_span().get_span_context()
        return ledger_service_pb2.HoldRequest(
            entry_id=entry_id,
            spend_key=purchase.spend_key,
            kind=purchase.kind,
            service=self._service,
            operation=purchase.operation,
            vendor=purchase.vendor,
            model=purchase.model,
            quantity=purchase.quantity,
            unit=purchase.unit,
            size_bytes=purchase.size_bytes,
            would_buy=purchase.would_buy,
            ttl=duration_pb2.Duration(seconds=ttl_seconds),
            owner=owner,
            span=entry_pb2.SpanLink(
                trace_id=f"{parent.trace_id:032x}" if parent.is_valid else "",
                parent_span_id=f"{parent.span_id:016x}" if parent.is_valid else "",
                step_span_id=identity.caller().step_span_id,
            ),
        )

    async def _held(self, request: ledger_service_pb2.HoldRequest) -> entry_pb2.Entry:
        seconds = deadline.remaining_seconds(HOLD_SECONDS)
        try:
            response = await self._ledger.Hold(request, timeout=seconds)
        except grpc.aio.AioRpcError as error:
            failure = from_status(error)
            if isinstance(failure, Deadline) and seconds == HOLD_SECONDS:
                # Its time, and not the caller's: whoever waits for a service that is away waits for this one.
                said = f"The ledger has not answered for {HOLD_SECONDS:.0f} s; nothing is bought without it."
                raise Unavailable("LEDGER_UNAVAILABLE", f"{said} Start it again.") from error
            raise failure from error
        return response.entry

    async def _let_go(self, held: asyncio.Task[entry_pb2.Entry], entry_id: str) -> None:
        deadline.clear()
        await asyncio.gather(held, return_exceptions=True)
        try:
            await self.release(entry_id, "NOT_CALLED")
        except NotFound:
            pass  # nothing was held
        except ServiceError as error:
            log.warning("a hold is left to expire", entry_id=entry_id, reason=error.reason)


async def _last_word(call: Callable[[], Awaitable[T]]) -> T:
    """A call to the ledger that goes on while that restarts."""
    return await insist(call, seconds=LAST_WORD_SECONDS, also=(Deadline,))
