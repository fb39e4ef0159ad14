"""What a vendor's store has sent us, counted as it comes and told to the ledger every few seconds.

A read waits for nothing. What this process has not told when it is killed is not on the bill: at most
TELL_SECONDS of reads. Links lead to the vendor, past us: what is fetched by them is not known here, nor is
what the vendor's own cache has served, which is cheaper; all that we read is counted at the uncached price.
"""

from __future__ import annotations

import datetime
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc
import structlog

from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.egress_pb2 import AccrueEgressRequest
from waybill.runtime import deadline, identity
from waybill.runtime.clock import Now
from waybill.runtime.errors import from_status
from waybill.runtime.loops import repeating

if TYPE_CHECKING:  # the async stubs exist for type checkers only
    from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceAsyncStub

TELL_SECONDS, CALL_SECONDS = 10.0, 5.0
_AWAY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
log = structlog.get_logger()


class Egress:
    """Bytes by tenant and day.

    Args:
        ledger: Is told of them.
        vendor: Who sends them.
        kind: Whether they are owed.
        clock: The time of day, in UTC.
    """

    def __init__(
        self,
        ledger: LedgerServiceAsyncStub,
        vendor: str,
        kind: CostKind,
        clock: Now,
    ) -> None:
        self._ledger = ledger
        self._vendor = vendor
        self._kind = kind
        self._clock = clock
        self._counter_id = str(uuid.uuid4())
        self._counted: Counter[tuple[str, datetime.date]] = Counter()
        self._told: dict[tuple[str, datetime.date], int] = {}

    def count(self, tenant: str, size_bytes: int) -> None:
        """So many bytes have come for a tenant."""
        self._counted[tenant, self._clock().date()] += size_bytes

    @asynccontextmanager
    async def telling(self, seconds: float = TELL_SECONDS) -> AsyncIterator[None]:
        """Tells the ledger in the background, and a last time at the end of the block."""
        async with repeating("egress", self.tell, seconds):
            yield
        try:
            await self.tell()
        except Exception as error:
            log.warning("what was read last is not on the bill", exc_info=error)

    async def tell(self) -> None:
        """Tells the ledger what has come since; what it does not hear is told again, and counts once.

        Raises:
            ServiceError: As the ledger refused it.
        """
        refused: grpc.aio.AioRpcError | None = None
        today = self._clock().date()
        for (tenant, day), size_bytes in list(self._counted.items()):
            place = (tenant, day)
            try:
                if self._told.get(place) != size_bytes:
                    await self._accrue(tenant, day, size_bytes)
                    self._told[place] = size_bytes
            except grpc.aio.AioRpcError as error:
                # One tenant's refusal keeps nobody else's from the bill.
                refused = error
                if error.code() in _AWAY:
                    break
                continue
            # A read that began before midnight counts on the day of its bytes: none is added to a past one.
            if day < today:
                del self._counted[place], self._told[place]
        if refused is not None:
            raise from_status(refused) from refused

    async def _accrue(self, tenant: str, day: datetime.date, size_bytes: int) -> None:
        request = AccrueEgressRequest(
            counter_id=self._counter_id,
            day=str(day),
            kind=self._kind,
            vendor=self._vendor,
            size_bytes=size_bytes,
        )
        deadline.clear()
        with identity.acting_as(identity.Caller(tenant, "egress")):
            await self._ledger.AccrueEgress(request, timeout=CALL_SECONDS)
