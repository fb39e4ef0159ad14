"""The embedder's contract: the same for every backend; a backend's limits are asked of its capabilities."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import numpy as np
import pytest

from services.embedder.backends.local import LocalEmbedder
from services.embedder.backends.port import Embedded
from services.embedder.config import OpenAIConfig
from services.embedder.embedding import pack, verify
from tests.conftest import MigratedPostgres
from tests.contract.makers_embedder import LIVE_KEY, Bench, embedder, failure, new_job, new_run, openai_for
from tests.inprocess import Recorder
from tests.local_models import needs_onnx, needs_sentences, written
from waybill import tokens
from waybill.common.v1.space_pb2 import Space
from waybill.embedder.v1.batch_job_pb2 import BatchJob
from waybill.embedder.v1.embedder_service_pb2 import EmbedRequest
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.runtime import identity
from waybill.runtime.errors import VendorContract, from_status

LIVE = pytest.param("live", marks=pytest.mark.skipif(not LIVE_KEY, reason="no key to spend with"))
SENTENCES = pytest.param("sentences", marks=needs_sentences)
BACKENDS = ["local", SENTENCES, pytest.param("onnx", marks=needs_onnx), "openai", LIVE]
# A simulator's vectors are drawn from the text's hash, the tiny ONNX model's from a seed.
BACKENDS_WITH_MEANING = ["local", SENTENCES, LIVE]


@pytest.fixture
async def backend(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[tuple[OpenAIConfig | None, str]]:
    """OpenAI's settings, or EMBEDDER_LOCAL_MODEL."""
    models = {"sentences": "sentences", "onnx": str(tmp_path)}
    if request.param == "onnx":
        written(tmp_path)
    async with openai_for(request.param) as config:
        yield config, models.get(request.param, "")


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def bench(
    database: MigratedPostgres, backend: tuple[OpenAIConfig | None, str], recorder: Recorder
) -> AsyncIterator[Bench]:
    openai, local_model = backend
    async with embedder(database, openai, recorder, local_model) as bench:
        yield bench


every_backend = pytest.mark.parametrize("backend", BACKENDS, indirect=True)


@every_backend
async def test_each_text_gets_its_own_vector_in_order_and_of_length_one(bench: Bench) -> None:
    texts = [f"a text about {word}" for word in ("boats", "tax law", "bread", "boats")]
    with identity.acting_as(new_run()):
        vectors, answers = await bench.vectors(texts)
    assert vectors.shape == (4, answers[0].space.dimension)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    assert np.allclose(vectors[0], vectors[3], atol=1e-3)
    assert vectors[0] @ vectors[1] < 0.99


@pytest.mark.parametrize("backend", BACKENDS_WITH_MEANING, indirect=True)
async def test_related_texts_are_nearer_than_unrelated_ones(bench: Bench) -> None:
    texts = ["how to repair a bicycle tyre", "fixing a flat bike wheel", "annual inflation of the euro area"]
    with identity.acting_as(new_run()):
        vectors, _ = await bench.vectors(texts)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.1


@every_backend
async def test_each_vendor_request_is_one_settled_entry_and_one_span(
    bench: Bench, recorder: Recorder
) -> None:
    text = "several words of text " * 400
    with identity.acting_as(who := new_run()):
        _, answers = await bench.vectors([text] * 40)
        entries = await bench.entries(who.run_id)
    usage = answers[-1].usage
    spent = [span for span in recorder.exporter.get_finished_spans() if span.name.startswith("embed ")]
    assert len(entries) == len(usage.entry_ids) == len(spent) > 1
    assert {entry.entry_id for entry in entries} == {
        (span.attributes or {})["waybill.ledger.entry_id"] for span in spent
    }
    assert all(entry.state == Entry.STATE_SETTLED for entry in entries)
    assert sum(entry.quantity for entry in entries) == usage.tokens == 40 * tokens.count([text])[0]


@every_backend
async def test_no_texts_name_the_space_and_spend_nothing(bench: Bench) -> None:
    with identity.acting_as(new_run()):
        answers = [answer async for answer in bench.stub.Embed(EmbedRequest())]
        assert len(answers) == 1
        assert answers[0].space.dimension > 0
        assert not await bench.entries()


