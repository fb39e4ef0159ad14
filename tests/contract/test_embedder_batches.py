"""The batch tier over the simulator: what is made, what is paid, and what is left where it goes wrong."""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncIterator, Sequence

import grpc
import numpy as np
import openai
import pytest

from services.embedder.backends.openai_batches import OpenAIBatches
from services.embedder.backends.openai_client import MOST_BYTES, opened
from services.embedder.batch_lines import LineName, entry_id
from tests.conftest import MigratedPostgres
from tests.contract.makers_embedder import KEY, Bench, at, embedder, failure, new_job, new_run
from tests.inprocess import Recorder
from waybill.embedder.v1.batch_job_pb2 import BatchJob, BatchJobName
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.runtime import identity, semconv
from waybill.sim.openai.settings import OpenAISettings
from waybill.sim.openai.simulator import OpenAISimulator, simulator

MODEL = "text-embedding-3-small"
TEXTS = {0: ["a text about boats", "a text about tax law"], 2: ["a text about bread"], 7: ["one about tea"]}
DONE_SECONDS = 700


@pytest.fixture
async def sim() -> AsyncIterator[OpenAISimulator]:
    async with simulator(OpenAISettings(seed=1, latency_seconds=0.0)) as running:
        yield running


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def bench(database: MigratedPostgres, sim: OpenAISimulator, recorder: Recorder) -> AsyncIterator[Bench]:
    async with embedder(database, at(sim), recorder) as bench:
        yield bench


@pytest.fixture
async def vendor(sim: OpenAISimulator) -> AsyncIterator[openai.AsyncOpenAI]:
    """The simulator as anybody sees it who has the key."""
    async with openai.AsyncOpenAI(api_key=KEY, base_url=sim.base_url, max_retries=0) as client:
        yield client


def since_long_ago(name: BatchJobName) -> BatchJobName:
    """The name as another process repeats it, which had no answer."""
    again = BatchJobName(job_key=name.job_key)
    again.since.FromSeconds(1_700_000_000)
    return again


def states(entries: Sequence[Entry]) -> set[str]:
    return {Entry.State.Name(entry.state).removeprefix("STATE_") for entry in entries}


async def test_a_job_has_the_vectors_of_synchronous_calls_at_half_the_price(
    bench: Bench, sim: OpenAISimulator
) -> None:
    with identity.acting_as(who := new_run()):
        first, _ = await bench.vectors([*TEXTS[0], *TEXTS[2]])
        second, _ = await bench.vectors(TEXTS[7])
        at_once = await bench.entries(who.run_id)
    paid = sim.invoice.total_nano_usd
    with identity.acting_as(who := new_run()):
        job = await bench.create_job(TEXTS, new_job())
        assert (job.state, job.requests) == (BatchJob.STATE_RUNNING, 2)
        assert states(await bench.entries(who.run_id)) == {"HELD"}
        sim.clock.advance(DONE_SECONDS)
        assert (await bench.get(job.name)).state == BatchJob.STATE_ENDED
        vectors, outcome = await bench.collect(job.name)
        entries = await bench.entries(who.run_id)
    assert sorted(vectors) == [0, 1, 2, 7]
    assert np.array_equal([vectors[number] for number in (0, 1, 2)], first)
    assert np.array_equal([vectors[7]], second)
    assert (outcome.vendor_status, outcome.charged, outcome.code) == ("completed", 2, "")
    assert [entry.spend_key for entry in entries] == [entry.spend_key for entry in at_once]
    assert sum(entry.reported_nano_usd for entry in entries) * 2 == paid
    assert sim.invoice.total_nano_usd - paid == paid / 2


