"""Webhooks as a vendor sends them: signed, repeated until they are taken, and broken on request.

One leaves after the other, in the order of their times, so that a clock that stands still gives the same
order in every run. They go to this machine alone.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlsplit

import h11

from waybill.sim.clock import Clock

# The headers that sign a body.
Sign = Callable[[bytes], Mapping[str, str]]
_HOSTS = ("127.0.0.1", "localhost", "::1")
_PIECE_BYTES = 2**14
# Before each further attempt, by the clock; a 2xx ends them.
_WAITS_SECONDS = (1.0, 2.0)


class Fate(StrEnum):
    """What becomes of a webhook."""

    SENT = "sent"
    LATE = "late"  # sent after a delay
    DUPLICATE = "duplicate"  # sent at once, and again after a delay
    FORGED = "forged"  # under the signature of another body
    LOST = "lost"  # never sent


@dataclass(frozen=True)
class Webhook:
    """One message.

    Args:
        id: The vendor's, the same in each attempt.
        sign: None where it is not signed.
    """

    id: str
    url: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    sign: Sign | None = None


@dataclass(frozen=True)
class Attempt:
    """One attempt at a delivery, or that there was none.

    Args:
        time: By the simulator's clock.
        number: From 1; 0 where it was never sent.
        status: What the receiver answered; 0 where it did not.
    """

    time: float
    id: str
    url: str
    fate: str
    number: int
    status: int


@dataclass(order=True)
class _Due:
    time: float
    order: int
    webhook: Webhook = field(compare=False)
    fate: Fate = field(compare=False)
    number: int = field(compare=False, default=1)


class Outbox:
    """Sends webhooks.

    Args:
        attempt_seconds: Real time that a receiver has to answer.
        most: Webhooks that wait at one time; one more is lost. As many attempts are remembered.
    """

    def __init__(
        self,
        clock: Clock,
        attempt_seconds: float = 30.0,
        most: int = 10_000,
    ) -> None:
        self._clock, self._attempt_seconds = clock, attempt_seconds
        self._most, self._waiting = most, 0
        self._order = itertools.count()
        self._due: list[_Due] = []
        self._sender: asyncio.Task[None] | None = None
        self.attempts: deque[Attempt] = deque(maxlen=most)

    def post(self, webhook: Webhook, fate: Fate = Fate.SENT, delay_seconds: float = 0) -> None:
        """Sends a webhook, or does with it what its fate says.

        Raises:
            ValueError: It would leave this machine.
        """
        now = self._clock.now()
        if fate is Fate.LOST:
            self._record(_Due(now, 0, webhook, fate, 0), 0)
        elif not reachable(webhook.url):
            raise ValueError(f"a simulator sends to http on this machine only, not to {webhook.url}")
        if fate in (Fate.SENT, Fate.FORGED, Fate.DUPLICATE):
            self._plan(now, webhook, fate)
        if fate in (Fate.LATE, Fate.DUPLICATE):
            self._plan(now + delay_seconds, webhook, fate)

    async def sent(self) -> None:
        """Returns when nothing is due that has not been sent."""
        while self._sender:
            await asyncio.wait([self._sender])

    async def close(self) -> None:
        """Sends nothing more."""
        self._due.clear()
        if self._sender:
            self._sender.cancel()
            await asyncio.gather(self._sender, return_exceptions=True)

    def _plan(self, time: float, webhook: Webhook, fate: Fate, number: int = 1) -> None:
        due = _Due(time, next(self._order), webhook, fate, number)
        if self._waiting >= self._most:
            self._record(_Due(time, 0, webhook, Fate.LOST, 0), 0)
            return
        self._waiting += 1
        if time <= self._clock.now():
            self._come(due)
        else:
            self._clock.at(time, lambda: self._come(due))

    def _come(self, due: _Due) -> None:
        heapq.heappush(self._due, due)
        if self._sender is None:
            self._sender = asyncio.get_running_loop().create_task(self._send_all())

    async def _send_all(self) -> None:
        try:
            while self._due:
                due = heapq.heappop(self._due)
                self._waiting -= 1
                status = await self._attempt(due)
                self._record(due, status)
                if not 200 <= status < 300 and due.number <= len(_WAITS_SECONDS):
                    wait = _WAITS_SECONDS[due.number - 1]
                    self._plan(due.time + wait, due.webhook, due.fate, due.number + 1)
        finally:
            self._sender = None

    async def _attempt(self, due: _Due) -> int:
        try:
            async with asyncio.timeout(self._attempt_seconds):
                return await _send(due.webhook, forged=due.fate is Fate.FORGED)
        except (OSError, h11.RemoteProtocolError):
            return 0

    def _record(self, due: _Due, status: int) -> None:
        one = due.webhook
        self.attempts.append(Attempt(due.time, one.id, one.url, due.fate.value, due.number, status))


def reachable(url: str) -> bool:
    """Whether a simulator sends there: to http on this machine alone."""
    place = urlsplit(url)
    return place.scheme == "http" and place.hostname in _HOSTS


async def _send(webhook: Webhook, forged: bool) -> int:
    """The status that a receiver answers."""
    place = urlsplit(webhook.url)
    signed = webhook.body + b" " if forged else webhook.body
    headers = {
        "host": place.netloc,
        "connection": "close",
        "content-length": str(len(webhook.body)),
        **webhook.headers,
        **(webhook.sign(signed) if webhook.sign else {}),
    }
    target = (place.path or "/") + (f"?{place.query}" if place.query else "")
    reader, writer = await asyncio.open_connection(place.hostname, place.port or 80)
    try:
        http = h11.Connection(h11.CLIENT)
        head = h11.Request(method="POST", target=target, headers=list(headers.items()))
        for event in (head, h11.Data(data=webhook.body), h11.EndOfMessage()):
            writer.write(http.send(event) or b"")
        await writer.drain()
        while not isinstance(answer := http.next_event(), h11.Response):
            if answer is h11.NEED_DATA:
                http.receive_data(await reader.read(_PIECE_BYTES))
        return answer.status_code
    finally:
        writer.close()
