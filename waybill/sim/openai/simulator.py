"""OpenAI over a real socket: route, key, fault, work, bill, latency and reply, in that order."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import itertools
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

from waybill.sim.clock import Clock
from waybill.sim.control import Control
from waybill.sim.faults import Fault, Faults
from waybill.sim.invoice import Invoice
from waybill.sim.journal import Entry, Journal
from waybill.sim.keys import Account, Keys, fingerprint
from waybill.sim.limits import RateLimiter
from waybill.sim.openai import breakage
from waybill.sim.openai.api import Api, Call, Done, json_body
from waybill.sim.openai.batches import Batches
from waybill.sim.openai.embeddings import logical_call
from waybill.sim.openai.errors import Refused, bad_key
from waybill.sim.openai.files import Files, file_id
from waybill.sim.openai.settings import PRICES, OpenAISettings
from waybill.sim.server import HttpServer
from waybill.sim.wire import Delivery, Reply, Request

SHARED_PROJECT = "proj_simulated"
Operation = Callable[[Call], Awaitable[Done]]


class OpenAISimulator:
    """One running simulator; `simulator` makes it.

    Attributes:
        base_url: For OPENAI_BASE_URL.
        control_url: See `waybill.sim.control`.
        faults: `add("O03:n=7")` and `heal()`.
        keys: `add` and `revoke`.
        clock: `advance`.
    """

    def __init__(self, settings: OpenAISettings, port: int = 0, control_port: int = 0) -> None:
        self._settings = settings
        self._numbers: defaultdict[str, Iterator[int]] = defaultdict(itertools.count)
        self.clock = Clock(settings.clock_start)
        self.limiter = RateLimiter(settings.limits, self.clock)
        self.keys = Keys("sk-", settings.keys_file)
        self.server = HttpServer(self._handle, port)
        self.faults = Faults(settings.seed, breakage.SCOPES, breakage.DEFAULT_SCOPE, self._follow_outage)
        self.log = Journal(settings.journal_file)
        self._invoice = Invoice(PRICES)
        files = Files(self._new_id)
        self._batches = Batches(settings.batch, settings.seed, files, self._invoice, self._new_id)
        self._routes = _routes(Api(self.clock, self._invoice, self.limiter, files, self._batches))
        self._control = HttpServer(Control(self).handle, control_port)
        self._refusing = False

    @property
    def base_url(self) -> str:
        """For OPENAI_BASE_URL."""
        return f"http://127.0.0.1:{self.server.port}/v1"

    @property
    def control_url(self) -> str:
        """The simulator's own door."""
        return f"http://127.0.0.1:{self._control.port}"

    @property
    def journal(self) -> list[Entry]:
        """Every request so far, in the order in which it was decided."""
        return self.log.entries

    @property
    def invoice(self) -> Invoice:
        """Every charge, that of batches which ended by now too."""
        self._batches.settle(self.clock.now())
        return self._invoice

    @property
    def doors(self) -> Mapping[str, Callable[..., None]]:
        """OpenAI's own: how long batches take that are created from now on."""
        return {"/batches": self._batches.take}

    def open(self) -> None:
        """Starts both servers and arms the first faults."""
        self.server.up()
        self._control.up()
        if self._settings.faults:
            self.faults.add(self._settings.faults)

    async def close(self) -> None:
        """Ends both servers."""
        await self.server.close()
        await self._control.close()
        self.log.close()

    def _follow_outage(self) -> None:
        refusing = self.faults.standing("O01")
        if refusing != self._refusing:
            self._refusing = refusing
            self.server.down() if refusing else self.server.up()

    async def _handle(self, request: Request) -> Reply:
        name, operation, part = self._route(request)
        request_id = self._new_id("req_")
        fault: Fault | None = None
        attempt = 0
        body = json_body(request)
        call_id = _call_id(request, body)
        try:
            account = self._authorize(request)
            attempt, fault = self.faults.draw(name, call_id)
            if refusal := self._refusal(fault):
                done = Done(refusal)
            else:
                done = await operation(
                    Call(request_id, request, _owner(request, account), account.limits, part, body, fault)
                )
        except Refused as refused:
            done = Done(refused.reply())
        reply = breakage.spoil(fault, done.reply) if done.reply.status == 200 else done.reply
        self.log.record(
            Entry(
                id=request_id,
                time=self.clock.now(),
                key=fingerprint(_key(request)),
                method=request.method,
                path=request.path,
                operation=name,
                client_request_id=request.headers.get("x-client-request-id", ""),
                call=call_id,
                attempt=attempt,
                inputs=done.inputs,
                tokens=done.tokens,
                status=reply.status,
                outcome=reply.delivery.value,
                fault=fault.text if fault else "",
                billed_nano_usd=done.billed_nano_usd,
            )
        )
        return await self._late(request_id, reply, done)

    async def _late(self, request_id: str, reply: Reply, done: Done) -> Reply:
        """Holds embeddings back for as long as the work would take; they are billed by then."""
        latency = 0.0
        if done.tokens:
            latency = self._settings.latency_seconds + self._settings.latency_seconds_per_token * done.tokens
        await asyncio.sleep(latency)
        headers = {
            "x-request-id": request_id,
            "openai-processing-ms": str(round(latency * 1000)),
            "openai-version": "2020-10-01",
        }
        return dataclasses.replace(reply, headers={**headers, **reply.headers})

    def _refusal(self, fault: Fault | None) -> Reply | None:
        if fault and fault.name == "O01":
            self.server.down(float(fault.variant or 1))
            return Reply(0, delivery=Delivery.RESET)
        return breakage.refusal(fault, f"http://localhost:{self.server.port}/foreign")

    def _authorize(self, request: Request) -> Account:
        """Whose key a request has.

        Raises:
            Refused: The key is bad, or does not belong to what the request names.
        """
        account = self.keys.find(_key(request))
        if account is None:
            raise bad_key(_key(request))
        for name, own in (("organization", account.organization), ("project", account.project)):
            named = request.headers.get(f"openai-{name}", own)
            if own and named != own:
                raise Refused(
                    401, f"OpenAI-{name.title()} should match the API key.", code=f"mismatched_{name}"
                )
        return account

    def _route(self, request: Request) -> tuple[str, Operation, str]:
        for method, pattern, name, operation in self._routes:
            match = re.fullmatch(pattern, request.path)
            if match and method == request.method:
                return name, operation, match[1] if match.groups() else ""
        return "foreign" if request.path == "/foreign" else "unknown", _unknown, ""

    def _new_id(self, prefix: str) -> str:
        return file_id(self._settings.seed, prefix, next(self._numbers[prefix]))


