"""A simulator's own door, on a port apart from the vendor's: read what happened, break it, heal it.

GET /journal (?since=N), /invoice, /state · POST, with a JSON object: /faults {"fault": "O03:n=7"} ·
/heal {} or {"name": "O03"} · /clock {"advance_seconds": 60} · /keys {"add": "sk-…"} or {"revoke": "sk-…"} ·
/limits {"requests_per_minute": …, "tokens_per_minute": …} · /outage {"seconds": 30}, {} until {"end": true} ·
OpenAI: /batches {"working_seconds": …}.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from waybill.sim.clock import Clock
from waybill.sim.faults import Faults
from waybill.sim.invoice import Invoice
from waybill.sim.journal import Entry
from waybill.sim.keys import Keys
from waybill.sim.limits import RateLimiter
from waybill.sim.server import HttpServer
from waybill.sim.wire import Reply, Request


class Simulated(Protocol):
    """What every vendor's simulator has."""

    clock: Clock
    faults: Faults
    keys: Keys
    limiter: RateLimiter
    server: HttpServer

    @property
    def journal(self) -> list[Entry]:
        """Every request so far."""

    @property
    def invoice(self) -> Invoice:
        """Every charge up to now."""

    @property
    def doors(self) -> Mapping[str, Callable[..., None]]:
        """What else is changed here, by path: this vendor's own."""


class Control:
    """Answers the control port."""

    def __init__(self, simulated: Simulated) -> None:
        self._it = simulated
        self._reads: dict[str, Callable[[Request], object]] = {
            "/journal": self._journal,
            "/invoice": self._invoice,
            "/state": self._state,
        }
        self._writes: dict[str, Callable[..., None]] = {
            "/faults": self._faults,
            "/heal": simulated.faults.heal,
            "/clock": self._clock,
            "/keys": self._keys,
            "/limits": self._limits,
            "/outage": self._outage,
            **simulated.doors,
        }

    async def handle(self, request: Request) -> Reply:
        """One request; a page in a browser has an Origin, and no business here."""
        host = request.headers.get("host", "").rsplit(":", 1)[0]
        if host not in ("127.0.0.1", "localhost") or "origin" in request.headers:
            return _json(403, {"error": "this port answers programs on this machine only"})
        if request.method == "GET" and request.path in self._reads:
            return _json(200, self._reads[request.path](request))
        if request.method != "POST" or request.path not in self._writes:
            return _json(404, {"error": f"no {request.method} {request.path}", "see": __doc__})
        try:
            self._writes[request.path](**json.loads(request.body or b"{}"))
        except (TypeError, ValueError) as error:
            return _json(400, {"error": str(error)})
        return _json(200, self._state(request))

    def _journal(self, request: Request) -> object:
        since = request.query.get("since", "0")
        entries = self._it.journal[int(since) if since.isdecimal() else 0 :]
        return {"entries": [dataclasses.asdict(entry) for entry in entries]}

    def _invoice(self, request: Request) -> object:
        invoice = self._it.invoice
        return {
            "total_nano_usd": invoice.total_nano_usd,
            "quantities": invoice.quantities(),
            "lines": [dataclasses.asdict(line) for line in invoice.lines],
        }

    def _state(self, request: Request) -> object:
        return {
            "up": self._it.server.is_up,
            "now": self._it.clock.now(),
            "requests": len(self._it.journal),
            "total_nano_usd": self._it.invoice.total_nano_usd,
            "faults": self._it.faults.texts(),
            "limits": dataclasses.asdict(self._it.limiter.limits),
        }

    def _faults(self, fault: str) -> None:
        self._it.faults.add(fault)

    def _clock(self, advance_seconds: float) -> None:
        self._it.clock.advance(advance_seconds)

    def _keys(self, add: str = "", revoke: str = "", **account: str) -> None:
        if add:
            self._it.keys.add(add, **account)
        if revoke:
            self._it.keys.revoke(revoke)

    def _limits(self, **changes: Any) -> None:
        self._it.limiter.change(dataclasses.replace(self._it.limiter.limits, **changes))

    def _outage(self, seconds: float | None = None, end: bool = False) -> None:
        if end:
            self._it.server.up()
        else:
            self._it.server.down(seconds)


def _json(status: int, body: object) -> Reply:
    return Reply(status, json.dumps(body).encode(), {"content-type": "application/json"})
