"""Presigned downloads, on a host of their own where a key must not be sent."""

from __future__ import annotations

from collections.abc import Callable

from waybill.sim.clock import Clock
from waybill.sim.ids import Ids
from waybill.sim.llamacloud.settings import PRESIGNED_SECONDS
from waybill.sim.replies import Refused, content_reply
from waybill.sim.routing import Call, Done, Route
from waybill.sim.wire import Reply


class Downloads:
    """Contents by token, for a while.

    Args:
        host: The address that URLs begin with.
    """

    def __init__(self, clock: Clock, ids: Ids, host: Callable[[], str]) -> None:
        self._clock, self._ids, self._host = clock, ids, host
        self._contents: dict[str, tuple[float, Callable[[], bytes]]] = {}

    def routes(self) -> list[Route]:
        """Which request asks for a content."""
        return [Route("GET", "/_blob/{token}", "download", self.get)]

    def mint(self, content: Callable[[], bytes], seconds: float = PRESIGNED_SECONDS) -> str:
        """A URL of a content for so many seconds."""
        token = self._ids.new("")
        self._contents[token] = (self._clock.now() + seconds, content)
        return f"{self._host()}/_blob/{token}"

    async def get(self, call: Call) -> Done:
        """GET /_blob/{token}; a request with a key is refused, as S3 does with two ways to sign in."""
        if "authorization" in call.request.headers:
            raise Refused(Reply(400, b"<Error><Code>InvalidArgument</Code></Error>", _XML))
        until, content = self._contents.get(call.parts["token"], (0.0, bytes))
        if self._clock.now() >= until:
            raise Refused(Reply(403, b"<Error><Code>AccessDenied</Code></Error>", _XML))
        return Done(content_reply(call.request, content(), {"content-type": "application/octet-stream"}))


_XML = {"content-type": "application/xml"}
