"""The embedder's contract: the same for every backend; a backend's limits are asked of its capabilities."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import grpc
import numpy as np
import pytest

from services.embedder.__main__ import build
from services.embedder.backends.local import LocalEmbedder
from services.embedder.backends.port import Embedded
from services.embedder.config import EmbedderConfig
from services.embedder.embedding import pack, verify
from services.ledger.__main__ import build as build_ledger
from services.ledger.config import LedgerConfig
from tests.conftest import MigratedPostgres
from tests.inprocess import Recorder, channel, served, server_config, someone
from waybill import tokens
from waybill.common.v1.space_pb2 import Space
from waybill.embedder.v1.embedder_service_pb2 import EmbedRequest, EmbedResponse
from waybill.embedder.v1.embedder_service_pb2_grpc import EmbedderServiceStub
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.ledger.v1.ledger_service_pb2 import ListEntriesRequest
from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceStub
from waybill.runtime import identity
from waybill.runtime.errors import VendorContract, from_status

if TYPE_CHECKING:
    from waybill.embedder.v1.embedder_service_pb2_grpc import EmbedderServiceAsyncStub
    from waybill.ledger.v1.ledger_service_pb2_grpc import LedgerServiceAsyncStub


@asynccontextmanager
async def embedder(
    database: MigratedPostgres, recorder: Recorder | None = None
) -> AsyncIterator[tuple[EmbedderServiceAsyncStub, LedgerServiceAsyncStub]]:
    ledger = LedgerConfig(server_config("ledger"), database.url("ledger"), database.owner_url("ledger"))
    async with served("ledger", partial(build_ledger, ledger)) as ledger_address:
        config = EmbedderConfig(server_config("embedder"), ledger_address, "local")
        async with (
            served("embedder", partial(build, config), recorder) as address,
            channel(address) as embedding,
            channel(ledger_address) as entries,
        ):
            yield EmbedderServiceStub(embedding), LedgerServiceStub(entries)


async def vectors_of(
    stub: EmbedderServiceAsyncStub, texts: Sequence[str]
) -> tuple[np.ndarray, list[EmbedResponse]]:
    answers = [answer async for answer in stub.Embed(EmbedRequest(texts=texts))]
    found = sorted((one for answer in answers for one in answer.embeddings), key=lambda one: one.index)
    return np.array([np.frombuffer(one.values, "<f4") for one in found]), answers


def new_run() -> identity.Caller:
    return someone(f"t{uuid.uuid4().hex[:12]}", str(uuid.uuid4()))


async def test_each_text_gets_its_own_vector_in_order_and_of_length_one(database: MigratedPostgres) -> None:
    texts = [f"a text about {word}" for word in ("boats", "tax law", "bread", "boats")]
    async with embedder(database) as (stub, _):
        with identity.acting_as(new_run()):
            vectors, answers = await vectors_of(stub, texts)
    assert vectors.shape == (4, answers[0].space.dimension)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    assert np.allclose(vectors[0], vectors[3])
    assert vectors[0] @ vectors[1] < 0.99


async def test_related_texts_are_nearer_than_unrelated_ones(database: MigratedPostgres) -> None:
    texts = ["how to repair a bicycle tyre", "fixing a flat bike wheel", "annual inflation of the euro area"]
    async with embedder(database) as (stub, _):
        with identity.acting_as(new_run()):
            vectors, _ = await vectors_of(stub, texts)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.1


async def test_each_vendor_request_is_one_settled_entry_and_one_span(database: MigratedPostgres) -> None:
    recorder = Recorder()
    text = "several words of text " * 400
    async with embedder(database, recorder) as (stub, ledger):
        with identity.acting_as(who := new_run()):
            _, answers = await vectors_of(stub, [text] * 40)
            entries = (await ledger.ListEntries(ListEntriesRequest(run_ids=[who.run_id]))).entries
    usage = answers[-1].usage
    spent = [span for span in recorder.exporter.get_finished_spans() if span.name.startswith("embed ")]
    assert len(entries) == len(usage.entry_ids) == len(spent) > 1
    assert {entry.entry_id for entry in entries} == {
        (span.attributes or {})["waybill.ledger.entry_id"] for span in spent
    }
    assert all(entry.state == Entry.STATE_SETTLED for entry in entries)
    assert sum(entry.quantity for entry in entries) == usage.tokens == 40 * tokens.count([text])[0]


async def test_no_texts_name_the_space_and_spend_nothing(database: MigratedPostgres) -> None:
    async with embedder(database) as (stub, ledger):
        with identity.acting_as(new_run()):
            answers = [answer async for answer in stub.Embed(EmbedRequest())]
            assert len(answers) == 1
            assert answers[0].space.dimension == 256
            assert not (await ledger.ListEntries(ListEntriesRequest())).entries


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
    database: MigratedPostgres, request_: EmbedRequest, reason: str
) -> None:
    async with embedder(database) as (stub, ledger):
        with identity.acting_as(new_run()):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                _ = [answer async for answer in stub.Embed(request_)]
            assert from_status(caught.value).reason == reason
            assert not (await ledger.ListEntries(ListEntriesRequest())).entries


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
        verify(Embedded(vectors, 1), texts=2, dimension=4)


def test_requests_are_packed_to_the_target_and_lose_no_text() -> None:
    limits = LocalEmbedder.capabilities
    counts = [500] * 200
    batches = list(pack(limits, [str(number) for number in range(200)], counts))
    assert [text for batch in batches for text in batch.texts] == [str(number) for number in range(200)]
    assert all(batch.token_count <= limits.target_request_tokens for batch in batches)
    assert len(batches) == -(-200 * 500 // limits.target_request_tokens)


def test_tokens_are_counted_as_the_vendor_counts_them() -> None:
    """Golden counts of cl100k_base, by OpenAI's own tokenizer."""
    assert tokens.count(["hello world", "how many tokens?", "antidisestablishmentarianism"]) == [2, 4, 6]
