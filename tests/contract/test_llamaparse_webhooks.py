"""An event of LlamaCloud's brings a look forward if it is believed, and does nothing else."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import http.client
import json
import sys
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.testclient import TestClient

from services.parser.backends.llamaparse import webhooks
from services.parser.backends.llamaparse.config import LlamaParseConfig, Webhooks
from services.parser.backends.llamaparse.webhooks import MOST_BYTES, Receiver, address
from tests.conftest import MigratedPostgres
from tests.contract.makers_llamacloud import at, quick
from tests.contract.makers_llamaparse import begun, final, llamaparse
from tests.contract.makers_parser import HTML, a_run, neighbours
from tests.waiting import PATIENCE_SECONDS, until
from waybill.parser.v1.parse_job_pb2 import ParseJob
from waybill.parser.v1.parser_service_pb2 import GetParseJobRequest
from waybill.runtime import identity
from waybill.runtime.config import ConfigError
from waybill.runtime.http_listener import Bounds
from waybill.sim.llamacloud.simulator import simulator
from waybill.stack import ports
from waybill.vendors.llamaparse import webhook_fault

NOW = 1_800_000_000.0
CONFIG = Webhooks("https://hooks.example.com/waybill", "127.0.0.1:0", ("current-secret", "previous-secret"))
ENTRY, JOB = str(uuid.UUID(int=7)), "pjb-1"


@dataclass
class Hastened:
    """What was brought forward."""

    calls: list[tuple[uuid.UUID, str]] = field(default_factory=list)

    async def __call__(self, entry_id: uuid.UUID, job_id: str) -> bool:
        self.calls.append((entry_id, job_id))
        return job_id == JOB


def event(**more: Any) -> dict[str, Any]:
    return {
        "event_id": str(uuid.uuid4()), "event_type": "parse.success", "timestamp": NOW,
        "data": {"id": JOB, "job_id": JOB}, **more,
    }  # fmt: skip


def signed(body: bytes, secret: str = CONFIG.secrets[0]) -> Mapping[str, str]:
    # Independent of the code under test: five lines of any language.
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {"lc-signature": f"sha256={digest}", "content-type": "application/json"}


@pytest.fixture
def hastened() -> Hastened:
    return Hastened()


@pytest.fixture
def client(hastened: Hastened) -> TestClient:
    receiver = Receiver(CONFIG, hastened, lambda: NOW)
    return TestClient(receiver.app(), base_url="https://hooks.example.com")


PATH = urlsplit(address(CONFIG, ENTRY)).path


@pytest.mark.parametrize("secret", CONFIG.secrets)
@pytest.mark.parametrize("twice", [False, True])
def test_a_good_event_brings_the_look_forward_once(
    client: TestClient, hastened: Hastened, secret: str, twice: bool
) -> None:
    payload = json.dumps(event())
    body = (json.dumps(payload) if twice else payload).encode()
    answers = [client.post(PATH, content=body, headers=signed(body, secret)).status_code for _ in range(3)]
    assert (answers, hastened.calls) == ([200] * 3, [(uuid.UUID(ENTRY), JOB)])


@pytest.mark.parametrize(
    ("path", "payload", "headers", "status"),
    [
        (PATH, event(), signed(b"another body"), 403),
        (PATH, event(), {}, 403),
        (PATH, event(timestamp=NOW - 301), None, 403),
        (PATH, event(timestamp=NOW + 301), None, 403),
        (PATH, event(timestamp="nan"), None, 403),
        (PATH, event(timestamp=10**400), None, 403),
        (PATH, {"event_id": "1"}, None, 403),
        (urlsplit(address(CONFIG, str(uuid.UUID(int=8)))).path.replace(str(uuid.UUID(int=8)), ENTRY),
         event(), None, 403),
        (PATH.rpartition("/")[0], event(), None, 403),
        ("/", event(), None, 403),
        (PATH, event(padding="x" * MOST_BYTES), None, 413),
    ],
    ids=["forged", "unsigned", "late", "early", "timeless", "endless", "shapeless", "another job's token",
         "no token", "no path", "oversized"],
)  # fmt: skip
def test_what_is_not_believed_is_refused_and_asks_nobody(
    client: TestClient,
    hastened: Hastened,
    path: str,
    payload: dict[str, Any],
    headers: Mapping[str, str] | None,
    status: int,
) -> None:
    body = json.dumps(payload).encode()
    answer = client.post(path, content=body, headers=signed(body) if headers is None else headers)
    assert (answer.status_code, answer.content, hastened.calls) == (status, b"", [])


def test_an_event_of_another_job_of_ours_is_refused(client: TestClient, hastened: Hastened) -> None:
    body = json.dumps(event(data={"id": "pjb-2", "job_id": "pjb-2"})).encode()
    assert client.post(PATH, content=body, headers=signed(body)).status_code == 403


def test_a_browser_and_another_host_get_nothing(client: TestClient, hastened: Hastened) -> None:
    body = json.dumps(event()).encode()
    headers = dict(signed(body))
    assert client.post(PATH, content=body, headers={**headers, "origin": "https://a.b"}).status_code == 403
    assert client.post(PATH, content=body, headers={**headers, "host": "a.b"}).status_code == 400
    assert client.get(PATH).status_code == 405
    assert hastened.calls == []


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://hooks.example.com/w", ""),
        ("http://hooks.example.com/w", "https"),
        ("https://localhost:7411", "no public host"),
        ("https://127.0.0.1/", "no public host"),
        ("https://10.1.2.3/", "no public host"),
        ("https://parser.internal/", "no public host"),
        ("https://parser/", "no public host"),
        ("https://a:b@hooks.example.com", "password"),
        (f"https://hooks.example.com/{'x' * 120}", "characters"),
    ],
)
def test_an_address_that_the_vendor_would_not_send_to_is_told(url: str, why: str) -> None:
    fault = webhook_fault(url)
    assert why in fault
    assert bool(fault) == bool(why)


async def test_an_address_that_is_taken_is_told_at_the_start(hastened: Hastened) -> None:
    (port,) = ports.free_ports(1)
    config = replace(CONFIG, bind=f"127.0.0.1:{port}")
    async with webhooks.listening(config, hastened):
        with pytest.raises(ConfigError, match="LLAMA_CLOUD_WEBHOOK_BIND"):
            async with webhooks.listening(config, hastened):
                pass
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        connection.request("GET", "/")
        connection.close()


HEAD = b"POST /w HTTP/1.1\r\nhost: hooks.example.com\r\n"


@asynccontextmanager
async def a_listener(hastened: Hastened, **bounds: Any) -> AsyncIterator[int]:
    """Its port."""
    (port,) = ports.free_ports(1)
    config = replace(CONFIG, bind=f"0.0.0.0:{port}")
    async with webhooks.listening(config, hastened, Bounds(**bounds)):
        yield port


@asynccontextmanager
async def sender(port: int, sent: bytes, peer: str = "127.0.0.1") -> AsyncIterator[asyncio.StreamReader]:
    """What comes back of a connection on which so much was sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(peer, 0))
    try:
        writer.write(sent)
        yield reader
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def answer_to(port: int, sent: bytes, peer: str = "127.0.0.1") -> bytes:
    """What is sent until the connection is closed, or cut off."""
    async with asyncio.timeout(PATIENCE_SECONDS), sender(port, sent, peer) as reader:
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


