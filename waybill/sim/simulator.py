"""What every simulated vendor does: route, key, fault, work, bill, latency and reply, in that order."""

from __future__ import annotations

import abc
import asyncio
import dataclasses
import hashlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from waybill.sim import routing, transport
from waybill.sim.clock import Clock
from waybill.sim.control import Control
from waybill.sim.faults import Fault, Faults
from waybill.sim.ids import Ids
from waybill.sim.invoice import Invoice
from waybill.sim.journal import Entry, Journal
from waybill.sim.keys import Account, Keys, bearer, fingerprint
from waybill.sim.limits import Limits, RateLimiter
from waybill.sim.outbox import Outbox
from waybill.sim.replies import Refused, lost
from waybill.sim.routing import Call, Done, Route
from waybill.sim.server import HttpServer
from waybill.sim.transport import Transport
from waybill.sim.wire import Reply, Request


@dataclass(frozen=True)
class Settings:
    """One simulator.

    Args:
        seed: Fixes ids and which requests a probability breaks, and any order that a vendor leaves open.
        latency_seconds: Real time that a good request takes; the control port changes it.
        limits: For each account.
        faults: Armed from the start.
        keys_file: The good keys; without it every key with the vendor's prefix is.
        journal_file: Gets every request as a JSON line.
        clock_start: The clock stands at this second until it is advanced; None is real time.
    """

    seed: int = 0
    latency_seconds: float = 0.5
    limits: Limits = field(default_factory=Limits)
    faults: str = ""
    keys_file: Path | None = None
    journal_file: Path | None = None
    clock_start: float | None = None


@dataclass(frozen=True)
class Vendor:
    """What is fixed about a vendor.

    Args:
        key_prefix: Of every good key; there may be several.
        prices: Integer nano-USD per unit, by item.
        scopes: The fault catalogue: by name, the operation that it breaks.
        default_scope: The operation that an HTTP status breaks.
        transport: The faults that need nothing of the vendor.
        key_traits: What else the vendor knows of a key; see `Keys`.
        secret_headers: Those with a key in them: they are not written down, and no keyless host may see one.
    """

    key_prefix: str | tuple[str, ...]
    prices: Mapping[str, int]
    scopes: Mapping[str, str]
    default_scope: str
    transport: Mapping[str, Transport]
    key_traits: Mapping[str, Sequence[str]] = field(default_factory=dict)
    secret_headers: frozenset[str] = frozenset({"authorization"})


