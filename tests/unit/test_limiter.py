"""The limiter mirrors the vendor's buckets, and what headers say is read as it is written."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.inprocess import someone
from tests.waiting import PATIENCE_SECONDS, turns
from waybill.runtime import deadline, identity
from waybill.runtime.errors import Quota
from waybill.vendors.limiter import Limiter
from waybill.vendors.rate_headers import duration_seconds, retry_after_seconds


class Time:
    """A clock that moves to when the first of those who sleep on it wants to be woken."""

    def __init__(self) -> None:
        self.now = 0.0
        self._alarms: list[float] = []

    async def sleep(self, seconds: float) -> None:
        alarm = self.now + seconds
        self._alarms.append(alarm)
        while self.now < alarm:
            await turns(20)  # whoever can go on without this clock does
            if alarm == min(self._alarms):
                self.now = max(self.now, alarm)
        self._alarms.remove(alarm)

    def clock(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def ingest() -> Iterator[None]:
    """Whoever a test does not name is an ingest."""
    with identity.acting_as(someone("local", "run")):
        yield


@contextmanager
def asking(tenant: str = "local") -> Iterator[None]:
    with identity.acting_as(someone(tenant)):
        yield


async def settled() -> None:
    """Everything that was begun has come as far as it can."""
    await turns(10)


async def take(limits: Limiter, tokens: int = 1, name: str = "", order: list[str] | None = None) -> None:
    async with limits.turn(tokens):
        if order is not None:
            order.append(name)


def limiter(time: Time, concurrency: int = 8, requests_per_minute: int = 0) -> Limiter:
    return Limiter("v", concurrency, time.clock, time.sleep, requests_per_minute=requests_per_minute)


def headers(limit: int, remaining: int, reset: str = "", name: str = "tokens") -> dict[str, str]:
    prefix = "x-ratelimit"
    return {
        f"{prefix}-limit-{name}": str(limit),
        f"{prefix}-remaining-{name}": str(remaining),
        f"{prefix}-reset-{name}": reset,
    }


async def test_nothing_waits_while_nothing_is_known() -> None:
    time = Time()
    limits = limiter(time)
    for _ in range(100):
        async with limits.turn(1_000_000):
            pass
    assert time.now == 0


async def test_a_full_bucket_is_used_at_the_rate_at_which_it_fills_and_no_slower() -> None:
    """60 requests of 32k through 1M a minute: the bucket's own bound is (60 · 32k - 1M) / rate."""
    time = Time()
    limits, level, at = limiter(time), 1_000_000.0, 0.0
    for _ in range(60):
        async with limits.turn(32_000):
            sent = time.now
            level = min(1_000_000.0, level + (time.now - at) * 1_000_000 / 60) - 32_000
            at = time.now
            assert level > -1, "the vendor would have refused"
            time.now += 0.5
            full = (1_000_000 - level) * 60 / 1_000_000
            limits.learn(headers(1_000_000, int(level), f"{full:.3f}s"), sent)
    bound = (60 * 32_000 - 1_000_000) / (1_000_000 / 60)
    assert time.now <= 1.03 * bound + 1


async def test_requests_a_minute_bind_as_well() -> None:
    time = Time()
    limits = limiter(time)
    limits.learn(headers(60, 0, "60s", name="requests"), 0.0)
    for _ in range(3):
        async with limits.turn(1):
            pass
    assert time.now == pytest.approx(3, abs=0.1)


async def test_another_user_of_the_key_is_seen_in_what_remains() -> None:
    time = Time()
    limits = limiter(time)
    limits.learn(headers(60_000, 60_000), 0.0)
    limits.learn(headers(60_000, 1_000), 0.0)
    async with limits.turn(11_000):
        pass
    assert time.now == pytest.approx(10, abs=0.1)


async def test_what_was_used_of_a_larger_limit_is_not_missing_from_a_lowered_one() -> None:
    time = Time()
    limits = limiter(time)
    limits.learn(headers(1_000_000, 1_000_000), 0.0)
    async with limits.turn(900_000):
        pass
    limits.learn(headers(100_000, 60_000), 0.0)
    async with limits.turn(60_000):
        assert time.now == 0
    async with limits.turn(10_000):
        assert time.now == pytest.approx(6, abs=0.1)


async def test_a_pause_holds_everybody() -> None:
    time = Time()
    limits = limiter(time)
    limits.pause(7)
    async with limits.turn(1):
        assert time.now == 7


