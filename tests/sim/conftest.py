"""One fresh simulator a test, without latency."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.sim.receiver import Receiver
from waybill.sim.llamacloud.settings import LlamaCloudSettings
from waybill.sim.llamacloud.simulator import LlamaCloudSimulator
from waybill.sim.openai.settings import OpenAISettings
from waybill.sim.openai.simulator import OpenAISimulator, simulator
from waybill.sim.supabase.settings import SupabaseSettings
from waybill.sim.supabase.simulator import SupabaseSimulator

NOON = 1_780_000_000.0


@pytest.fixture
async def sim() -> AsyncIterator[OpenAISimulator]:
    """Its clock stands still until a test advances it."""
    async with simulator(OpenAISettings(seed=7, latency_seconds=0, clock_start=NOON)) as running:
        yield running


@pytest.fixture
async def cloud() -> AsyncIterator[LlamaCloudSimulator]:
    """LlamaCloud; its clock stands still until a test advances it."""
    async with LlamaCloudSimulator(
        LlamaCloudSettings(seed=7, latency_seconds=0, clock_start=NOON), 0, 0
    ) as running:
        yield running


@pytest.fixture
async def project() -> AsyncIterator[SupabaseSimulator]:
    """A Supabase project; its clock stands still until a test advances it."""
    async with SupabaseSimulator(
        SupabaseSettings(seed=7, latency_seconds=0, clock_start=NOON), 0, 0
    ) as running:
        yield running


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    yield made
    await made.server.close()