class Simulator(abc.ABC):
    """A vendor on loopback ports; its class adds what is its own.

    Attributes:
        routes: The vendor's operations.
        faults: `add("503:n=7")` and `heal()`.
        keys: `add` and `revoke`.
        clock: `advance`, and `at` for what comes later.
        latency_seconds: Of each good answer from now on.
        outbox: Sends webhooks.
    """

    routes: Sequence[Route]

    def __init__(self, vendor: Vendor, settings: Settings, port: int, control_port: int) -> None:
        self._vendor, self._settings = vendor, settings
        self.ids = Ids(settings.seed)
        self.clock = Clock(settings.clock_start)
        self.latency_seconds = settings.latency_seconds
        self.limiter = RateLimiter(settings.limits, self.clock)
        self.keys = Keys(vendor.key_prefix, settings.keys_file, vendor.key_traits)
        self._invoice = Invoice(vendor.prices)
        self.outbox = Outbox(self.clock)
        self.faults = Faults(settings.seed, vendor.scopes, vendor.default_scope, self._follow_outage)
        self._log = Journal(settings.journal_file)
        self.server = HttpServer(lambda request: self._answer(request, self.routes, self.authorize), port)
        self._hosts = [self.server]
        self._folder = tempfile.TemporaryDirectory(prefix="waybill-sim-")
        self._control = HttpServer(Control(self).handle, control_port)
        self._refusing = False

    @abc.abstractmethod
    def authorize(self, request: Request) -> Account:
        """Whom a request acts for; raises Refused where its key is bad."""

    @abc.abstractmethod
    def refusal(self, fault: Fault) -> Reply | None:
        """What the vendor's own fault answers in place of any work; None where the work goes on."""

    @abc.abstractmethod
    def unknown(self, request: Request) -> Reply:
        """The answer to what is no operation."""

    def key(self, request: Request) -> str:
        """The key that a request sends; empty where it sends none."""
        return bearer(request)

    def spoiled(self, fault: Fault, reply: Reply) -> Reply:
        """A reply whose work was done, as a fault lets it leave."""
        return transport.broken(self._vendor.transport.get(fault.name), reply)

    def logical_call(self, request: Request) -> str:
        """What a request asks for, whichever attempt it is."""
        whole = f"{request.method} {request.path} {sorted(request.query.items())}".encode() + request.body
        return hashlib.sha256(whole).hexdigest()

    def stamp(self, request_id: str, latency_seconds: float) -> Mapping[str, str]:
        """Headers of every reply."""
        return {}

    def host(self, routes: Sequence[Route]) -> HttpServer:
        """Another host of the vendor, on a port of its own, where no key must be sent."""
        server = HttpServer(lambda request: self._answer(request, routes, None))
        self._hosts.append(server)
        return server

    @property
    def folder(self) -> Path:
        """For what is uploaded; it goes when the simulator ends."""
        return Path(self._folder.name)

    @property
    def controls(self) -> Mapping[str, Callable[..., object]]:
        """What else the control port changes, by path; what is returned is the answer."""
        return {}

    @property
    def journal(self) -> list[Entry]:
        """Every request so far, in the order in which it was decided."""
        return self._log.entries

    @property
    def invoice(self) -> Invoice:
        """Every charge up to now."""
        return self._invoice

    @property
    def url(self) -> str:
        """The vendor's address."""
        return f"http://127.0.0.1:{self.server.port}"

    @property
    def base_url(self) -> str:
        """What a client under test is pointed at."""
        return self.url

    @property
    def control_url(self) -> str:
        """The simulator's own; see `waybill.sim.control`."""
        return f"http://127.0.0.1:{self._control.port}"

    async def __aenter__(self) -> Self:
        """Starts both servers and arms the first faults."""
        try:
            for host in (*self._hosts, self._control):
                host.up()
            if self._settings.faults:
                self.faults.add(self._settings.faults)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(self, *_: Any) -> None:
        """Ends both servers, what is due later, and what is being sent."""
        await self._close()

    async def _close(self) -> None:
        self.clock.stop()
        await self.outbox.close()
        for host in (*self._hosts, self._control):
            await host.close()
        self._log.close()
        self._folder.cleanup()

    def _follow_outage(self) -> None:
        outages = [name for name, kind in self._vendor.transport.items() if kind is Transport.OUTAGE]
        refusing = any(map(self.faults.standing, outages))
        if refusing != self._refusing:
            self._refusing = refusing
            self.server.down() if refusing else self.server.up()

    async def _answer(
        self,
        request: Request,
        routes: Sequence[Route],
        authorize: Callable[[Request], Account] | None,
    ) -> Reply:
        route, parts = routing.find(routes, request) or (self._no_route(request), {})
        request, digest = _digesting(request)
        if not route.streamed:
            request = await request.whole()
        request_id, call_id = self.ids.new("req_"), self.logical_call(request)
        attempt, fault = 0, None
        try:
            account = authorize(request) if authorize else Account("")
            attempt, fault = self.faults.draw(route.name, call_id, parts.values())
            reply = self._instead(fault)
            done = (
                Done(reply)
                if reply
                else await route.operation(Call(request_id, request, account, parts, fault))
            )
        except Refused as refused:
            done = Done(refused.reply)
        except ConnectionError:
            # The client left in the middle of a body that the operation was reading.
            done = Done(lost())
        reply = done.reply
        base = self.latency_seconds if 200 <= reply.status < 300 else 0.0
        latency_seconds = base + done.latency_seconds
        if fault and 200 <= reply.status < 300:
            reply = self.spoiled(fault, reply)
        self._log.record(
            Entry(
                id=request_id,
                time=self.clock.now(),
                key=fingerprint(self.key(request)),
                method=request.method,
                path=request.path,
                operation=route.name,
                client_request_id=request.headers.get("x-client-request-id", ""),
                call=call_id,
                attempt=attempt,
                inputs=done.inputs,
                tokens=done.tokens,
                status=reply.status,
                outcome=reply.delivery.value,
                fault=fault.text if fault else "",
                billed_nano_usd=done.billed_nano_usd,
                query=request.search,
                headers={
                    name: text
                    for name, text in request.headers.items()
                    if name not in self._vendor.secret_headers
                },
                body_sha256=digest.hexdigest(),
                connection=request.connection,
                violation=self._violation(request, keyless=authorize is None),
            )
        )
        await asyncio.sleep(latency_seconds)
        stamp = self.stamp(request_id, latency_seconds)
        return dataclasses.replace(reply, headers={**stamp, **reply.headers})

    def _violation(self, request: Request, keyless: bool) -> str:
        if keyless and not self._vendor.secret_headers.isdisjoint(request.headers):
            return "a key was sent to a host that must not see it"
        words = (*request.path.split("/"), *request.query.values())
        if any(word.startswith(self._vendor.key_prefix) for word in words):
            return "a key stood in a URL"
        return ""

    def _instead(self, fault: Fault | None) -> Reply | None:
        if fault is None:
            return None
        kind = self._vendor.transport.get(fault.name)
        if kind is Transport.OUTAGE:
            self.server.down(float(fault.variant or 1))
        return transport.instead(kind, self.server.port) or self.refusal(fault)

    def _no_route(self, request: Request) -> Route:
        async def operation(call: Call) -> Done:
            raise Refused(self.unknown(call.request))

        name = "foreign" if request.path == transport.FOREIGN else "unknown"
        return Route(request.method, request.path, name, operation)


def _digesting(request: Request) -> tuple[Request, hashlib._Hash]:
    """The request, and the sha256 of what is read of its body."""
    digest = hashlib.sha256()

    async def piece() -> bytes:
        content = await request.piece()
        digest.update(content)
        return content

    return dataclasses.replace(request, piece=piece), digest
