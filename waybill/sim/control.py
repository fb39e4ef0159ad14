"""A simulator's control port, apart from the vendor's: read what happened, break it, heal it.

GET /journal (?since=N), /invoice, /webhooks, /state · POST, with JSON: /faults {"fault": "503:n=7"} ·
/heal {} or {"name": "503"} · /clock {"advance_seconds": 60} · /keys {"add": "…"} or {"revoke": "…"} ·
/limits {"requests_per_minute": …, "tokens_per_minute": …} · /latency {"seconds": 0.3} ·
/outage {"seconds": 30}, {} until {"end": true}, and what the vendor's simulator adds.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from waybill.sim.replies import json_reply
from waybill.sim.wire import Reply, Request

if TYPE_CHECKING:
    from waybill.sim.simulator import Simulator


class Control:
    """Answers the control port."""

    def __init__(self, simulator: Simulator) -> None:
        self._it = simulator
        self._reads: dict[str, Callable[[Request], object]] = {
            "/journal": self._journal,
            "/invoice": self._invoice,
            "/webhooks": self._webhooks,
            "/state": self._state,
        }
        self._writes: dict[str, Callable[..., object]] = {
            "/faults": self._faults,
            "/heal": simulator.faults.heal,
            "/clock": self._clock,
            "/keys": self._keys,
            "/limits": self._limits,
            "/latency": self._latency,
            "/outage": self._outage,
        }

    async def handle(self, request: Request) -> Reply:
        """One request; a page in a browser has an Origin, and no business here."""
        host = request.headers.get("host", "").rsplit(":", 1)[0]
        if host not in ("127.0.0.1", "localhost") or "origin" in request.headers:
            return json_reply({"error": "this port answers programs on this machine only"}, 403)
        if request.method == "GET" and request.path in self._reads:
            return json_reply(self._reads[request.path](request))
        change = self._writes.get(request.path) or self._it.controls.get(request.path)
        if request.method != "POST" or change is None:
            return json_reply({"error": f"no {request.method} {request.path}", "see": __doc__}, 404)
        request = await request.whole()
        try:
            answer = change(**json.loads(request.body or b"{}"))
        except (TypeError, ValueError) as error:
            return json_reply({"error": str(error)}, 400)
        return json_reply(self._state(request) if answer is None else answer)

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

    def _webhooks(self, request: Request) -> object:
        return {"attempts": [dataclasses.asdict(attempt) for attempt in self._it.outbox.attempts]}

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

    def _latency(self, seconds: float) -> None:
        self._it.latency_seconds = float(seconds)

    def _outage(self, seconds: float | None = None, end: bool = False) -> None:
        if end:
            self._it.server.up()
        else:
            self._it.server.down(seconds)
