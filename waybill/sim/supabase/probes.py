"""What tells whether the project is there: none of it says whether a key may do anything."""

from __future__ import annotations

from waybill.sim.replies import json_reply
from waybill.sim.routing import Call, Done, Route
from waybill.sim.wire import Reply

VERSION = "1.11.2"


def routes() -> list[Route]:
    """Which request asks for which."""
    return [
        Route("GET", "/storage/v1/status", "status", _status),
        Route("GET", "/storage/v1/health", "health", _health),
        Route("GET", "/storage/v1/version", "version", _version),
    ]


async def _status(_: Call) -> Done:
    """Alive; its database is not asked."""
    return Done(Reply(200))


async def _health(call: Call) -> Done:
    """200 whatever it finds, so that the body must be read."""
    return Done(json_reply({"healthy": call.fault is None or call.fault.name != "F27"}))


async def _version(_: Call) -> Done:
    return Done(Reply(200, VERSION.encode(), {"content-type": "text/plain; charset=utf-8"}))
