"""Who gets webhooks."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from tests.sim.toy import sign
from waybill.sim.outbox import Webhook
from waybill.sim.server import HttpServer
from waybill.sim.wire import Reply, Request


@dataclass
class Receiver:
    """Keeps what it gets; answers as it is told, then 200."""

    seen: list[Request] = field(default_factory=list)
    answers: list[Reply] = field(default_factory=list)
    silent: bool = False

    def __post_init__(self) -> None:
        self.server = HttpServer(self._handle)
        self.server.up()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.port}/hook?token=t"

    @property
    def genuine(self) -> list[bool]:
        return [sign(one.body)["toy-signature"] == one.headers["toy-signature"] for one in self.seen]

    def webhook(self, name: str = "w") -> Webhook:
        return Webhook(name, self.url, name.encode(), {"x-id": name}, sign)

    async def _handle(self, request: Request) -> Reply:
        self.seen.append(await request.whole())
        if self.silent:
            await asyncio.Event().wait()
        return self.answers.pop(0) if self.answers else Reply(200)
