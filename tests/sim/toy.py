"""A small vendor on the kit: uploads that go on where they stopped, downloads in ranges, and webhooks."""

from __future__ import annotations

from collections.abc import Mapping

from waybill.sim.faults import Fault
from waybill.sim.keys import Account, bearer
from waybill.sim.outbox import Fate, Webhook
from waybill.sim.replies import Refused, content_reply, json_reply
from waybill.sim.routing import Call, Done, Route
from waybill.sim.simulator import Settings, Simulator, Vendor
from waybill.sim.transport import Transport
from waybill.sim.wire import Reply, Request

NOON = 1_780_000_000.0
KEY = "toy-1"
MOST_BYTES = 1_000_000
TRANSPORT = {"T1": Transport.RESET_BEFORE, "T2": Transport.RESET_AFTER, "T3": Transport.HALF}
VENDOR = Vendor("toy-", {"upload": 1}, dict.fromkeys(TRANSPORT, "append"), "append", TRANSPORT)


def sign(body: bytes) -> Mapping[str, str]:
    """No signature of any use."""
    return {"toy-signature": str(sum(body))}


class Toy(Simulator):
    """Keeps contents by name; `/slow/{n}` sends a webhook in so many seconds."""

    def __init__(self, hook: str = "") -> None:
        super().__init__(VENDOR, Settings(seed=7, clock_start=NOON), 0, 0)
        self.contents: dict[str, bytearray] = {}
        self._hook = hook
        self.routes = [
            Route("PATCH", "/files/{name...}", "append", self.append, streamed=True),
            Route("HEAD", "/files/{name...}", "offset", self.offset),
            Route("GET", "/files/{name...}", "get", self.get),
            Route("POST", "/slow/{seconds}", "slow", self.slow),
        ]

    def authorize(self, request: Request) -> Account:
        account = self.keys.find(bearer(request))
        if account is None:
            raise Refused(json_reply({}, 401))
        return account

    def refusal(self, fault: Fault) -> Reply | None:
        return json_reply({}, int(fault.name)) if fault.name.isdecimal() else None

    def unknown(self, request: Request) -> Reply:
        return json_reply({}, 404)

    async def append(self, call: Call) -> Done:
        if int(call.request.headers.get("content-length", 0)) > MOST_BYTES:
            raise Refused(json_reply({}, 413))
        content = self.contents.setdefault(call.parts["name"], bytearray())
        while piece := await call.request.piece():
            content += piece
        return Done(Reply(204, headers={"upload-offset": str(len(content))}))

    async def offset(self, call: Call) -> Done:
        return Done(Reply(200, headers={"upload-offset": str(len(self.contents[call.parts["name"]]))}))

    async def get(self, call: Call) -> Done:
        content = bytes(self.contents[call.parts["name"]])
        return Done(content_reply(call.request, content, {"etag": '"1"'}))

    async def slow(self, call: Call) -> Done:
        webhook = Webhook(call.id, self._hook, b"done", sign=sign)
        due = self.clock.now() + int(call.parts["seconds"])
        self.clock.at(due, lambda: self.outbox.post(webhook, Fate.DUPLICATE, delay_seconds=10))
        return Done(json_reply({"id": call.id}))
