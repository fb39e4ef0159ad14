"""Fixtures for any project: point a client at `openai_simulator.base_url`, break it, read the invoice.

def test_a_lost_reply_is_paid(openai_simulator):
    client = OpenAI(base_url=openai_simulator.base_url, api_key=openai_simulator.key)
    openai_simulator.faults.add("O03:n=1")
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from waybill.sim.openai.settings import OpenAISettings
from waybill.sim.openai.simulator import simulator
from waybill.sim.remote import Remote

KEY = "sk-simulated"


@pytest.fixture
def openai_simulator_settings() -> OpenAISettings:
    """The simulator's settings; a project overrides this fixture to change them."""
    return OpenAISettings(latency_seconds=0)


@pytest.fixture
def openai_simulator(openai_simulator_settings: OpenAISettings) -> Iterator[Remote]:
    """A fresh OpenAI simulator in a thread of its own, for synchronous and asynchronous tests."""
    with running(openai_simulator_settings) as remote:
        yield remote


@contextlib.contextmanager
def running(settings: OpenAISettings) -> Iterator[Remote]:
    """Runs a simulator in a thread until the block ends."""
    ready: Future[tuple[Remote, asyncio.AbstractEventLoop, asyncio.Event]] = Future()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(settings, ready)), name="openai-simulator")
    thread.start()
    try:
        remote, loop, stop = ready.result()
        try:
            yield remote
        finally:
            loop.call_soon_threadsafe(stop.set)
    finally:
        thread.join()


async def _serve(
    settings: OpenAISettings, ready: Future[tuple[Remote, asyncio.AbstractEventLoop, asyncio.Event]]
) -> None:
    stop = asyncio.Event()
    try:
        async with simulator(settings) as running_simulator:
            remote = Remote(running_simulator.base_url, running_simulator.control_url, KEY)
            ready.set_result((remote, asyncio.get_running_loop(), stop))
            await stop.wait()
    except Exception as error:
        if ready.done():
            raise
        ready.set_exception(error)