@pytest.mark.parametrize(
    "sent", [b"", HEAD, HEAD + b"content-length: 9\r\n\r\n{"], ids=["silence", "half a head", "half a body"]
)
async def test_who_sends_too_slowly_is_cut_off(hastened: Hastened, sent: bytes) -> None:
    async with a_listener(hastened, seconds=0.3) as port:
        assert await answer_to(port, sent) == b""


@pytest.mark.skipif(sys.platform != "linux", reason="127.0.0.2 is an address of Linux alone")
async def test_a_peer_that_holds_its_connections_keeps_no_other_out(hastened: Hastened) -> None:
    whole = HEAD + b"content-length: 2\r\n\r\n{}"
    async with (
        a_listener(hastened, of_a_peer=3, connections=5, seconds=600) as port,
        AsyncExitStack() as held,
    ):
        for _ in range(3):
            await held.enter_async_context(sender(port, HEAD))
        assert await answer_to(port, HEAD) == b"", "one too many of this peer"
        answer = await answer_to(port, whole, "127.0.0.2")
        assert answer.startswith(b"HTTP/1.1 403")
        assert b"connection: close" in answer
        for peer in ("127.0.0.2", "127.0.0.3"):
            await held.enter_async_context(sender(port, HEAD, peer))
        assert await answer_to(port, whole, "127.0.0.4") == b"", "one too many of all"


@asynccontextmanager
async def told_by(sim_url: LlamaParseConfig) -> AsyncIterator[LlamaParseConfig]:
    """The same settings, with a listener of its own."""
    (port,) = ports.free_ports(1)
    hooks = Webhooks(f"http://127.0.0.1:{port}/hooks", f"127.0.0.1:{port}", ("s3cret",))
    yield replace(sim_url, webhooks=hooks)


@pytest.mark.parametrize("fault", ["", "F36", "F42", "F37", "F37/unsigned", "F40"])
async def test_a_parse_is_collected_whether_or_not_its_event_comes(
    database: MigratedPostgres, tmp_path: Path, fault: str
) -> None:
    slow = quick(0.2, 0.1)
    async with (
        simulator(slow) as sim,
        told_by(at(sim)) as config,
        neighbours(database, tmp_path) as near,
        llamaparse(database, near, config) as stub,
    ):
        if fault:
            sim.faults.add(fault)
        with identity.acting_as(a_run()):
            job = await final(stub, (await begun(stub, near, "tides.html", HTML)).job_id)
            assert (job.state, job.page_count) == (ParseJob.STATE_SUCCEEDED, 2)


@pytest.mark.slow
async def test_a_good_event_shortens_the_wait(database: MigratedPostgres, tmp_path: Path) -> None:
    slow = quick(60.0)
    async with (
        simulator(slow) as sim,
        told_by(at(sim)) as config,
        neighbours(database, tmp_path) as near,
        llamaparse(database, near, config) as stub,
    ):
        with identity.acting_as(a_run()):
            job = await begun(stub, near, "tides.html", HTML)

            async def waits_long() -> bool:
                nonlocal job
                job = (await stub.GetParseJob(GetParseJobRequest(job_id=job.job_id))).job
                return job.look_at.ToSeconds() > time.time() + 4

            await until(waits_long)
            sim.clock.advance(60.0)
            ended = await final(stub, job.job_id)
            assert ended.end_time.ToNanoseconds() < job.look_at.ToNanoseconds()
