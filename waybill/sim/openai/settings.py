"""How the simulated OpenAI behaves, and what it sells."""

from __future__ import annotations

from dataclasses import dataclass, field

from waybill.sim.simulator import Settings


@dataclass(frozen=True)
class Model:
    """One embedding model; prices in nano-USD per token (OpenAI's price list, 2024)."""

    name: str
    dimensions: int
    reducible: bool
    nano_usd_per_token: int
    batch_nano_usd_per_token: int
    created: int


MODELS = {
    model.name: model
    for model in (
        Model("text-embedding-3-small", 1536, True, 20, 10, 1_705_948_997),
        Model("text-embedding-3-large", 3072, True, 130, 65, 1_705_953_180),
        Model("text-embedding-ada-002", 1536, False, 100, 50, 1_671_217_299),
    )
}
PRICES = {model.name: model.nano_usd_per_token for model in MODELS.values()} | {
    f"{model.name} batch": model.batch_nano_usd_per_token for model in MODELS.values()
}

MOST_INPUTS = 2048
MOST_INPUT_TOKENS = 8192
MOST_REQUEST_TOKENS = 300_000


@dataclass(frozen=True)
class BatchTimes:
    """How long a batch takes in each state; past 24 hours of all it expires with what is done."""

    validating_seconds: float = 5
    working_seconds: float = 600
    finalizing_seconds: float = 5
    cancelling_seconds: float = 30


@dataclass(frozen=True)
class OpenAISettings(Settings):
    """One simulator; the limits are for each project and model.

    Args:
        latency_seconds_per_token: On top of each request's latency.
        batch: How long batches take.
    """

    latency_seconds_per_token: float = 2e-6
    batch: BatchTimes = field(default_factory=BatchTimes)
