"""The OpenAI backend beyond its faults: keys, health, limits, settings, and what is sent."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.embedder.backends.openai import OpenAIEmbedder
from services.embedder.backends.openai_client import opened
from tests.conftest import MigratedPostgres
from tests.contract.makers_embedder import KEY, at, embedder, new_run
from tests.inprocess import Recorder, someone
from tests.waiting import PATIENCE_SECONDS, until
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.runtime import identity, semconv
from waybill.sim.limits import Limits
from waybill.sim.openai.embeddings import vectors
from waybill.sim.openai.settings import OpenAISettings
from waybill.sim.openai.simulator import OpenAISimulator, simulator
from waybill.vendors.keys import Keys
from waybill.vendors.limiter import Limiter

QUICK = OpenAISettings(seed=1, latency_seconds=0.0)
TEXTS = ["a text about boats", "a text about bread"]


@pytest.fixture
async def sim() -> AsyncIterator[OpenAISimulator]:
    async with simulator(QUICK) as running:
        yield running


async def test_a_key_file_that_changes_under_load_drops_no_call(
    database: MigratedPostgres, sim: OpenAISimulator, tmp_path: Path
) -> None:
    file = tmp_path / "key"
    file.write_text("sk-old")
    async with embedder(database, dataclasses.replace(at(sim), keys=Keys([], file))) as bench:
        with identity.acting_as(new_run()):
            await bench.vectors(TEXTS)
            file.write_text("sk-new\n")
            sim.keys.revoke("sk-old")
            await asyncio.gather(*[bench.vectors([f"text {number}"]) for number in range(10)])
    assert len({one.key for one in sim.journal if one.operation == "embeddings" and one.status == 200}) == 2


async def test_of_two_keys_the_second_is_used_once_the_first_is_refused(
    database: MigratedPostgres, sim: OpenAISimulator
) -> None:
    async with embedder(database, at(sim, "sk-first", "sk-second")) as bench:
        with identity.acting_as(who := new_run()):
            await bench.vectors(TEXTS)
            sim.keys.revoke("sk-first")
            await bench.vectors(TEXTS)
            await bench.vectors(TEXTS)
            entries = await bench.entries(who.run_id)
    ends = [entry.state for entry in entries]
    assert ends.count(Entry.STATE_RELEASED) == 1
    assert ends.count(Entry.STATE_SETTLED) == 3


async def test_a_file_that_is_empty_for_a_moment_leaves_the_keys_as_they_were(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("sk-one")
    keys = Keys([], file)
    assert keys.current() == "sk-one"
    file.write_text("")
    assert keys.current() == "sk-one"
    file.unlink()
    assert keys.current() == "sk-one"


async def test_a_key_file_with_what_no_header_takes_changes_nothing_and_a_mark_of_its_encoding_is_no_key(
    database: MigratedPostgres, sim: OpenAISimulator, tmp_path: Path
) -> None:
    file = tmp_path / "key"
    file.write_text(KEY)
    async with embedder(database, dataclasses.replace(at(sim), keys=Keys([], file))) as bench:
        for content in (KEY.encode("utf-8-sig"), "sk-“quoted”".encode(), b"sk-\x00", KEY.encode("utf-16")):
            file.write_bytes(content)
            await bench.vectors([f"After {content!r}."])


@pytest.mark.parametrize("fault", ["O13", "O10", "O18", "O29", "O02"])
async def test_a_key_is_in_no_log_span_or_error(
    database: MigratedPostgres,
    sim: OpenAISimulator,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    fault: str,
) -> None:
    recorder = Recorder()
    with caplog.at_level(logging.DEBUG):
        async with embedder(database, config := at(sim), recorder) as bench:
            sim.faults.add(fault)
            with identity.acting_as(new_run()), pytest.raises(grpc.aio.AioRpcError) as caught:
                await bench.vectors(TEXTS, timeout=5)
    spans = "".join(span.to_json() for span in recorder.exporter.get_finished_spans())
    shown = [
        caplog.text,
        *capsys.readouterr(),
        spans,
        str(caught.value),
        repr(caught.value),
        repr(config),
        repr(sim.journal),
    ]
    assert not [text for text in shown if KEY in text or KEY[-8:] in text]


async def test_the_vendor_is_told_the_attempt_and_the_organisation(
    database: MigratedPostgres, sim: OpenAISimulator
) -> None:
    sim.keys.add(KEY, organization="org-ours", project="proj-ours")
    config = dataclasses.replace(at(sim), organization="org-ours", project="proj-ours", dimensions=256)
    async with embedder(database, config) as bench:
        with identity.acting_as(who := new_run()):
            got, _ = await bench.vectors(TEXTS)
            entries = await bench.entries(who.run_id)
    (sent,) = (one for one in sim.journal if one.operation == "embeddings")
    assert sent.client_request_id == entries[0].entry_id
    assert np.allclose(got, vectors("text-embedding-3-small", TEXTS, 256))


async def test_each_repeat_is_an_event_of_the_span_that_asked(
    database: MigratedPostgres, sim: OpenAISimulator
) -> None:
    recorder = Recorder()
    async with embedder(database, at(sim), recorder) as bench:
        sim.faults.add("O10:times=2")
        with identity.acting_as(new_run()):
            await bench.vectors(TEXTS)
    spans = recorder.exporter.get_finished_spans()
    events = [event for span in spans for event in span.events if event.name == semconv.RETRY_EVENT]
    assert [(event.attributes or {})[semconv.ERROR_TYPE] for event in events] == ["VENDOR_ERROR"] * 2
    costs = [(span.attributes or {}).get(semconv.COST_NANO_USD) for span in spans if span.name[:5] == "embed"]
    assert costs == [0, 0, sim.invoice.total_nano_usd]


async def test_a_question_is_answered_while_ingests_have_every_place(
    database: MigratedPostgres, sim: OpenAISimulator
) -> None:
    config = at(sim, attempt_seconds=60.0)
    async with embedder(database, config) as bench:
        sim.faults.add("O06")
        with identity.acting_as(who := new_run()):
            ingests = [
                asyncio.create_task(bench.vectors([f"text {number}"]))
                for number in range(config.concurrency + 1)
            ]
            await until(lambda: _sent(sim) >= config.concurrency)
        sim.faults.heal()
        with identity.acting_as(someone(who.tenant)):
            await bench.vectors(["a question"], timeout=PATIENCE_SECONDS)
        assert _sent(sim) == config.concurrency + 1
        for ingest in ingests:
            ingest.cancel()
        await asyncio.gather(*ingests, return_exceptions=True)


def _sent(sim: OpenAISimulator) -> int:
    return len([one for one in sim.journal if one.operation == "embeddings"])


async def test_a_bucket_that_is_too_small_delays_and_refuses_nothing(database: MigratedPostgres) -> None:
    limits = Limits(tokens_per_minute=12_000)
    async with (
        simulator(dataclasses.replace(QUICK, limits=limits)) as sim,
        embedder(database, at(sim)) as bench,
    ):
        with identity.acting_as(who := new_run()):
            # 13,000 tokens: 1,000 more than the bucket has, which come back in 5 s.
            texts = [f"{number} " + "word " * 997 for number in range(13)]
            await asyncio.gather(*[bench.vectors([text], timeout=60) for text in texts])
            entries = await bench.entries(who.run_id)
    assert len(entries) == len(texts)
    assert all(entry.state == Entry.STATE_SETTLED for entry in entries)
    assert not [one for one in sim.journal if one.status == 429]


@pytest.mark.parametrize(
    ("keys", "serving", "credential"), [((KEY,), True, True), (("no-such-key",), False, False)]
)
async def test_health_says_whether_the_vendor_works_and_whether_the_key_is_good(
    database: MigratedPostgres, sim: OpenAISimulator, keys: tuple[str, ...], serving: bool, credential: bool
) -> None:
    async with (
        embedder(database, at(sim, *keys)) as bench,
        grpc.aio.insecure_channel(bench.address) as bare,
    ):
        ask = health_pb2_grpc.HealthStub(bare)
        said = [
            await _settled_health(ask, name) for name in ("embedder/openai", "embedder/openai/credential")
        ]
    assert said == [serving, credential]
    assert not sim.invoice.lines


async def _settled_health(stub: health_pb2_grpc.HealthStub, name: str) -> bool:
    async with asyncio.timeout(PATIENCE_SECONDS):
        async for answer in stub.Watch(health_pb2.HealthCheckRequest(service=name)):
            if answer.status in (answer.SERVING, answer.NOT_SERVING):
                return bool(answer.status == answer.SERVING)
    raise AssertionError("the watch ended")


async def test_a_caller_that_goes_away_stops_the_request(sim: OpenAISimulator) -> None:
    sim.faults.add("O06")
    config = at(sim, attempt_seconds=60.0)
    async with opened(config) as client:
        backend = OpenAIEmbedder(config, Limiter("openai", 8), client)
        task = asyncio.create_task(backend.embed(TEXTS, "attempt-1"))
        await until(lambda: bool(sim.journal))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
