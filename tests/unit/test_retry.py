"""Repeats of a vendor's call, and the breaker before it: what is sent again, when, and what is not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tests.waiting import turns
from waybill.runtime import deadline
from waybill.runtime.errors import (
    Credential,
    InvalidRequest,
    Precondition,
    Quota,
    ServiceError,
    Unavailable,
    VendorContract,
)
from waybill.vendors.breaker import Breaker
from waybill.vendors.retrying import Policy, retrying

OURS = {"vendor": "v"}
LOST = Unavailable("LOST", "m", OURS)
LIMITED = Quota("LIMITED", "m", OURS, 3.0)


class Time:
    """A clock that moves only by being slept on."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def clock(self) -> float:
        return self.now


class Vendor:
    """Answers as it is told to, one by one; the last for ever."""

    def __init__(self, *answers: ServiceError | str) -> None:
        self._answers = list(answers)
        self.calls = 0

    async def call(self) -> str:
        self.calls += 1
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, ServiceError):
            raise answer
        return answer


async def repeated(
    call: Callable[[], Awaitable[str]], time: Time, policy: Policy | None = None, luck: float = 1.0
) -> str:
    return await retrying(call, policy or Policy(), sleep=time.sleep, rng=lambda: luck, clock=time.clock)


async def test_a_lost_call_is_sent_again_after_a_back_off_that_doubles() -> None:
    vendor, time = Vendor(LOST, LOST, LOST, "good"), Time()
    assert await repeated(vendor.call, time) == "good"
    assert time.slept == [0.5, 1.0, 2.0]


async def test_the_back_off_is_jittered_down_to_nothing() -> None:
    vendor, time = Vendor(LOST, "good"), Time()
    await repeated(vendor.call, time, luck=0.0)
    assert time.slept == [0.0]


@pytest.mark.parametrize(
    ("error", "calls"),
    [
        (LOST, 6),
        (VendorContract("GARBAGE", "m", OURS), 2),
        (Quota("BROKE", "m", OURS), 1),
        (InvalidRequest("BAD", "m", OURS), 1),
        (Credential("KEY", "m", OURS), 1),
        (Precondition("MODEL", "m", OURS), 1),
        (Unavailable("LEDGER_AWAY", "m"), 1),
    ],
)
async def test_a_failure_that_stays_ends_after_its_number_of_attempts(
    error: ServiceError, calls: int
) -> None:
    vendor = Vendor(error)
    with pytest.raises(type(error)) as caught:
        await repeated(vendor.call, Time())
    assert caught.value.reason == error.reason
    assert vendor.calls == calls


async def test_an_answer_that_cannot_be_right_is_asked_for_again_though_a_reply_was_lost_before() -> None:
    vendor = Vendor(LOST, VendorContract("GARBAGE", "m", OURS), LOST, "good")
    assert await repeated(vendor.call, Time()) == "good"


async def test_a_refusal_that_names_a_time_is_repeated_then_however_often() -> None:
    vendor, time = Vendor(*[LIMITED] * 20, "good"), Time()
    assert await repeated(vendor.call, time) == "good"
    assert len(time.slept) == 20
    assert min(time.slept) >= 3.0


async def test_a_wait_beyond_the_deadline_is_told_at_once_as_something_to_repeat_later() -> None:
    vendor, time = Vendor(Quota("LIMITED", "m", OURS, 120.0)), Time()
    deadline.start(60)
    with pytest.raises(Unavailable) as caught:
        await repeated(vendor.call, time)
    assert (caught.value.reason, caught.value.retry_after_seconds) == ("LIMITED", 120.0)
    assert not time.slept


async def test_the_caller_hears_of_the_failure_before_its_own_deadline() -> None:
    vendor, time = Vendor(LOST), Time()
    deadline.start(2)
    with pytest.raises(Unavailable):
        await repeated(vendor.call, time)
    assert time.now < 1.5


