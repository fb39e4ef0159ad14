"""Webhooks: when they leave, under which signature, and what breaks them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.sim.raw import ask, connected
from tests.sim.receiver import Receiver
from tests.sim.toy import KEY, NOON, Toy
from tests.waiting import PATIENCE_SECONDS, until
from waybill.sim.clock import Clock
from waybill.sim.outbox import Fate, Outbox, Webhook
from waybill.sim.wire import Delivery, Reply


@pytest.fixture
async def clock() -> Clock:
    return Clock(NOON)


@pytest.fixture
async def outbox(clock: Clock) -> AsyncIterator[Outbox]:
    made = Outbox(clock, attempt_seconds=PATIENCE_SECONDS)
    yield made
    await made.close()


def told(outbox: Outbox) -> list[tuple[str, float, int, int]]:
    return [(one.id, one.time - NOON, one.number, one.status) for one in outbox.attempts]


async def test_a_webhook_is_signed_and_posted_as_it_is(receiver: Receiver, outbox: Outbox) -> None:
    outbox.post(receiver.webhook())
    await outbox.sent()
    (seen,) = receiver.seen
    assert (seen.method, seen.path, seen.query, seen.body) == ("POST", "/hook", {"token": "t"}, b"w")
    assert (seen.headers["x-id"], receiver.genuine) == ("w", [True])
    assert told(outbox) == [("w", 0, 1, 200)]


async def test_what_is_not_taken_comes_again_by_the_clock_and_thrice_at_most(
    receiver: Receiver, outbox: Outbox, clock: Clock
) -> None:
    receiver.answers = [Reply(500), Reply(0, delivery=Delivery.RESET), Reply(302)]
    outbox.post(receiver.webhook())
    for _ in range(4):
        await outbox.sent()
        clock.advance(100)
    assert told(outbox) == [("w", 0, 1, 500), ("w", 1, 2, 0), ("w", 3, 3, 302)]
    assert receiver.genuine == [True, True, True]


async def test_a_receiver_has_so_long_to_answer_and_the_next_webhook_still_leaves(
    receiver: Receiver, clock: Clock
) -> None:
    outbox, silent = Outbox(clock, attempt_seconds=2.0), Receiver(silent=True)
    refusing = Webhook("refused", "http://127.0.0.1:1/", b"")
    for webhook in (refusing, silent.webhook("silent"), receiver.webhook("next")):
        outbox.post(webhook)
    await outbox.sent()
    await outbox.close()
    await silent.server.close()
    assert told(outbox) == [("refused", 0, 1, 0), ("silent", 0, 1, 0), ("next", 0, 1, 200)]


async def test_each_fate_is_what_the_receiver_sees(receiver: Receiver, outbox: Outbox, clock: Clock) -> None:
    for fate in Fate:
        outbox.post(receiver.webhook(fate.value), fate, delay_seconds=60)
    await outbox.sent()
    assert [one.body for one in receiver.seen] == [b"sent", b"duplicate", b"forged"]
    assert receiver.genuine == [True, True, False]
    clock.advance(60)
    await outbox.sent()
    assert [one.body for one in receiver.seen[3:]] == [b"late", b"duplicate"]
    assert receiver.genuine[3:] == [True, True]
    assert [one.id for one in outbox.attempts if one.number == 0] == ["lost"]


async def test_they_leave_in_the_order_of_their_times_however_far_the_clock_jumps(
    receiver: Receiver, outbox: Outbox, clock: Clock
) -> None:
    receiver.answers = [Reply(503)]
    for delay in (5, 1, 3):
        outbox.post(receiver.webhook(str(delay)), Fate.LATE, delay_seconds=delay)
    clock.advance(10)
    await outbox.sent()
    assert [one.body for one in receiver.seen] == [b"1", b"1", b"3", b"5"]
    assert told(outbox) == [("1", 1, 1, 503), ("1", 2, 2, 200), ("3", 3, 1, 200), ("5", 5, 1, 200)]


async def test_more_than_it_holds_is_lost_and_nothing_leaves_this_machine(
    receiver: Receiver, clock: Clock
) -> None:
    outbox = Outbox(clock, most=2)
    for name in "abc":
        outbox.post(receiver.webhook(name), Fate.LATE, delay_seconds=1)
    assert told(outbox) == [("c", 1, 0, 0)]
    clock.advance(1)
    await outbox.sent()
    assert [one.body for one in receiver.seen] == [b"a", b"b"]
    for url in ("http://198.51.100.1/", "https://127.0.0.1/", "http://localhost.example/"):
        with pytest.raises(ValueError, match="this machine"):
            outbox.post(Webhook("w", url, b""))


async def test_a_vendors_timer_sends_a_webhook_and_the_control_port_tells_it(receiver: Receiver) -> None:
    async with Toy(receiver.url) as toy:
        async with connected(toy.url) as line:
            await line.send("POST", "/slow/30", authorization=f"Bearer {KEY}")
            made = (await line.receive()).json["id"]
        await ask(toy.control_url, "POST", "/clock", {"advance_seconds": 29})
        assert not receiver.seen
        await ask(toy.control_url, "POST", "/clock", {"advance_seconds": 11})
        await until(lambda: len(toy.outbox.attempts) == 2)
        attempts = (await ask(toy.control_url, "GET", "/webhooks")).json["attempts"]
    assert [(one["id"], one["time"] - NOON, one["fate"]) for one in attempts] == [
        (made, 30, "duplicate"),
        (made, 40, "duplicate"),
    ]
    assert receiver.genuine == [True, True]
