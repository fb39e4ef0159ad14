"""Which operation a request asks for."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from waybill.sim.faults import Fault
from waybill.sim.keys import Account
from waybill.sim.wire import Reply, Request


@dataclass(frozen=True)
class Call:
    """One request of a known caller.

    Args:
        parts: What the path names, decoded.
        fault: What breaks this request, for the faults that an operation carries out itself.
    """

    id: str
    request: Request
    account: Account
    parts: Mapping[str, str]
    fault: Fault | None

    @property
    def owner(self) -> str:
        """Whose things it makes and sees."""
        return self.account.project


@dataclass(frozen=True)
class Done:
    """What came of a call; billed already.

    Args:
        latency_seconds: Real time for which the reply is held back, beyond the simulator's own.
    """

    reply: Reply
    inputs: int = 0
    tokens: int = 0
    billed_nano_usd: int = 0
    latency_seconds: float = 0


@dataclass(frozen=True)
class Route:
    """One operation and the requests that ask for it.

    Args:
        pattern: A path; `{name}` is one segment, `{name...}` all that are left.
        operation: May raise Refused.
        streamed: The operation reads the body itself, by `Request.piece`.
    """

    method: str
    pattern: str
    name: str
    operation: Callable[[Call], Awaitable[Done]]
    streamed: bool = False

    def match(self, method: str, segments: Sequence[str]) -> dict[str, str] | None:
        """What the path names; None where this is another operation's request."""
        pattern = self.pattern.split("/")
        rest = re.fullmatch(r"\{(\w+)\.\.\.\}", pattern[-1])
        fixed = len(pattern) - 1 if rest else len(pattern)
        if method != self.method or len(segments) < len(pattern) or (not rest and len(segments) > fixed):
            return None
        parts = {rest[1]: "/".join(segments[fixed:])} if rest else {}
        for wanted, segment in zip(pattern[:fixed], segments, strict=False):
            if wanted.startswith("{") and segment:
                parts[wanted.strip("{}")] = segment
            elif wanted != segment:
                return None
        return parts


def find(routes: Sequence[Route], request: Request) -> tuple[Route, dict[str, str]] | None:
    """The route of a request and what its path names; HEAD without a route of its own takes GET's."""
    segments = [unquote(segment) for segment in request.path.split("/")]
    for method in (request.method, "GET") if request.method == "HEAD" else (request.method,):
        for route in routes:
            if (parts := route.match(method, segments)) is not None:
                return route, parts
    return None