async def test_each_line_is_one_span_from_its_hold_to_its_end_however_often_it_is_collected(
    bench: Bench, sim: OpenAISimulator, recorder: Recorder
) -> None:
    with identity.acting_as(who := new_run()):
        job = await bench.create_job(TEXTS, new_job())
        sim.clock.advance(DONE_SECONDS)
        first = await bench.collect(job.name)
        again = await bench.collect(job.name)
        entries = await bench.entries(who.run_id)
    assert again[1] == first[1]
    assert {number: list(vector) for number, vector in again[0].items()} == {
        number: list(vector) for number, vector in first[0].items()
    }
    spans = {
        span.context.span_id: span
        for span in recorder.exporter.get_finished_spans()
        if span.name == f"embed {MODEL} batch" and span.context
    }
    told = {str((span.attributes or {})[semconv.ENTRY_ID]): span for span in spans.values()}
    assert len(spans) == len(entries) == 2
    for entry in entries:
        span = told[entry.entry_id]
        assert (span.start_time, span.end_time) == (
            entry.hold_time.ToNanoseconds(),
            entry.end_time.ToNanoseconds(),
        )
        assert span.parent
        assert f"{span.parent.span_id:016x}" == entry.span.parent_span_id
        assert (span.attributes or {})[semconv.COST_NANO_USD] == entry.reported_nano_usd
        assert (span.attributes or {})[semconv.RUN_ID] == who.run_id


async def test_a_line_says_which_texts_it_has_and_spans_no_gap(
    bench: Bench, vendor: openai.AsyncOpenAI
) -> None:
    name, words = new_job(), "several words of text " * 400
    with identity.acting_as(who := new_run()):
        await bench.create_job({0: [words] * 15, 15: [words] * 15, 40: [words]}, name)
    (batch,) = (await vendor.batches.list()).data
    assert batch.metadata == {
        "waybill_job": name.job_key,
        "waybill_tenant": who.tenant,
        "waybill_run": who.run_id,
        "waybill_correlation": who.correlation_id,
        "waybill_lines": "3",
    }
    lines = [json.loads(one) for one in (await vendor.files.content(batch.input_file_id)).text.splitlines()]
    named = [LineName.parse(line["custom_id"]) for line in lines]
    assert [(one.start, one.texts) for one in named if one] == [(0, 19), (19, 11), (40, 1)]
    assert [one.entry_id for one in named if one] == [entry_id(name.job_key, number) for number in range(3)]
    assert [len(line["body"]["input"]) for line in lines] == [19, 11, 1]
    assert max(len(line["custom_id"]) for line in lines) <= 64


async def test_a_job_that_is_only_settled_streams_no_vector(bench: Bench, sim: OpenAISimulator) -> None:
    with identity.acting_as(who := new_run()):
        job = await bench.create_job(TEXTS, new_job())
        sim.clock.advance(DONE_SECONDS)
        vectors, outcome = await bench.collect(job.name, settle_only=True)
        assert states(await bench.entries(who.run_id)) == {"SETTLED"}
    assert (vectors, outcome.charged) == ({}, 2)


async def test_another_process_finds_the_job_by_its_key_and_holds_nothing_twice(
    database: MigratedPostgres, sim: OpenAISimulator, bench: Bench
) -> None:
    name = new_job()
    with identity.acting_as(who := new_run()):
        job = await bench.create_job(TEXTS, name)
        async with embedder(database, at(sim)) as other:
            again = await other.create_job(TEXTS, since_long_ago(name))
            assert again.name.vendor_id == (await other.get(since_long_ago(name))).name.vendor_id
            held = await other.entries(who.run_id)
            assert (len(held), states(held)) == (2, {"HELD"})
            assert (await other.cancel(since_long_ago(name))).state == BatchJob.STATE_CANCELLING
    assert again.name.vendor_id == job.name.vendor_id
    assert len([one for one in sim.journal if one.operation == "batches.create"]) == 1


