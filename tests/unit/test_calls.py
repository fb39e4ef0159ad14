"""Calls to a vendor that refuses everything for its rate limit: who waits, and how often it is asked."""

from __future__ import annotations

import pytest

from tests.unit.test_retry import OURS, Time, Vendor
from waybill.runtime.errors import Quota, Unavailable
from waybill.vendors.calls import Calls, not_waiting
from waybill.vendors.retrying import Policy

# It names no time.
LIMITED = Quota("LIMITED", "m", OURS, 0.0)
POLICY = Policy()


def calls(time: Time) -> Calls:
    return Calls("v", POLICY, time.sleep, time.clock)


async def refused(calls: Calls, vendor: Vendor, *, go_on: bool) -> None:
    with not_waiting(go_on), pytest.raises(Unavailable, match="m"):
        await calls.make(vendor.call)


async def test_who_goes_on_without_it_hears_so_after_a_minute_of_few_calls() -> None:
    time, vendor = Time(), Vendor(LIMITED)
    await refused(calls(time), vendor, go_on=True)
    assert POLICY.limited_seconds <= time.now < POLICY.patience_seconds / 2
    assert vendor.calls < 16


async def test_the_next_one_asks_once() -> None:
    time, vendor = Time(), Vendor(LIMITED)
    made = calls(time)
    await refused(made, vendor, go_on=True)
    time.now, vendor.calls = time.now + POLICY.limited_seconds, 0
    await refused(made, vendor, go_on=True)
    assert vendor.calls == 1


async def test_after_a_long_silence_a_refusal_says_nothing_of_the_earlier_ones() -> None:
    time, vendor = Time(), Vendor(LIMITED)
    made = calls(time)
    await refused(made, vendor, go_on=True)
    time.now, vendor.calls = time.now + 3 * POLICY.limited_seconds, 0
    await refused(made, vendor, go_on=True)
    assert vendor.calls > 1


async def test_a_vendor_that_serves_others_meanwhile_is_asked_on() -> None:
    time, others = Time(), Vendor("good")
    made = calls(time)

    async def call() -> str:
        await made.make(others.call)
        raise LIMITED

    with not_waiting(True), pytest.raises(Unavailable):
        await made.make(call)
    assert time.now > 2 * POLICY.limited_seconds


async def test_who_cannot_go_on_without_it_waits_on() -> None:
    time, vendor = Time(), Vendor(LIMITED)
    await refused(calls(time), vendor, go_on=False)
    assert time.now > 2 * POLICY.limited_seconds