async def test_what_can_wait_leaves_requests_to_others_but_not_for_ever() -> None:
    time = Time()
    limits = limiter(time, requests_per_minute=60)
    await limits.leisure(30, 300)
    assert time.now == 0
    for _ in range(60):
        await take(limits)
    await limits.leisure(30, 10)
    assert time.now == pytest.approx(10)
    await limits.leisure(30, 300)
    assert time.now == pytest.approx(30, abs=0.1)


async def test_a_vendor_that_refuses_has_no_requests_left_whatever_was_counted_here() -> None:
    time = Time()
    limits = limiter(time, requests_per_minute=60)
    limits.emptied(1)
    for second in (1, 2, 3):
        await take(limits)
        assert time.now == pytest.approx(second, abs=0.1), "no faster than they come back"


async def test_a_probe_counts_though_it_waits_for_no_turn() -> None:
    time = Time()
    limits = limiter(time, requests_per_minute=1)
    limits.spend()
    await take(limits)
    assert time.now == pytest.approx(60, abs=0.1)


async def test_what_is_larger_than_the_bucket_waits_for_a_full_one() -> None:
    time = Time()
    limits = limiter(time)
    limits.learn(headers(1_000, 0), 0.0)
    async with limits.turn(32_000):
        pass
    assert time.now == pytest.approx(60, abs=0.1)


async def test_a_wait_beyond_the_deadline_is_refused_and_gives_its_place_back() -> None:
    time = Time()
    limits = limiter(time, concurrency=1)
    limits.pause(100)
    deadline.start(60)
    with pytest.raises(Quota, match="VENDOR_RATE_LIMITED") as caught:
        async with limits.turn(1):
            pass
    assert caught.value.retry_after_seconds == pytest.approx(100)
    time.now = 100
    async with limits.turn(1):
        pass


async def test_no_more_than_the_concurrency_are_under_way() -> None:
    limits, under_way, most = limiter(Time(), concurrency=3), 0, 0

    async def send() -> None:
        nonlocal under_way, most
        async with limits.turn(1):
            under_way += 1
            most = max(most, under_way)
            await turns()
            under_way -= 1

    await asyncio.gather(*[send() for _ in range(20)])
    assert most == 3


async def test_a_question_is_sent_while_an_ingest_waits_for_its_tokens() -> None:
    time = Time()
    limits = limiter(time)
    limits.learn(headers(60_000, 0), 0.0)
    ingest = asyncio.create_task(take(limits, 30_000))
    await settled()
    with asking():
        await take(limits, 20)
    assert time.now < 1
    await ingest
    assert time.now == pytest.approx(30, abs=0.1)


async def test_a_question_has_a_place_while_ingests_have_all_of_theirs() -> None:
    limits = limiter(Time(), concurrency=1)
    async with limits.turn(32_000), asyncio.timeout(PATIENCE_SECONDS):
        with asking():
            await take(limits)


async def test_questions_without_end_leave_an_ingest_most_of_the_limit() -> None:
    time = Time()
    limits = limiter(time)
    limits.learn(headers(60_000, 0), 0.0)

    async def ask_for_ever() -> None:
        with asking():
            while True:
                await take(limits, 1_000)

    asks = [asyncio.create_task(ask_for_ever()) for _ in range(2)]
    await settled()
    await take(limits, 30_000)
    for ask in asks:
        ask.cancel()
    # 30 s alone; of the rate 3/4, and what questions had not used of their share before: 15 s of all.
    assert time.now <= 30 / 0.75 + 20 + 1


async def test_tenants_have_turns_however_many_requests_each_has_waiting() -> None:
    limits, order = limiter(Time(), concurrency=1), list[str]()
    async with limits.turn(1):
        waiting = []
        for tenant in ["large"] * 10 + ["small"]:
            with identity.acting_as(someone(tenant, "run")):
                waiting.append(asyncio.create_task(take(limits, 1, tenant, order)))
        await settled()
    await asyncio.gather(*waiting)
    assert order.index("small") <= 1


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12ms", 0.012),
        ("1s", 1),
        ("6m0s", 360),
        ("1h2m3.5s", 3723.5),
        ("", None),
        ("soon", None),
        ("5", None),
    ],
)
def test_durations_are_read_as_the_vendor_writes_them(text: str, seconds: float | None) -> None:
    assert duration_seconds(text) == seconds


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({"retry-after": "2"}, 2),
        ({"retry-after": "2", "retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "garbage"}, None),
        ({}, None),
        ({"x-ratelimit-reset-tokens": "6m0s", "x-ratelimit-reset-requests": "1s"}, 360),
        (headers(1_000_000, 0, "6m0s"), None),
    ],
)
def test_the_time_to_come_back_is_the_plainest_that_is_said(
    given: dict[str, str], seconds: float | None
) -> None:
    assert retry_after_seconds(given) == seconds