async def test_holds_stay_while_nobody_knows_and_the_next_try_goes_on_with_them(
    bench: Bench, sim: OpenAISimulator
) -> None:
    name = new_job()
    with identity.acting_as(who := new_run()):
        sim.faults.add("500:op=batches.create:times=6")
        assert (await failure(bench.create_job(TEXTS, name)))[0] == "VENDOR_ERROR"
        held = await bench.entries(who.run_id)
        assert states(held) == {"HELD"}
        job = await bench.create_job(TEXTS, since_long_ago(name))
        sim.clock.advance(DONE_SECONDS)
        _, outcome = await bench.collect(job.name)
        assert [one.entry_id for one in await bench.entries(who.run_id)] == [one.entry_id for one in held]
    assert outcome.charged == 2


async def test_a_refusal_of_the_listing_is_none_of_the_job_whose_answer_was_lost(
    bench: Bench, sim: OpenAISimulator
) -> None:
    name = new_job()
    with identity.acting_as(who := new_run()):
        sim.faults.add("O31:n=1,403:op=batches.list")
        assert (await failure(bench.create_job(TEXTS, name)))[0] == "VENDOR_ACCESS_REFUSED"
        assert states(await bench.entries(who.run_id)) == {"HELD"}
        sim.faults.heal()
        await bench.create_job(TEXTS, since_long_ago(name))
    assert len([one for one in sim.journal if one.operation == "batches.create"]) == 1


async def test_what_is_refused_leaves_neither_hold_nor_file(
    bench: Bench, sim: OpenAISimulator, vendor: openai.AsyncOpenAI
) -> None:
    with identity.acting_as(who := new_run()):
        sim.faults.add("403:op=batches.create")
        assert (await failure(bench.create_job(TEXTS, name := new_job())))[0] == "VENDOR_ACCESS_REFUSED"
        assert states(await bench.entries(who.run_id)) == {"RELEASED"}
        sim.faults.heal()
        assert (await failure(bench.create_job(TEXTS, since_long_ago(name))))[0] == "INVALID_REQUEST"
    (deleted,) = [one for one in sim.journal if one.operation == "files.delete"]
    with pytest.raises(openai.NotFoundError):
        await vendor.files.retrieve(deleted.path.rpartition("/")[2])


async def test_a_key_that_was_used_for_other_texts_is_refused(bench: Bench) -> None:
    with identity.acting_as(new_run()):
        name = (await bench.create_job(TEXTS, new_job())).name
        other = {0: ["another text"]}
        assert (await failure(bench.create_job(other, since_long_ago(name))))[0] == "INVALID_REQUEST"
        assert (await bench.get(name)).state == BatchJob.STATE_RUNNING


async def test_another_tenants_job_is_like_one_that_is_not_there(
    bench: Bench, vendor: openai.AsyncOpenAI
) -> None:
    with identity.acting_as(new_run()):
        job = await bench.create_job(TEXTS, new_job())
    (batch,) = (await vendor.batches.list()).data
    no_such = BatchJobName(job_key=job.name.job_key, vendor_id="batch_none")
    with identity.acting_as(new_run()):
        for call in (bench.get, bench.cancel, bench.collect):
            theirs = await failure(call(job.name))
            assert theirs[0] == "BATCH_JOB_NOT_FOUND"
            assert theirs == await failure(call(no_such))
        await bench.delete(job.name)
    assert (await vendor.batches.retrieve(batch.id)).status == "validating"
    assert (await vendor.files.retrieve(batch.input_file_id)).bytes > 0


async def test_a_job_is_neither_collected_nor_deleted_before_it_has_ended(
    bench: Bench, sim: OpenAISimulator
) -> None:
    with identity.acting_as(who := new_run()):
        job = await bench.create_job(TEXTS, new_job())
        assert (await bench.cancel(job.name)).state == BatchJob.STATE_CANCELLING
        assert (await failure(bench.collect(job.name)))[0] == "BATCH_JOB_RUNNING"
        assert (await failure(bench.delete(job.name)))[0] == "BATCH_JOB_RUNNING"
        assert states(await bench.entries(who.run_id)) == {"HELD"}
        sim.clock.advance(DONE_SECONDS)
        assert (await bench.cancel(job.name)).vendor_status == "cancelled"


