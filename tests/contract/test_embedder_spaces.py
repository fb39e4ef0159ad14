"""One embedder serves several models: the configured one, and others that a caller names."""

from __future__ import annotations

import numpy as np
import pytest

from services.embedder.spaces import MOST_MODELS
from tests.conftest import MigratedPostgres
from tests.contract.makers_embedder import Bench, embedder, failure, new_run, openai_for
from tests.local_models import needs_sentences
from waybill.common.v1.space_pb2 import Space
from waybill.embedder.v1.embedder_service_pb2 import EmbedRequest, EmbedResponse
from waybill.runtime import identity

SMALL = Space(model="text-embedding-3-small", dimension=1536)
LARGE = Space(model="text-embedding-3-large", dimension=3072)
WORDS = Space(model="wordllama-l2-supercat", dimension=256, revision="0.4.0")


async def asked(bench: Bench, **wanted: object) -> tuple[Space, list[np.ndarray]]:
    """The space of an answer, and its vectors."""
    answers: list[EmbedResponse] = [one async for one in bench.stub.Embed(EmbedRequest(**wanted))]  # type: ignore[arg-type]
    found = [one for answer in answers for one in answer.embeddings]
    return answers[0].space, [np.frombuffer(one.values, "<f4") for one in found]


async def test_another_model_of_the_vendor_is_served_and_priced_as_what_it_is(
    database: MigratedPostgres,
) -> None:
    async with openai_for("openai") as openai, embedder(database, openai) as bench:
        run = new_run()
        with identity.acting_as(run):
            for wanted in (
                {},
                {"space": LARGE},
                {"model": LARGE.model},
                {"model": LARGE.model, "dimension": 256},
            ):
                await asked(bench, texts=["A barge."], **wanted)
            entries = await bench.entries(run.run_id)
        assert [(entry.model, entry.price_nano_usd_per_million) for entry in entries] == [
            (SMALL.model, 20_000_000),
            *[(LARGE.model, 130_000_000)] * 3,
        ]
        assert len({entry.spend_key for entry in entries}) == 3, "a space is part of what is bought"
        space, vectors = await asked(bench, texts=["A barge."], model=LARGE.model, dimension=256)
        assert space == Space(model=LARGE.model, dimension=256)
        assert vectors[0].shape == (256,)
        space, vectors = await asked(bench, texts=["A barge."])
        assert (space, vectors[0].shape) == (SMALL, (1536,)), "the configured one is what nobody names"


async def test_a_model_by_name_says_its_space_and_spends_nothing(database: MigratedPostgres) -> None:
    async with openai_for("openai") as openai, embedder(database, openai) as bench:
        run = new_run()
        with identity.acting_as(run):
            assert await asked(bench, model=LARGE.model) == (LARGE, [])
            assert not await bench.entries(run.run_id)


@pytest.mark.parametrize(
    "wanted",
    [
        {"model": "text-embedding-4-huge"},
        {"model": LARGE.model, "dimension": 3073},
        {"model": "text-embedding-ada-002", "dimension": 256},
        {"model": LARGE.model, "dimension": -1},
        {"space": Space(model=LARGE.model, dimension=3072, revision="2")},
    ],
    ids=str,
)
async def test_what_the_backend_has_not_is_refused(
    database: MigratedPostgres, wanted: dict[str, object]
) -> None:
    async with openai_for("openai") as openai, embedder(database, openai) as bench:
        reason, message = await failure(asked(bench, texts=["A barge."], **wanted))
        assert reason == "SPACE_MISMATCH"
        assert ("other models of openai" in message, "EMBEDDER_ALSO" in message) == (True, False)


async def test_a_model_of_the_other_backend_is_refused_with_the_very_setting(
    database: MigratedPostgres,
) -> None:
    async with embedder(database) as bench:
        reason, message = await failure(asked(bench, texts=["A barge."], space=SMALL))
        assert reason == "SPACE_MISMATCH"
        assert "Set EMBEDDER_ALSO=openai and its key" in message
    # As in production, where the local backend is not served beside.
    async with openai_for("openai") as openai, embedder(database, openai) as bench:
        reason, message = await failure(asked(bench, texts=["A barge."], space=WORDS))
        assert reason == "SPACE_MISMATCH"
        assert "WAYBILL_ENV=production refuses" in message


async def test_a_space_and_a_model_are_not_named_together(database: MigratedPostgres) -> None:
    async with embedder(database) as bench:
        assert (await failure(asked(bench, space=WORDS, model=WORDS.model)))[0] == "INVALID_REQUEST"


async def test_however_many_models_somebody_names_every_other_one_is_served_still(
    database: MigratedPostgres,
) -> None:
    async with openai_for("openai") as openai, embedder(database, openai) as bench:
        for dimension in (8, *range(8, 8 + MOST_MODELS + 1), 8):
            space, vectors = await asked(bench, model=LARGE.model, dimension=dimension, texts=["A barge."])
            assert (space.dimension, vectors[0].shape) == (dimension, (dimension,))


@needs_sentences
async def test_both_local_models_are_served_whichever_is_configured(database: MigratedPostgres) -> None:
    async with embedder(database, local_model="sentences") as bench:
        sentences, _ = await asked(bench)
        assert sentences.dimension == 512
        space, vectors = await asked(bench, space=WORDS, texts=["A barge."])
        assert (space, vectors[0].shape) == (WORDS, (256,))
    async with embedder(database) as bench:
        space, vectors = await asked(bench, space=sentences, texts=["A barge."])
        assert (space, vectors[0].shape) == (sentences, (512,))


async def test_a_second_backend_serves_beside_the_first(database: MigratedPostgres) -> None:
    async with openai_for("openai") as openai, embedder(database, openai, also="openai") as bench:
        assert (await asked(bench))[0] == WORDS
        space, vectors = await asked(bench, model=SMALL.model, texts=["A barge."])
        assert (space, vectors[0].shape) == (SMALL, (1536,))
    async with openai_for("openai") as openai, embedder(database, openai, also_local=True) as bench:
        assert (await asked(bench))[0] == SMALL
        assert (await asked(bench, space=WORDS, texts=["A barge."]))[0] == WORDS
