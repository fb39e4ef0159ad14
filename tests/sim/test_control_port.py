"""The control port, the command, and the fixtures for other projects."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests import waiting
from tests.sim.raw import KEY, SMALL, ask, embed
from tests.waiting import PATIENCE_SECONDS, until
from waybill.sim.llamacloud.simulator import simulator as llamacloud
from waybill.sim.openai.settings import OpenAISettings
from waybill.sim.openai.simulator import OpenAISimulator, simulator
from waybill.sim.simulator import Simulator
from waybill.sim.supabase.simulator import simulator as supabase
from waybill.sim.threaded import threaded

LARGE = "text-embedding-3-large"
DOCUMENT = (Path(__file__).parents[2] / "docs" / "simulators.md").read_text(encoding="utf-8")


async def post(sim: OpenAISimulator, path: str, **body: Any) -> Any:
    seen = await ask(sim.control_url, "POST", path, body)
    assert seen.status == 200, seen.json
    return seen.json


async def test_faults_are_armed_and_healed_and_the_invoice_is_read(sim: OpenAISimulator) -> None:
    assert (await post(sim, "/faults", fault="O03:n=7,500"))["faults"] == ["O03:n=7", "500"]
    assert (await embed(sim.base_url, "one")).status == 500
    assert (await post(sim, "/heal", name="500"))["faults"] == ["O03:n=7"]
    await embed(sim.base_url, "one")
    invoice = (await ask(sim.control_url, "GET", "/invoice")).json
    assert (invoice["total_nano_usd"], invoice["quantities"]) == (20, {SMALL: 1})
    journal = (await ask(sim.control_url, "GET", "/journal?since=1")).json["entries"]
    assert [(entry["status"], entry["billed_nano_usd"]) for entry in journal] == [(200, 20)]


async def test_clock_keys_and_limits_are_changed(sim: OpenAISimulator) -> None:
    before = sim.clock.now()
    assert (await post(sim, "/clock", advance_seconds=60))["now"] == before + 60
    await post(sim, "/keys", revoke=KEY)
    assert (await embed(sim.base_url, "one")).status == 401
    await post(sim, "/keys", add=KEY)
    await post(sim, "/limits", tokens_per_minute=1)
    assert (await embed(sim.base_url, "one two")).status == 429


async def test_an_outage_is_begun_and_ended(sim: OpenAISimulator) -> None:
    assert (await post(sim, "/outage"))["up"] is False
    with pytest.raises(ConnectionRefusedError):
        await embed(sim.base_url, "one")
    assert (await post(sim, "/outage", end=True))["up"] is True
    await post(sim, "/outage", seconds=0.05)
    await until(lambda: sim.server.is_up)


@pytest.mark.parametrize("turns", range(8))
async def test_no_connection_outlives_an_outage_that_began_while_it_was_accepted(
    sim: OpenAISimulator, turns: int
) -> None:
    with socket.create_connection(("127.0.0.1", sim.server.port)) as client:
        client.setblocking(False)
        await waiting.turns(turns)
        sim.server.down()
        async with asyncio.timeout(PATIENCE_SECONDS):
            with contextlib.suppress(ConnectionError):
                assert await asyncio.get_running_loop().sock_recv(client, 1) == b""


@pytest.mark.parametrize(
    ("path", "body"),
    [("/faults", {"fault": "O99"}), ("/faults", {}), ("/clock", {"advance_seconds": -1}), ("/keys", [])],
)
async def test_what_cannot_be_done_is_400_with_a_reason(sim: OpenAISimulator, path: str, body: Any) -> None:
    seen = await ask(sim.control_url, "POST", path, body)
    assert seen.status == 400
    assert seen.json["error"]


async def test_a_page_in_a_browser_cannot_use_the_control_port(sim: OpenAISimulator) -> None:
    for headers in ({"origin": "http://evil.example"}, {"host": "evil.example"}):
        assert (await ask(sim.control_url, "POST", "/heal", {}, **headers)).status == 403
    assert (await ask(sim.control_url, "GET", "/heal")).status == 404


@contextlib.asynccontextmanager
async def command(*options: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str, str]]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "waybill.sim", "openai", "--latency", "0ms", *options),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin
    assert process.stdout
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            base = (await process.stdout.readline()).decode().split()
            control = (await process.stdout.readline()).decode().split()
        assert (base[0], control[0]) == ("base_url", "control_url")
        yield process, base[1], control[1]
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        process.stdin.close()


async def test_the_command_takes_keys_and_faults_and_ends_on_a_signal(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"{KEY}\n")
    async with command("--fault", "429:n=1,O03:n=7", "--keys", str(tmp_path / "keys")) as started:
        process, base_url, control_url = started
        assert (await embed(base_url, "one")).status == 429
        assert (await embed(base_url, "one")).status == 200
        assert (await ask(base_url, "GET", "/v1/models", authorization="Bearer sk-other")).status == 401
        assert (await ask(control_url, "GET", "/state")).json["requests"] == 3
        process.send_signal(signal.SIGTERM)


async def test_the_command_ends_with_its_parents_pipe() -> None:
    async with command("--stop-on-eof") as (process, _, _):
        assert process.stdin
        process.stdin.close()


def test_the_fixture_serves_synchronous_tests_from_a_thread() -> None:
    with threaded(simulator(OpenAISettings(latency_seconds=0, clock_start=0)), KEY) as remote:
        remote.faults.add("500:n=1")
        asked = [asyncio.run(embed(remote.base_url, "one")).status for _ in range(2)]
        assert asked == [500, 200]
        remote.clock.advance(60)
        remote.keys.revoke(KEY)
        assert asyncio.run(embed(remote.base_url, "one")).status == 401
        remote.keys.add(KEY, tokens_per_minute="1")
        assert asyncio.run(embed(remote.base_url, "one two", model=LARGE)).status == 429
        assert [(entry.status, entry.time) for entry in remote.journal][1:3] == [(200, 0), (401, 60)]
        assert (remote.invoice.total_nano_usd, remote.invoice.quantities) == (20, {SMALL: 1})
        with pytest.raises(ValueError, match="O99"):
            remote.faults.add("O99")


@pytest.mark.parametrize(
    ("make", "question", "key"),
    [
        (simulator, "/v1/models", KEY),
        (llamacloud, "/api/v1/projects", "llx-simulated"),
        (supabase, "/storage/v1/bucket/waybill", "sb_secret_simulated"),
    ],
)
def test_each_vendors_good_answers_take_as_long_as_they_are_told(
    make: Callable[[], Simulator], question: str, key: str
) -> None:
    with threaded(make(), key) as remote:
        remote.delay(0.08)
        credentials = {"authorization": f"Bearer {key}", "apikey": key}
        began = time.monotonic()
        assert (
            asyncio.run(ask(remote.base_url.removesuffix("/v1"), "GET", question, **credentials)).status
            == 200
        )
        assert time.monotonic() - began >= 0.08


async def test_the_documents_example_runs_in_a_project_of_ones_own(tmp_path: Path) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```", DOCUMENT, flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "test_theirs.py").write_text(example)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "pytest", "-p", "no:cacheprovider", str(tmp_path)),
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()


def test_a_simulator_that_cannot_start_says_so_in_the_test() -> None:
    with pytest.raises(ValueError, match="O99"), threaded(simulator(OpenAISettings(faults="O99")), KEY):
        pass
