"""Webhooks of jobs: payload, form, signature (C10), and F36 to F42."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest

from tests.sim import cloud as wire
from tests.sim import raw
from tests.sim.conftest import NOON
from tests.sim.receiver import Receiver
from waybill.sim.llamacloud.settings import Assumptions, LlamaCloudSettings
from waybill.sim.llamacloud.simulator import LlamaCloudSimulator as Cloud
from waybill.sim.wire import Reply, Request

SECRET = "shh"


def hook(receiver: Receiver, **more: Any) -> list[dict[str, Any]]:
    one = {"webhook_url": receiver.url, "webhook_output_format": "json", "webhook_signing_secret": SECRET}
    return [{**one, **more}]


async def run(cloud: Cloud, receiver: Receiver, fault: str = "", **more: Any) -> str:
    """One job from its creation until it is over and told."""
    if fault:
        cloud.faults.add(fault)
    job_id = await wire.begin(cloud, webhook_configurations=hook(receiver, **more))
    cloud.clock.advance(60)
    await cloud.outbox.sent()
    return job_id


def is_genuine(request: Request) -> bool:
    """C10: five lines that share nothing with the simulator."""
    digest = hmac.new(SECRET.encode(), request.body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(request.headers.get("lc-signature", ""), f"sha256={digest}")


def told(receiver: Receiver) -> list[str]:
    return [json.loads(one.body)["event_type"] for one in receiver.seen]


async def test_a_job_tells_each_of_its_states_under_a_signature(cloud: Cloud, receiver: Receiver) -> None:
    job_id = await run(cloud, receiver, webhook_headers={"x-token": "t1"})
    assert told(receiver) == ["parse.pending", "parse.running", "parse.success"]
    last = receiver.seen[-1]
    payload = json.loads(last.body)
    assert payload["data"] == {"id": job_id, "job_id": job_id}
    assert payload["timestamp"] == NOON + 3
    assert (last.headers["x-webhook-event-id"], last.headers["x-webhook-event-type"]) == (
        payload["event_id"],
        "parse.success",
    )
    assert (last.headers["user-agent"], last.headers["x-token"]) == ("llamaindex-webhook-service/1.0", "t1")
    assert all(map(is_genuine, receiver.seen))
    assert len({json.loads(one.body)["event_id"] for one in receiver.seen}) == 3


@pytest.mark.parametrize(
    ("fault", "event"), [("F22", "parse.error"), ("F27", "parse.partial_success"), ("", "parse.success")]
)
async def test_only_the_events_that_are_wanted_are_told(
    cloud: Cloud, receiver: Receiver, fault: str, event: str
) -> None:
    await run(cloud, receiver, fault, webhook_events=[event])
    assert told(receiver) == [event]


async def test_a_cancelled_job_tells_it(cloud: Cloud, receiver: Receiver) -> None:
    job_id = await wire.begin(cloud, webhook_configurations=hook(receiver))
    await wire.ask(cloud, "POST", f"{wire.PARSE}/{job_id}/cancel")
    await cloud.outbox.sent()
    assert told(receiver) == ["parse.pending", "parse.cancelled"]


async def test_the_default_form_is_json_in_a_json_string(cloud: Cloud, receiver: Receiver) -> None:
    await run(cloud, receiver, webhook_output_format=None)
    once = json.loads(receiver.seen[0].body)
    assert isinstance(once, str)
    assert json.loads(once)["event_type"] == "parse.pending"
    assert is_genuine(receiver.seen[0])


async def test_an_event_is_tried_three_times_with_one_id(cloud: Cloud, receiver: Receiver) -> None:
    receiver.answers = [Reply(500)] * 3
    cloud.faults.add("F20")
    await wire.begin(cloud, webhook_configurations=hook(receiver))
    for seconds in (0, 1, 2, 100):
        cloud.clock.advance(seconds)
        await cloud.outbox.sent()
    assert len({json.loads(one.body)["event_id"] for one in receiver.seen}) == 1
    assert [(one.time - NOON, one.number) for one in cloud.outbox.attempts] == [(0, 1), (1, 2), (3, 3)]


async def test_no_secret_no_signature_nor_where_it_is_not_live(cloud: Cloud, receiver: Receiver) -> None:
    await run(cloud, receiver, webhook_signing_secret=None)
    off = LlamaCloudSettings(latency_seconds=0, clock_start=NOON, assumptions=Assumptions(signatures=False))
    async with Cloud(off, 0, 0) as other:
        await run(other, receiver)
    assert len(receiver.seen) == 6
    assert not any("lc-signature" in one.headers for one in receiver.seen)


@pytest.mark.parametrize(("notifies", "events"), [(True, 5), (False, 3)])
async def test_a_cached_job_tells_it_or_does_not(receiver: Receiver, notifies: bool, events: int) -> None:
    assumed = Assumptions(cache_hits_notify=notifies)
    settings = LlamaCloudSettings(latency_seconds=0, clock_start=NOON, assumptions=assumed)
    async with Cloud(settings, 0, 0) as cloud:
        await run(cloud, receiver)
        await run(cloud, receiver)
    assert len(receiver.seen) == events


async def test_f36_an_event_comes_twice(cloud: Cloud, receiver: Receiver) -> None:
    await run(cloud, receiver, "F36", webhook_events=["parse.success"])
    assert receiver.seen[0].body == receiver.seen[1].body
    assert len(receiver.seen) == 2


@pytest.mark.parametrize("variant", ["signature", "unsigned", "unknown"])
async def test_f37_an_event_is_forged(cloud: Cloud, receiver: Receiver, variant: str) -> None:
    job_id = await run(cloud, receiver, f"F37/{variant}", webhook_events=["parse.success"])
    (seen,) = receiver.seen
    assert is_genuine(seen) == (variant == "unknown")
    assert ("lc-signature" in seen.headers) == (variant != "unsigned")
    assert (json.loads(seen.body)["data"]["id"] == job_id) == (variant != "unknown")


async def test_f38_an_event_is_sent_again_ten_minutes_later(cloud: Cloud, receiver: Receiver) -> None:
    await run(cloud, receiver, "F38", webhook_events=["parse.success"])
    assert len(receiver.seen) == 1
    cloud.clock.advance(600)
    await cloud.outbox.sent()
    first, second = receiver.seen
    assert first.body == second.body
    assert cloud.clock.now() - json.loads(second.body)["timestamp"] > 600


async def test_f39_an_event_comes_before_the_create_returns(cloud: Cloud, receiver: Receiver) -> None:
    cloud.faults.add("F39")
    job_id = await wire.begin(cloud, webhook_configurations=hook(receiver))
    assert told(receiver) == ["parse.pending", "parse.success"]
    assert json.loads(receiver.seen[-1].body)["data"]["id"] == job_id


@pytest.mark.parametrize(("fault", "after"), [("F40", None), ("F40/30", 33)])
async def test_f40_an_event_is_lost_or_late(
    cloud: Cloud, receiver: Receiver, fault: str, after: float | None
) -> None:
    await run(cloud, receiver, fault, webhook_events=["parse.success"])
    (attempt,) = cloud.outbox.attempts
    assert (attempt.fate, len(receiver.seen)) == (("lost", 0) if after is None else ("late", 1))
    assert attempt.time - NOON == (after or 3)


async def test_f41_success_is_told_before_the_job_shows_it(cloud: Cloud, receiver: Receiver) -> None:
    cloud.faults.add("F41")
    job_id = await wire.begin(cloud, webhook_configurations=hook(receiver, webhook_events=["parse.success"]))
    cloud.clock.advance(3)
    await cloud.outbox.sent()
    assert told(receiver) == ["parse.success"]
    assert await wire.status(cloud, job_id) == "RUNNING"
    assert (await wire.look(cloud, job_id, "text")).status == 404
    cloud.clock.advance(5)
    assert await wire.status(cloud, job_id) == "COMPLETED"


async def test_f42_json_is_a_string_though_json_was_asked_for(cloud: Cloud, receiver: Receiver) -> None:
    await run(cloud, receiver, "F42", webhook_events=["parse.success"])
    assert isinstance(json.loads(receiver.seen[0].body), str)
    assert is_genuine(receiver.seen[0])


async def test_an_address_elsewhere_is_taken_and_its_event_lost(cloud: Cloud) -> None:
    await wire.done(cloud, webhook_configurations=[{"webhook_url": "https://hooks.example.com/a"}])
    assert [one.fate for one in cloud.outbox.attempts] == ["lost"] * 3
    seen = await raw.ask(cloud.control_url, "GET", "/webhooks")
    assert [one["url"] for one in seen.json["attempts"]] == ["https://hooks.example.com/a"] * 3