async def test_a_cancelled_call_is_not_repeated() -> None:
    calls = []

    async def call() -> str:
        calls.append(1)
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await repeated(call, Time())
    assert len(calls) == 1


async def fail(breaker: Breaker, error: ServiceError, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(type(error)):
            await breaker.call(Vendor(error).call)


async def test_a_vendor_that_fails_in_a_row_is_left_alone_until_it_is_due() -> None:
    time, vendor = Time(), Vendor("good")
    breaker = Breaker("v", failures=3, open_seconds=1.0, clock=time.clock)
    await fail(breaker, LOST, 3)
    with pytest.raises(Precondition) as caught:
        await breaker.call(vendor.call)
    assert (caught.value.reason, caught.value.retry_after_seconds) == ("LOST", 1.0)
    assert vendor.calls == 0
    time.now = 1.0
    assert await breaker.call(vendor.call) == "good"
    assert breaker.closed


async def test_only_one_call_tries_a_vendor_that_was_down() -> None:
    time, answer = Time(), asyncio.Event()
    breaker = Breaker("v", failures=1, open_seconds=1.0, clock=time.clock)
    await fail(breaker, LOST)
    time.now = 1.0

    async def slow() -> str:
        await answer.wait()
        return "good"

    trial = asyncio.create_task(breaker.call(slow))
    await turns()
    with pytest.raises(Precondition, match="LOST"):
        await breaker.call(Vendor("good").call)
    answer.set()
    assert await trial == "good"
    assert await breaker.call(Vendor("good").call) == "good"


async def test_a_cancelled_try_lets_the_next_one_try() -> None:
    time = Time()
    breaker = Breaker("v", failures=1, open_seconds=1.0, clock=time.clock)
    await fail(breaker, LOST)
    time.now = 1.0
    trial = asyncio.create_task(breaker.call(asyncio.Event().wait))
    await turns()
    trial.cancel()
    await asyncio.gather(trial, return_exceptions=True)
    assert await breaker.call(Vendor("good").call) == "good"


async def test_each_failed_try_keeps_it_open_longer_up_to_a_bound() -> None:
    time, waits = Time(), []
    breaker = Breaker("v", failures=1, open_seconds=0.5, most_seconds=2.0, clock=time.clock)
    for _ in range(4):
        await fail(breaker, LOST)
        with pytest.raises(Precondition) as caught:
            await breaker.call(Vendor("good").call)
        waits.append(caught.value.retry_after_seconds)
        time.now += waits[-1] or 0.0
    assert waits == [0.5, 1.0, 2.0, 2.0]


@pytest.mark.parametrize(
    ("error", "opens"),
    [
        (LOST, True),
        (VendorContract("GARBAGE", "m", OURS), True),
        (Precondition("UNREACHABLE", "m", OURS, 0.0), True),
        (LIMITED, False),
        (InvalidRequest("BAD", "m", OURS), False),
        (Credential("KEY", "m", OURS), False),
        (Unavailable("LEDGER_AWAY", "m"), False),
    ],
)
async def test_only_silence_and_nonsense_of_the_vendor_open_it(error: ServiceError, opens: bool) -> None:
    breaker = Breaker("v", failures=2)
    await fail(breaker, error, 2)
    assert breaker.closed is not opens


async def test_calls_that_wait_for_a_vendor_go_on_when_it_is_back() -> None:
    time, vendor = Time(), Vendor(*[Precondition("UNREACHABLE", "m", OURS, 0.0)] * 30, "good")
    breaker = Breaker("v", failures=3, clock=time.clock)
    assert await repeated(lambda: breaker.call(vendor.call), time) == "good"
    assert vendor.calls == 31


async def test_a_vendor_that_refuses_the_key_is_ill_though_calls_go_through_until_one_succeeds() -> None:
    breaker = Breaker("v", failures=2)
    await fail(breaker, Credential("KEY", "m", OURS), 1)
    assert (breaker.closed, breaker.lack, breaker.ill) == (True, "", "KEY")
    await breaker.call(Vendor("good").call)
    assert breaker.ill == ""