async def test_a_job_that_ends_while_it_is_cancelled_is_answered_as_it_is(
    bench: Bench, sim: OpenAISimulator
) -> None:
    sim.faults.add("409:op=batches.cancel")
    with identity.acting_as(new_run()):
        job = await bench.create_job(TEXTS, new_job())
        assert (await bench.cancel(job.name)).vendor_status == "validating"
    assert len([one for one in sim.journal if one.operation == "batches.cancel"]) == 1


async def test_a_job_is_looked_for_through_pages_and_no_farther_back_than_its_key_is_old(
    bench: Bench, sim: OpenAISimulator, vendor: openai.AsyncOpenAI
) -> None:
    with identity.acting_as(new_run()):
        job = await bench.create_job(TEXTS, new_job())
        (mine,) = (await vendor.batches.list()).data
        for _ in range(100):
            await vendor.batches.create(
                input_file_id=mine.input_file_id, endpoint="/v1/embeddings", completion_window="24h"
            )
        name = BatchJobName(job_key=job.name.job_key)
        name.since.GetCurrentTime()
        assert (await bench.get(name)).name.vendor_id == job.name.vendor_id
        name.since.FromSeconds(name.since.seconds + 3600)
        assert (await failure(bench.get(name)))[0] == "BATCH_JOB_NOT_FOUND"
    # The test's own, two pages, and the one that is enough.
    assert len([one for one in sim.journal if one.operation == "batches.list"]) == 1 + 2 + 1


