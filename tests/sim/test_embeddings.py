"""Embeddings and models over a real socket: answers, refusals, quotas, the journal and the bill."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.sim.raw import KEY, SMALL, ask, connected, embed
from tests.waiting import until
from waybill.sim.limits import Limits
from waybill.sim.openai.embeddings import logical_call, vectors
from waybill.sim.openai.settings import OpenAISettings
from waybill.sim.openai.simulator import OpenAISimulator, simulator


def floats(item: Any) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.frombuffer(base64.b64decode(item["embedding"]), "<f4")


async def test_a_vector_is_of_length_one_and_depends_on_model_dimension_and_text(
    sim: OpenAISimulator,
) -> None:
    seen = await embed(sim.base_url, "one", "two", "one", encoding_format="base64")
    one, two, again = (floats(item) for item in seen.json["data"])
    assert one.shape == (1536,)
    assert np.linalg.norm(one) == pytest.approx(1, abs=1e-5)
    assert (one == again).all()
    assert abs(float(one @ two)) < 0.2
    large = await embed(sim.base_url, "one", model="text-embedding-3-large", encoding_format="base64")
    assert abs(float(floats(large.json["data"][0])[:1536] @ one)) < 0.2


def test_each_of_many_texts_has_a_vector_of_its_own_in_half_precision_too() -> None:
    rows = vectors(SMALL, [f"text {number}" for number in range(20_000)], 256).astype(np.float16)
    assert len(np.unique(rows, axis=0)) == 20_000


async def test_base64_and_floats_are_the_same_numbers(sim: OpenAISimulator) -> None:
    packed = await embed(sim.base_url, "one", encoding_format="base64")
    listed = await embed(sim.base_url, "one")
    assert listed.json["data"][0]["embedding"] == floats(packed.json["data"][0]).tolist()


async def test_fewer_dimensions_are_the_first_ones_at_length_one(sim: OpenAISimulator) -> None:
    whole = floats((await embed(sim.base_url, "one", encoding_format="base64")).json["data"][0])
    few = floats((await embed(sim.base_url, "one", encoding_format="base64", dimensions=256)).json["data"][0])
    assert few == pytest.approx(whole[:256] / np.linalg.norm(whole[:256]), abs=1e-6)


async def test_tokens_are_counted_truly_and_billed_by_model(sim: OpenAISimulator) -> None:
    seen = await embed(sim.base_url, "hello world", "tiktoken is great!")
    assert seen.json["usage"] == {"prompt_tokens": 8, "total_tokens": 8}
    await embed(sim.base_url, "hello world", model="text-embedding-3-large")
    assert sim.invoice.total_nano_usd == 8 * 20 + 2 * 130
    assert sim.invoice.quantities() == {SMALL: 8, "text-embedding-3-large": 2}


async def test_a_single_string_and_token_lists_are_inputs_too(sim: OpenAISimulator) -> None:
    for given, tokens in (("hello world", 2), ([15339, 1917], 2), ([[15339], [1917, 1]], 3)):
        seen = await ask(sim.base_url, "POST", "/v1/embeddings", {"model": SMALL, "input": given})
        assert (seen.status, seen.json["usage"]["total_tokens"]) == (200, tokens)


async def test_the_journal_names_the_call_and_its_attempts_and_never_the_key(tmp_path: Path) -> None:
    file = tmp_path / "journal"
    async with simulator(OpenAISettings(latency_seconds=0, journal_file=file)) as sim:
        body = {"model": SMALL, "input": ["hello"]}
        for attempt in ("a-1", "a-2"):
            await ask(sim.base_url, "POST", "/v1/embeddings", body, x_client_request_id=attempt)
        first, second = sim.journal
        assert (first.client_request_id, first.attempt, first.inputs, first.tokens) == ("a-1", 1, 1, 1)
        assert (second.client_request_id, second.attempt, second.billed_nano_usd) == ("a-2", 2, 20)
        assert first.call == second.call == logical_call(["hello"])
        assert [json.loads(line) for line in file.read_text().splitlines()] == [asdict(first), asdict(second)]
        assert KEY not in file.read_text()


BAD_REQUESTS: list[tuple[dict[str, Any], int, str | None]] = [
    ({"input": []}, 400, None),
    ({"input": [""]}, 400, None),
    ({"input": ["a", 1]}, 400, None),
    ({"input": {"a": 1}}, 400, None),
    ({"input": ["a"] * 2049}, 400, "array_above_max_length"),
    ({"input": ["hello " * 8193]}, 400, None),
    ({"input": ["hello " * 8000] * 38}, 400, "max_tokens_per_request"),
    ({"input": ["a"], "dimensions": 1537}, 400, None),
    ({"input": ["a"], "dimensions": 0}, 400, None),
    ({"input": ["a"], "dimensions": 256, "model": "text-embedding-ada-002"}, 400, None),
    ({"input": ["a"], "encoding_format": "hex"}, 400, None),
    ({"input": ["a"], "colour": "blue"}, 400, None),
    ({"input": ["a"], "model": "gpt-0"}, 404, "model_not_found"),
    ({"input": ["a"], "model": ""}, 400, None),
]


@pytest.mark.parametrize(("change", "status", "code"), BAD_REQUESTS)
async def test_a_bad_request_is_refused_and_not_billed(
    sim: OpenAISimulator, change: dict[str, Any], status: int, code: str | None
) -> None:
    seen = await ask(sim.base_url, "POST", "/v1/embeddings", {"model": SMALL, **change})
    assert (seen.status, seen.code) == (status, code)
    assert set(seen.json["error"]) == {"message", "type", "param", "code"}
    assert sim.invoice.total_nano_usd == 0
    assert [entry.status for entry in sim.journal] == [status]


async def test_the_limits_themselves_are_allowed(sim: OpenAISimulator) -> None:
    assert (await embed(sim.base_url, *["a"] * 2048, encoding_format="base64")).status == 200
    longest = await embed(sim.base_url, "hello" + " hello" * 8191)
    assert longest.json["usage"]["total_tokens"] == 8192


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer pk-1", "Basic sk-1"])
async def test_a_bad_key_is_401_and_draws_no_fault(sim: OpenAISimulator, header: str) -> None:
    sim.faults.add("500:n=1")
    seen = await ask(sim.base_url, "POST", "/v1/embeddings", {}, authorization=header)
    assert (seen.status, seen.json["error"]["type"]) == (401, "invalid_request_error")
    assert (await embed(sim.base_url, "a")).status == 500


async def test_a_revoked_key_is_told_so_without_being_repeated(sim: OpenAISimulator) -> None:
    sim.keys.revoke(KEY)
    seen = await embed(sim.base_url, "a")
    assert (seen.status, seen.code) == (401, "invalid_api_key")
    assert KEY not in seen.body.decode()


async def test_a_key_of_a_project_refuses_another_project(sim: OpenAISimulator) -> None:
    sim.keys.add(KEY, organization="org-1", project="proj-1")
    good = {"openai_organization": "org-1", "openai_project": "proj-1"}
    assert (await ask(sim.base_url, "GET", "/v1/models", **good)).status == 200
    seen = await ask(sim.base_url, "GET", "/v1/models", openai_project="proj-2")
    assert (seen.status, seen.code) == (401, "mismatched_project")


async def test_a_full_bucket_answers_429_with_the_wait_and_admits_after_it() -> None:
    settings = OpenAISettings(latency_seconds=0, clock_start=0, limits=Limits(60, 6000))
    async with simulator(settings) as sim:
        first = await embed(sim.base_url, "hello " * 4000)
        left = int(first.headers["x-ratelimit-remaining-tokens"])
        second = await embed(sim.base_url, "hello " * 4000)
        assert (second.status, second.code) == (429, "rate_limit_exceeded")
        assert int(second.headers["retry-after"]) * 1000 >= int(second.headers["retry-after-ms"]) > 0
        assert second.headers["x-ratelimit-remaining-tokens"] == str(left)
        sim.clock.advance(int(second.headers["retry-after-ms"]) / 1000)
        assert (await embed(sim.base_url, "hello " * 4000)).status == 200
        assert [bool(entry.billed_nano_usd) for entry in sim.journal] == [True, False, True]


async def test_models_are_listed_and_a_probe_costs_nothing(sim: OpenAISimulator) -> None:
    listed = await ask(sim.base_url, "GET", "/v1/models")
    assert SMALL in {model["id"] for model in listed.json["data"]}
    assert (await ask(sim.base_url, "GET", f"/v1/models/{SMALL}")).json["object"] == "model"
    missing = await ask(sim.base_url, "GET", "/v1/models/gpt-0")
    assert (missing.status, missing.code) == (404, "model_not_found")
    assert sim.invoice.total_nano_usd == 0


async def test_an_unknown_path_is_404(sim: OpenAISimulator) -> None:
    assert (await ask(sim.base_url, "POST", "/v1/chat/completions", {})).status == 404


async def test_one_connection_carries_many_requests_also_chunked_ones(sim: OpenAISimulator) -> None:
    body = json.dumps({"model": SMALL, "input": "hello"}).encode()
    chunked = b"%x\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (10, body[:10], len(body) - 10, body[10:])
    async with connected(sim.base_url) as line:
        await line.send("POST", "/v1/embeddings", body)
        first = await line.receive()
        await line.send("POST", "/v1/embeddings", chunked, content_length="", transfer_encoding="chunked")
        assert (await line.receive()).json["data"] == first.json["data"]


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"POST /v1/embeddings HTTP/1.1\r\nhost: here\r\ncontent-length: x\r\n\r\n", 400),
        (b"POST /v1/embeddings HTTP/1.1\r\nhost: here\r\ncontent-length: 999999999\r\n\r\n", 413),
    ],
)
async def test_what_is_not_http_is_refused_and_the_connection_ends(
    sim: OpenAISimulator, raw: bytes, status: int
) -> None:
    async with connected(sim.base_url) as line:
        line.writer.write(raw)
        assert (await line.receive()).status == status
        assert await line.reader.read() == b""


async def test_a_caller_who_leaves_early_is_billed() -> None:
    async with simulator(OpenAISettings(latency_seconds=60)) as sim:
        async with connected(sim.base_url) as line:
            await line.send("POST", "/v1/embeddings", json.dumps({"model": SMALL, "input": "hello"}).encode())
            await until(lambda: bool(sim.journal))
        assert sim.invoice.total_nano_usd == 20