@every_backend
@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (EmbedRequest(texts=["good", "  \n"]), "TEXT_EMPTY"),
        (EmbedRequest(texts=["word " * 9000]), "TEXT_TOO_LONG"),
        (EmbedRequest(texts=["a"] * 2049), "TOO_MANY_TEXTS"),
        (EmbedRequest(texts=["a"], space=Space(model="other", dimension=3)), "SPACE_MISMATCH"),
        (EmbedRequest(texts=["x" * 1_100_000, "y" * 1_100_000]), "MESSAGE_TOO_LARGE"),
    ],
)
async def test_what_cannot_be_embedded_is_refused_before_anything_is_spent(
    bench: Bench, request_: EmbedRequest, reason: str
) -> None:
    with identity.acting_as(new_run()):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            _ = [answer async for answer in bench.stub.Embed(request_)]
        assert from_status(caught.value).reason == reason
        assert not await bench.entries()


async def offered(bench: Bench) -> bool:
    """Whether the backend's capabilities have a batch tier."""
    (answer,) = [one async for one in bench.stub.Embed(EmbedRequest())]
    return bool(answer.batches_offered)


@every_backend
async def test_a_job_runs_is_found_by_its_key_and_can_be_stopped_where_there_is_a_batch_tier(
    bench: Bench,
) -> None:
    with identity.acting_as(who := new_run()):
        name = new_job()
        if not await offered(bench):
            assert (await failure(bench.create_job({0: ["a text"]}, name)))[0] == "BATCHES_NOT_OFFERED"
            for call in (bench.get, bench.cancel, bench.delete, bench.collect):
                assert (await failure(call(name)))[0] == "BATCHES_NOT_OFFERED"
            assert not await bench.entries()
            return
        job = await bench.create_job({0: ["a text"]}, name)
        assert (job.state, job.requests) == (BatchJob.STATE_RUNNING, 1)
        assert (await bench.get(name)).name.vendor_id == job.name.vendor_id
        assert (await bench.cancel(job.name)).state != BatchJob.STATE_RUNNING
        assert [entry.state for entry in await bench.entries(who.run_id)] == [Entry.STATE_HELD]


@every_backend
async def test_of_a_job_that_was_never_created_nothing_is_left_where_there_is_a_batch_tier(
    bench: Bench,
) -> None:
    with identity.acting_as(new_run()):
        if not await offered(bench):
            return
        name = new_job()
        name.since.GetCurrentTime()
        assert (await failure(bench.get(name)))[0] == "BATCH_JOB_NOT_FOUND"
        assert (await failure(bench.collect(name)))[0] == "BATCH_JOB_NOT_FOUND"
        gone = await bench.cancel(name)
        assert (gone.state, gone.vendor_status, gone.requests) == (BatchJob.STATE_ENDED, "none", 0)
        await bench.delete(name)


@pytest.mark.parametrize(
    "vectors",
    [
        np.ones((1, 4), np.float32) / 2,
        np.ones((2, 3), np.float32),
        np.full((2, 4), np.nan, np.float32),
        np.full((2, 4), np.inf, np.float32),
        np.zeros((2, 4), np.float32),
    ],
)
def test_an_answer_that_cannot_be_right_is_refused(vectors: np.ndarray) -> None:
    with pytest.raises(VendorContract):
        verify(Embedded(vectors, 1), texts=2, dimension=4, vendor="v")


def test_requests_are_packed_to_the_target_and_lose_no_text() -> None:
    limits = LocalEmbedder().capabilities
    counts = [500] * 200
    batches = list(pack(limits, [str(number) for number in range(200)], counts))
    assert [text for batch in batches for text in batch.texts] == [str(number) for number in range(200)]
    assert all(batch.token_count <= limits.target_request_tokens for batch in batches)
    assert len(batches) == -(-200 * 500 // limits.target_request_tokens)


def test_tokens_are_counted_as_the_vendor_counts_them() -> None:
    """Golden counts of cl100k_base, by OpenAI's own tokenizer."""
    assert tokens.count(["hello world", "how many tokens?", "antidisestablishmentarianism"]) == [2, 4, 6]