async def test_a_result_file_may_be_larger_than_any_other_answer(bench: Bench, sim: OpenAISimulator) -> None:
    texts = ["a"] * (MOST_BYTES // (1536 * 4 * 4 // 3) + 1)
    with identity.acting_as(new_run()):
        job = await bench.create_job({0: texts}, new_job())
        sim.clock.advance(DONE_SECONDS)
        vectors, outcome = await bench.collect(job.name)
    assert (len(vectors), outcome.charged) == (len(texts), job.requests)


async def test_a_download_replaces_what_an_attempt_before_it_left(sim: OpenAISimulator) -> None:
    async with opened(at(sim)) as client:
        backend = OpenAIBatches(at(sim), client)
        with tempfile.TemporaryFile() as sent, tempfile.TemporaryFile() as read:
            sent.write(b"one line\n")
            read.write(b"a longer line than that\n")
            await backend.download(await backend.upload(sent), read)
            assert read.read() == b"one line\n"


async def test_a_deleted_job_leaves_no_file_and_deleting_it_again_is_fine(
    bench: Bench, sim: OpenAISimulator, vendor: openai.AsyncOpenAI
) -> None:
    sim.faults.add("O32:n=1")
    with identity.acting_as(who := new_run()):
        job = await bench.create_job({3 * number: ["text"] for number in range(3)}, new_job())
        sim.clock.advance(DONE_SECONDS)
        await bench.collect(job.name)
        await bench.delete(job.name)
        await bench.delete(job.name)
        assert (await failure(bench.collect(job.name)))[0] == "BATCH_JOB_NOT_FOUND"
        assert states(await bench.entries(who.run_id)) == {"SETTLED", "RELEASED"}
    batch = await vendor.batches.retrieve(job.name.vendor_id)
    for file in (batch.input_file_id, batch.output_file_id, batch.error_file_id):
        assert file
        with pytest.raises(openai.NotFoundError):
            await vendor.files.retrieve(file)


async def by_hand(
    vendor: openai.AsyncOpenAI, name: BatchJobName, tenant: str, lines: Sequence[str], count: int
) -> None:
    """A batch as the embedder makes one, but for its lines."""
    body = {"model": MODEL, "input": ["tea"], "encoding_format": "base64"}
    content = "".join(
        json.dumps({"custom_id": one, "method": "POST", "url": "/v1/embeddings", "body": body}) + "\n"
        for one in lines
    )
    file = await vendor.files.create(file=("in.jsonl", content.encode()), purpose="batch")
    metadata = {"waybill_job": name.job_key, "waybill_tenant": tenant, "waybill_lines": str(count)}
    await vendor.batches.create(
        input_file_id=file.id, endpoint="/v1/embeddings", completion_window="24h", metadata=metadata
    )


async def test_a_job_that_the_vendor_could_not_begin_is_released(
    bench: Bench, sim: OpenAISimulator, vendor: openai.AsyncOpenAI
) -> None:
    name = new_job()
    sim.faults.add("500:op=batches.create:times=6")
    with identity.acting_as(who := new_run()):
        await failure(bench.create_job(TEXTS, name))
        await by_hand(vendor, name, who.tenant, [], 2)
        sim.clock.advance(DONE_SECONDS)
        vectors, outcome = await bench.collect(since_long_ago(name))
        assert states(await bench.entries(who.run_id)) == {"RELEASED"}
    assert (vectors, outcome.vendor_status, outcome.released) == ({}, "failed", 2)
    assert outcome.code == "empty_file"


async def test_a_line_that_is_not_the_jobs_is_ignored_and_its_own_that_is_missing_is_in_doubt(
    bench: Bench, sim: OpenAISimulator, vendor: openai.AsyncOpenAI
) -> None:
    name, other = new_job(), new_job()
    sim.faults.add("500:op=batches.create:times=6")
    with identity.acting_as(who := new_run()):
        await failure(bench.create_job(TEXTS, name))
        own = LineName(entry_id(name.job_key, 1), 7, 1, 1)
        foreign = LineName(entry_id(other.job_key, 0), 0, 1, 1)
        await by_hand(vendor, name, who.tenant, [str(own), str(foreign), "no name of ours"], 2)
        sim.clock.advance(DONE_SECONDS)
        vectors, outcome = await bench.collect(since_long_ago(name))
        entries = await bench.entries(who.run_id)
    assert list(vectors) == [7]
    assert (outcome.charged, outcome.in_doubt) == (1, 1)
    assert [(Entry.State.Name(one.state), one.end_reason) for one in entries] == [
        ("STATE_IN_DOUBT", "BATCH_LINE_MISSING"),
        ("STATE_SETTLED", ""),
    ]


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ({}, "INVALID_REQUEST"),
        ({3: ["a"], 2: ["b"]}, "INVALID_REQUEST"),
        ({0: []}, "INVALID_REQUEST"),
        ({0: ["good", " "]}, "TEXT_EMPTY"),
        ({0: ["word " * 9000]}, "TEXT_TOO_LONG"),
        ({0: ["a"] * 50_001}, "TOO_MANY_TEXTS"),
    ],
)
async def test_what_cannot_be_a_job_is_refused_before_anything_is_held(
    bench: Bench, sim: OpenAISimulator, parts: dict[int, list[str]], reason: str
) -> None:
    with identity.acting_as(new_run()):
        assert (await failure(bench.create_job(parts, new_job())))[0] == reason
        assert not await bench.entries()
    assert not [one for one in sim.journal if one.operation.startswith(("files", "batches"))]


async def test_no_text_of_a_document_is_in_a_log_or_an_error(
    bench: Bench, sim: OpenAISimulator, capsys: pytest.CaptureFixture[str], recorder: Recorder
) -> None:
    sim.faults.add("O26:op=batches.create")
    with identity.acting_as(new_run()):
        job = await bench.create_job({0: ["the secret recipe"]}, new_job())
        sim.clock.advance(DONE_SECONDS)
        vectors, _ = await bench.collect(job.name)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await bench.create_job({0: ["the secret recipe", ""]}, new_job())
    spans = "".join(span.to_json() for span in recorder.exporter.get_finished_spans())
    shown = [*capsys.readouterr(), spans, str(caught.value)]
    assert not vectors
    assert not [text for text in shown if "secret" in text]
