"""Places go round over tenants, then over their works."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from tests.waiting import PATIENCE_SECONDS, turns
from waybill.runtime.fair import Places

Want = tuple[str, str]


async def order(places: Places, wants: Sequence[Want]) -> list[Want]:
    """In which order those are served that came in this one, while the only place was taken."""
    served: list[Want] = []

    async def work(want: Want) -> None:
        async with places.turn(*want):
            served.append(want)

    async with asyncio.TaskGroup() as group, places.turn("first"):
        for want in wants:
            group.create_task(work(want))
        await turns()
    return served


async def test_a_tenant_with_much_to_do_has_no_more_turns_than_one_with_little() -> None:
    big, small = [("big", "run")] * 4, [("small", "run")] * 2
    served = await order(Places(1), big + small)
    assert [tenant for tenant, _ in served] == ["big", "small", "big", "small", "big", "big"]


async def test_within_a_tenant_its_works_go_round() -> None:
    long, short = [("acme", "long")] * 3, [("acme", "short")]
    assert await order(Places(1), long + short) == [long[0], short[0], long[0], long[0]]


async def test_no_more_are_at_it_than_there_are_places() -> None:
    places, at_it, most = Places(3), 0, 0

    async def work(number: int) -> None:
        nonlocal at_it, most
        async with places.turn(f"tenant {number % 4}", str(number % 5)):
            at_it += 1
            most = max(most, at_it)
            await turns()
            at_it -= 1

    await asyncio.gather(*(work(number) for number in range(50)))
    assert most == 3


@pytest.mark.parametrize("given", [False, True])
async def test_a_place_is_not_lost_with_who_waited_for_it(given: bool) -> None:
    places = Places(1)

    async def take() -> None:
        async with places.turn("acme"):
            pass

    async with places.turn("acme"):
        waiting = asyncio.create_task(take())
        await turns()
        if not given:
            waiting.cancel()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert waiting.cancelled()
    async with asyncio.timeout(PATIENCE_SECONDS):
        await take()
