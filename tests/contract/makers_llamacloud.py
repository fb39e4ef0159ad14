"""Simulated LlamaClouds, and settings that lead to them."""

from __future__ import annotations

import itertools
import secrets
from dataclasses import replace
from typing import Any

from services.parser.backends.llamaparse.config import LlamaParseConfig
from tests.waiting import PATIENCE_SECONDS
from waybill.common.v1.cost_pb2 import CostKind
from waybill.sim.llamacloud.settings import JobTimes, LlamaCloudSettings
from waybill.sim.llamacloud.simulator import LlamaCloudSimulator
from waybill.vendors.keys import Keys
from waybill.vendors.retrying import Policy

KEY = "llx-planted-0123456789abcdefghij"
SOON = Policy(first_seconds=0.01, most_seconds=0.05)
_SEEDS = itertools.count(secrets.randbits(32))


def quick(queued_seconds: float = 0.05, page_seconds: float = 0.001, **more: Any) -> LlamaCloudSettings:
    """A vendor that takes no time to speak of, and tells its credits at once.

    Each has a seed of its own: ids are drawn from it, and the tests of a session share a database.
    """
    jobs = JobTimes(queued_seconds, page_seconds, billed_seconds=0.0)
    return replace(LlamaCloudSettings(seed=next(_SEEDS), latency_seconds=0.0, jobs=jobs), **more)


def at(sim: LlamaCloudSimulator, *keys: str, **more: Any) -> LlamaParseConfig:
    """Settings that lead to a simulator."""
    config = LlamaParseConfig(
        keys=Keys(keys or [KEY]),
        kind=CostKind.COST_KIND_SIMULATED,
        base_url=sim.base_url,
        requests_per_minute=0,
        attempt_seconds=PATIENCE_SECONDS,
    )
    return replace(config, **more)
