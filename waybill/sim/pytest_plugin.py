"""Fixtures for any project: point a client at a simulator's `base_url`, break it, read the invoice.

def test_a_lost_reply_is_paid(openai_simulator):
    client = OpenAI(base_url=openai_simulator.base_url, api_key=openai_simulator.key)
    openai_simulator.faults.add("O03:n=1")

pytest loads this file in every environment that has `waybill`, also where the simulators' own parts are
missing: it imports them when a fixture is asked for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from waybill.sim.llamacloud.settings import LlamaCloudSettings
    from waybill.sim.openai.settings import OpenAISettings
    from waybill.sim.remote import Remote
    from waybill.sim.supabase.settings import SupabaseSettings

OPENAI_KEY, LLAMACLOUD_KEY, SUPABASE_KEY = "sk-simulated", "llx-simulated", "sb_secret_simulated"


@pytest.fixture
def openai_simulator_settings() -> OpenAISettings:
    """The simulator's settings; a project overrides this fixture to change them."""
    with _extra():
        from waybill.sim.openai.settings import OpenAISettings
    return OpenAISettings(latency_seconds=0)


@pytest.fixture
def openai_simulator(openai_simulator_settings: OpenAISettings) -> Iterator[Remote]:
    """A fresh OpenAI simulator in a thread of its own, for synchronous and asynchronous tests."""
    with _extra():
        from waybill.sim.openai.simulator import simulator
        from waybill.sim.threaded import threaded
    with threaded(simulator(openai_simulator_settings), OPENAI_KEY) as remote:
        yield remote


@pytest.fixture
def llamacloud_simulator_settings() -> LlamaCloudSettings:
    """The simulator's settings; a project overrides this fixture to change them."""
    with _extra():
        from waybill.sim.llamacloud.settings import LlamaCloudSettings
    return LlamaCloudSettings(latency_seconds=0)


@pytest.fixture
def llamacloud_simulator(llamacloud_simulator_settings: LlamaCloudSettings) -> Iterator[Remote]:
    """A fresh LlamaCloud simulator in a thread of its own, for synchronous and asynchronous tests."""
    with _extra():
        from waybill.sim.llamacloud.simulator import simulator
        from waybill.sim.threaded import threaded
    with threaded(simulator(llamacloud_simulator_settings), LLAMACLOUD_KEY) as remote:
        yield remote


@pytest.fixture
def supabase_simulator_settings() -> SupabaseSettings:
    """The simulator's settings; a project overrides this fixture to change them."""
    with _extra():
        from waybill.sim.supabase.settings import SupabaseSettings
    return SupabaseSettings(latency_seconds=0)


@pytest.fixture
def supabase_simulator(supabase_simulator_settings: SupabaseSettings) -> Iterator[Remote]:
    """A fresh Supabase project in a thread of its own, for synchronous and asynchronous tests."""
    with _extra():
        from waybill.sim.supabase.simulator import simulator
        from waybill.sim.threaded import threaded
    with threaded(simulator(supabase_simulator_settings), SUPABASE_KEY) as remote:
        yield remote


@contextlib.contextmanager
def _extra() -> Iterator[None]:
    """Fails the test with what to install, where a part of the simulators is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("waybill"):
            raise
        pytest.fail(f"A simulator needs {error.name}: pip install 'waybill[simulator]'", pytrace=False)