def _owner(request: Request, account: Account) -> str:
    """The project that a request acts for; keys without one share one."""
    return account.project or request.headers.get("openai-project", SHARED_PROJECT)


async def _unknown(call: Call) -> Done:
    raise Refused(404, f"Invalid URL ({call.request.method} {call.request.path})")


def _routes(api: Api) -> list[tuple[str, str, str, Operation]]:
    part = "([^/]+)"
    return [
        ("POST", "/v1/embeddings", "embeddings", api.embed),
        ("GET", "/v1/models", "models.list", api.list_models),
        ("GET", f"/v1/models/{part}", "models.get", api.get_model),
        ("POST", "/v1/files", "files.create", api.create_file),
        ("GET", f"/v1/files/{part}", "files.get", api.get_file),
        ("DELETE", f"/v1/files/{part}", "files.delete", api.delete_file),
        ("GET", f"/v1/files/{part}/content", "files.content", api.get_content),
        ("POST", "/v1/batches", "batches.create", api.create_batch),
        ("GET", "/v1/batches", "batches.list", api.list_batches),
        ("GET", f"/v1/batches/{part}", "batches.get", api.get_batch),
        ("POST", f"/v1/batches/{part}/cancel", "batches.cancel", api.cancel_batch),
    ]


def _key(request: Request) -> str:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def _call_id(request: Request, body: Any) -> str:
    """The logical call: what it asks for, whichever attempt it is."""
    given = body.get("input") if isinstance(body, dict) else None
    if given is not None:
        return logical_call(given if isinstance(given, list) else [given])
    whole = f"{request.method} {request.path} {sorted(request.query.items())}".encode() + request.body
    return hashlib.sha256(whole).hexdigest()


@contextlib.asynccontextmanager
async def simulator(
    settings: OpenAISettings | None = None, port: int = 0, control_port: int = 0
) -> AsyncIterator[OpenAISimulator]:
    """Runs a simulator on loopback ports, free ones where none are named, until the block ends."""
    running = OpenAISimulator(settings or OpenAISettings(), port, control_port)
    try:
        running.open()
        yield running
    finally:
        await running.close()
