"""OpenAI's own client takes the simulator for OpenAI; its hazards are pinned here."""

from __future__ import annotations

import json
import tempfile
from collections.abc import AsyncIterator

import openai
import pytest

from tests.sim.raw import KEY, SMALL
from tests.waiting import PATIENCE_SECONDS
from waybill.sim.openai.settings import OpenAISettings
from waybill.sim.openai.simulator import OpenAISimulator, simulator
from waybill.sim.threaded import threaded

LINE = json.dumps(
    {
        "custom_id": "a",
        "method": "POST",
        "url": "/v1/embeddings",
        "body": {"model": SMALL, "input": ["one"]},
    }
).encode()


@pytest.fixture
async def client(sim: OpenAISimulator) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(
        api_key=KEY, base_url=sim.base_url, max_retries=0, timeout=PATIENCE_SECONDS
    ) as made:
        yield made


async def embed(client: openai.AsyncOpenAI, *texts: str) -> openai.types.CreateEmbeddingResponse:
    return await client.embeddings.create(model=SMALL, input=list(texts))


async def test_embeddings_and_models(client: openai.AsyncOpenAI) -> None:
    answer = await embed(client, "one", "two")
    assert [len(item.embedding) for item in answer.data] == [1536, 1536]
    assert answer.usage.total_tokens == 2
    assert SMALL in [model.id async for model in client.models.list()]
    assert (await client.models.retrieve(SMALL)).id == SMALL


def test_the_synchronous_client_too() -> None:
    with (
        threaded(simulator(OpenAISettings(latency_seconds=0)), KEY) as remote,
        openai.OpenAI(api_key=remote.key, base_url=remote.base_url, max_retries=0) as client,
    ):
        assert client.embeddings.create(model=SMALL, input="one").usage.total_tokens == 1
        file = client.files.create(file=("in.jsonl", LINE), purpose="batch")
        batch = client.batches.create(
            input_file_id=file.id, endpoint="/v1/embeddings", completion_window="24h", metadata={"run": "r1"}
        )
        assert [one.metadata for one in client.batches.list(limit=1)] == [{"run": "r1"}]
        remote.clock.advance(700)
        done = client.batches.retrieve(batch.id)
        assert done.output_file_id
        with client.files.with_streaming_response.content(done.output_file_id) as content:
            assert [json.loads(line)["custom_id"] for line in content.iter_lines()] == ["a"]
        with pytest.raises(openai.ConflictError):
            client.batches.cancel(batch.id)
        assert client.files.delete(file.id).deleted
        with pytest.raises(openai.NotFoundError):
            client.files.content(file.id)


async def test_a_batch_from_upload_to_results(sim: OpenAISimulator, client: openai.AsyncOpenAI) -> None:
    file = await client.files.create(file=("in.jsonl", LINE), purpose="batch")
    assert (await client.files.retrieve(file.id)).bytes == len(LINE)
    batch = await client.batches.create(
        input_file_id=file.id, endpoint="/v1/embeddings", completion_window="24h", metadata={"run": "r1"}
    )
    sim.clock.advance(700)
    batch = await client.batches.retrieve(batch.id)
    assert batch.status == "completed"
    assert batch.output_file_id
    content = await client.files.content(batch.output_file_id)
    assert json.loads(content.text)["custom_id"] == "a"
    async with client.files.with_streaming_response.content(batch.output_file_id) as streamed:
        assert b"".join([part async for part in streamed.iter_bytes()]) == content.content
    other = await client.batches.create(
        input_file_id=file.id, endpoint="/v1/embeddings", completion_window="24h"
    )
    assert (await client.batches.cancel(other.id)).status == "cancelling"
    assert [one.id async for one in client.batches.list(limit=1)] == [other.id, batch.id]
    assert (await client.files.delete(batch.output_file_id)).deleted
    with pytest.raises(openai.NotFoundError):
        await client.files.content(batch.output_file_id)
    with pytest.raises(openai.ConflictError):
        await client.batches.cancel(batch.id)
    with pytest.raises(openai.NotFoundError):
        await client.batches.retrieve("batch_none")


async def test_hazard_a_file_that_is_not_flushed_is_announced_too_short(
    sim: OpenAISimulator, client: openai.AsyncOpenAI
) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(LINE)
        with pytest.raises(Exception, match="Too much data"):
            await client.files.create(file=("in.jsonl", file), purpose="batch")


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("O02", openai.APIConnectionError),
        ("O03", openai.APIConnectionError),
        ("O07", openai.RateLimitError),
        ("O09", openai.RateLimitError),
        ("O10", openai.InternalServerError),
        ("O11", openai.InternalServerError),
        ("O12", openai.InternalServerError),
        ("O13", openai.AuthenticationError),
        ("O14", openai.PermissionDeniedError),
        ("O15", openai.NotFoundError),
        ("O16", openai.BadRequestError),
        ("O17", openai.BadRequestError),
        ("409", openai.ConflictError),
        ("422", openai.UnprocessableEntityError),
    ],
)
async def test_each_error_class(
    sim: OpenAISimulator, client: openai.AsyncOpenAI, fault: str, error: type[openai.APIError]
) -> None:
    sim.faults.add(f"{fault}:n=1")
    with pytest.raises(error):
        await embed(client, "one")
    assert len(sim.journal) == 1


async def test_hazard_the_default_client_sends_again_and_pays_again(sim: OpenAISimulator) -> None:
    sim.faults.add("O03:n=1,O09:n=2")
    async with openai.AsyncOpenAI(api_key=KEY, base_url=sim.base_url) as client:
        await embed(client, "one")
    assert [entry.outcome for entry in sim.journal] == ["reset", "whole", "whole"]
    assert [entry.status for entry in sim.journal] == [200, 429, 200]
    assert sim.invoice.total_nano_usd == 2 * 20


@pytest.mark.parametrize("fault", ["O20", "O21", "O22", "O23", "O24", "O24/float64", "O27", "O35"])
async def test_hazard_a_bad_200_passes_silently(
    sim: OpenAISimulator, client: openai.AsyncOpenAI, fault: str
) -> None:
    sim.faults.add(fault)
    await embed(client, "one", "two")


@pytest.mark.parametrize("fault", ["O18", "O19"])
async def test_hazard_a_malformed_body_is_no_openai_error(
    sim: OpenAISimulator, client: openai.AsyncOpenAI, fault: str
) -> None:
    sim.faults.add(fault)
    with pytest.raises((ValueError, AttributeError)) as caught:
        await embed(client, "one")
    assert not isinstance(caught.value, openai.OpenAIError)
