"""Calls that a server's door refused, told to the audit: bounded, so that no stranger can fill it."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from waybill.runtime.audit import Audit
from waybill.runtime.loops import repeating

SECONDS = 60.0
ACTION = "call.refuse"


class Refusals:
    """At most two events a minute for each reason, of which there are few: the first one, and how many more.

    Args:
        audit: Is told.
    """

    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self._more: Counter[str] = Counter()

    def refused(self, method: str, reason: str, peer: str) -> None:
        """Counts one.

        Args:
            method: Full name of the RPC.
            reason: Of the refusal.
            peer: As gRPC names it: "ipv4:192.0.2.1:4711".
        """
        first = reason not in self._more
        self._more[reason] += not first
        if first:
            detail = {"peer": peer.rpartition(":")[0]}
            self._audit.note(ACTION, method.lstrip("/"), reason, detail, operators=True)

    @asynccontextmanager
    async def counting(self) -> AsyncIterator[None]:
        """Tells of those behind the first, each minute and at the block's end."""
        async with repeating("refusals", self._tell, SECONDS):
            yield
        await self._tell()

    async def _tell(self) -> None:
        more, self._more = self._more, Counter()
        for reason, count in more.items():
            if count:
                self._audit.note(ACTION, "", reason, {"more": str(count)}, operators=True)
