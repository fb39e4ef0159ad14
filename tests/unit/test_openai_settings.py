"""What the environment must say for OpenAI, and how its health is told from probes."""

from __future__ import annotations

from functools import partial

import pytest

from services.embedder.config import EmbedderConfig
from waybill.common.v1.cost_pb2 import CostKind
from waybill.runtime import semconv
from waybill.runtime.config import ConfigError
from waybill.runtime.errors import Credential, Precondition, ServiceError, Unavailable
from waybill.vendors.breaker import Breaker
from waybill.vendors.failures import KEY_REFUSED
from waybill.vendors.health import AGAIN_SECONDS, FRESH_SECONDS, MISSES, VendorHealth

KEY = "sk-planted-0123456789abcdefghij"
DOWN = Unavailable("VENDOR_ERROR", "m")


@pytest.mark.parametrize(
    ("error", "looks_until_told"),
    [
        (DOWN, MISSES),
        (Precondition("VENDOR_UNREACHABLE", "m", {}, 0.0), MISSES),
        (Credential("VENDOR_KEY_REFUSED", "m"), 1),
        (Precondition("VENDOR_MODEL_UNKNOWN", "m"), 1),
    ],
)
async def test_silence_counts_after_several_misses_and_a_refusal_at_once(
    error: ServiceError, looks_until_told: int
) -> None:
    now, answers, probes = [0.0], iter([None, *[error] * MISSES, None]), []

    async def probe() -> bool:
        probes.append(now[0])
        if failure := next(answers):
            raise failure
        return True

    health = VendorHealth(probe, lambda: now[0])
    assert await health.works()
    assert await health.works()
    assert len(probes) == 1, "a good answer is kept"
    now[0] += FRESH_SECONDS
    for look in range(1, MISSES + 1):
        assert await health.works() is (look < looks_until_told)
        now[0] += AGAIN_SECONDS
    assert await health.works()


@pytest.mark.parametrize(
    "error",
    [
        Credential(KEY_REFUSED, "refused", {semconv.VENDOR: "openai"}),
        Precondition("VENDOR_BUCKET_UNKNOWN", "none", {semconv.VENDOR: "openai"}),
    ],
)
async def test_what_a_call_met_is_looked_at_while_a_good_answer_is_still_kept(error: ServiceError) -> None:
    breaker, ill = Breaker("openai", clock=lambda: 0.0), False

    async def answer() -> bool:
        if ill:
            raise error
        return True

    health = VendorHealth(partial(breaker.call, answer), lambda: 0.0, suspect=lambda: breaker.suspect)
    assert await health.works()
    ill = True
    assert await health.works(), "nobody has called"
    with pytest.raises(type(error)):
        await breaker.call(answer)
    assert not await health.works()


async def test_a_vendor_that_a_call_found_down_is_no_longer_said_to_work() -> None:
    breaker, down = Breaker("openai", failures=1, clock=lambda: 0.0), False

    async def answer() -> bool:
        if down:
            raise Unavailable("VENDOR_ERROR", "m", {semconv.VENDOR: "openai"})
        return True

    health = VendorHealth(partial(breaker.call, answer), lambda: 0.0, suspect=lambda: breaker.suspect)
    assert await health.works()
    down = True
    with pytest.raises(Unavailable):
        await breaker.call(answer)
    assert [await health.works() for _ in range(MISSES)] == [True] * (MISSES - 1) + [False]


async def test_a_probe_whose_key_was_rotated_away_asks_once_more_with_the_next() -> None:
    answers = iter([Credential(KEY_REFUSED, "refused", {"vendor": "openai"}, 0.0), None])

    async def probe() -> bool:
        if failure := next(answers):
            raise failure
        return True

    health = VendorHealth(probe, lambda: 0.0)
    assert await health.takes_key()
    assert await health.works()


async def test_a_vendor_that_never_answered_does_not_work() -> None:
    async def probe() -> bool:
        raise DOWN

    assert not await VendorHealth(probe, lambda: 0.0).works()


def test_the_environment_says_the_backend_and_what_its_money_is() -> None:
    given = {"WAYBILL_MODE": "simulator", "OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}
    config = EmbedderConfig.from_env(given)
    assert config.openai
    assert config.openai.kind == CostKind.COST_KIND_SIMULATED
    assert config.openai.keys.current() == KEY
    real = EmbedderConfig.from_env({"EMBEDDER_BACKEND": "openai", "OPENAI_API_KEY": KEY}).openai
    assert real
    assert real.kind == CostKind.COST_KIND_REAL
    assert EmbedderConfig.from_env({}).openai is None


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "OPENAI_API_KEY is not set"),
        ({"WAYBILL_MODE": "simulator", "OPENAI_API_KEY": KEY}, "OPENAI_BASE_URL"),
        ({"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "https://me:secret@host/v1"}, "OPENAI_BASE_URL"),
        ({"OPENAI_API_KEY": KEY, "OPENAI_REQUEST_TOKENS": "300000"}, "OPENAI_REQUEST_TOKENS"),
        ({"OPENAI_API_KEY": KEY, "WAYBILL_MODE": "simulator", "WAYBILL_ENV": "production"}, "WAYBILL_MODE"),
        ({"OPENAI_API_KEY": KEY, "OPENAI_MODEL": "somebody-elses"}, "OPENAI_DIMENSIONS"),
    ],
)
def test_what_the_environment_lacks_is_named(given: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        EmbedderConfig.from_env({"EMBEDDER_BACKEND": "openai", **given})
    assert KEY not in str(caught.value)
    assert "secret" not in str(caught.value)
