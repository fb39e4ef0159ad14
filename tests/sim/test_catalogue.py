"""Every fault of the catalogue, as it looks on the wire, and what it costs."""

from __future__ import annotations

import asyncio
import base64
import json
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.sim.raw import KEY, SMALL, Line, Seen, ask, connected, embed
from tests.waiting import until
from waybill.sim.openai.catalogue import QUOTA_CODES, SCOPES
from waybill.sim.openai.embeddings import logical_call
from waybill.sim.openai.simulator import OpenAISimulator

BODY = json.dumps({"model": SMALL, "input": ["one", "two", "three"], "encoding_format": "base64"}).encode()
PRICE = 3 * 20

REFUSALS: list[tuple[str, int, dict[str, str], str | None]] = [
    ("O07", 429, {"retry-after": "1"}, "rate_limit_exceeded"),
    ("O07/0", 429, {"retry-after": "0"}, "rate_limit_exceeded"),
    ("O07/120", 429, {"retry-after": "120"}, "rate_limit_exceeded"),
    ("O07/garbage", 429, {"retry-after": "garbage"}, "rate_limit_exceeded"),
    ("O07/none", 429, {}, "rate_limit_exceeded"),
    ("O08/12ms", 429, {"x-ratelimit-reset-tokens": "12ms"}, "rate_limit_exceeded"),
    ("O08", 429, {"x-ratelimit-reset-tokens": "1s"}, "rate_limit_exceeded"),
    ("O08/6m0s", 429, {"x-ratelimit-reset-tokens": "6m0s"}, "rate_limit_exceeded"),
    *((f"O09/{code}", 429, {}, code) for code in QUOTA_CODES),
    ("O10", 500, {}, None),
    ("O12", 503, {"retry-after": "1"}, None),
    ("O13", 401, {}, "invalid_api_key"),
    ("O14", 403, {}, None),
    ("O15", 404, {}, "model_not_found"),
    ("O16", 400, {}, None),
    ("O17", 400, {}, "max_tokens_per_request"),
    ("408", 408, {}, None),
    ("422", 422, {}, None),
    ("429", 429, {}, "rate_limit_exceeded"),
    ("504", 504, {}, None),
    ("529", 529, {}, None),
]


@pytest.mark.parametrize(("fault", "status", "headers", "code"), REFUSALS)
async def test_a_refusal_is_openais_json_and_costs_nothing(
    sim: OpenAISimulator, fault: str, status: int, headers: dict[str, str], code: str | None
) -> None:
    sim.faults.add(f"{fault}:n=1")
    seen = await embed(sim.base_url, "one")
    assert (seen.status, seen.code) == (status, code)
    assert seen.headers.items() >= {**headers, "content-type": "application/json"}.items()
    told = {name for name in seen.headers if name.startswith(("retry-after", "x-ratelimit-reset"))}
    assert told == set(headers)
    assert sim.invoice.total_nano_usd == 0
    assert (await embed(sim.base_url, "one")).status == 200


def data(seen: Seen) -> list[Any]:
    listed: list[Any] = seen.json["data"]
    return listed


def rows(seen: Seen) -> list[Any]:
    return [np.frombuffer(base64.b64decode(item["embedding"]), "<f4") for item in data(seen)]


def indexes(seen: Seen) -> list[int]:
    return [item["index"] for item in data(seen)]


def same(seen: Seen, good: Seen, order: list[int]) -> bool:
    return [item["embedding"] for item in data(seen)] == [data(good)[place]["embedding"] for place in order]


CORRUPTED: list[tuple[str, Callable[[Seen, Seen], bool]]] = [
    ("O18", lambda seen, good: seen.body == good.body[: len(good.body) // 2]),
    ("O19", lambda seen, good: seen.body.startswith(b"<html>") and "html" in seen.headers["content-type"]),
    ("O20", lambda seen, good: len(data(seen)) == 2),
    ("O21", lambda seen, good: indexes(seen) == [2, 1, 0] and same(seen, good, [2, 1, 0])),
    ("O22", lambda seen, good: indexes(seen) == [0, 1, 2] and same(seen, good, [2, 1, 0])),
    ("O23", lambda seen, good: [item["embedding"] is None for item in data(seen)] == [False, False, True]),
    ("O24", lambda seen, good: {len(row) for row in rows(seen)} == {1535}),
    ("O24/float64", lambda seen, good: {len(row) for row in rows(seen)} == {3072}),
    ("O25", lambda seen, good: bool(np.isnan(rows(seen)[2]).any())),
    ("O25/inf", lambda seen, good: bool(np.isinf(rows(seen)[2]).any())),
    ("O26", lambda seen, good: [bool(row.any()) for row in rows(seen)] == [True, True, False]),
    ("O27", lambda seen, good: "usage" not in seen.json),
    ("O27/null", lambda seen, good: seen.json["usage"] is None),
    ("O27/wrong", lambda seen, good: seen.json["usage"]["total_tokens"] == 6),
    ("O35", lambda seen, good: seen.json["model"] != SMALL and data(seen) == data(good)),
]


@pytest.mark.parametrize(("fault", "wrong"), CORRUPTED)
async def test_a_bad_200_is_billed(
    sim: OpenAISimulator, fault: str, wrong: Callable[[Seen, Seen], bool]
) -> None:
    good = await embed(sim.base_url, "one", "two", "three", encoding_format="base64")
    sim.faults.add(f"{fault}:n=1")
    seen = await embed(sim.base_url, "one", "two", "three", encoding_format="base64")
    assert seen.status == 200
    assert wrong(seen, good)
    assert not wrong(good, good)
    assert sim.invoice.total_nano_usd == 2 * PRICE


async def test_an_outage_refuses_connections_until_it_is_healed(sim: OpenAISimulator) -> None:
    async with connected(sim.base_url) as line:
        await line.send("GET", "/v1/models")
        await line.receive()
        sim.faults.add("O01")
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await line.receive()
    with pytest.raises(ConnectionRefusedError):
        await embed(sim.base_url, "one")
    sim.faults.heal()
    assert (await embed(sim.base_url, "one")).status == 200


async def test_a_triggered_outage_ends_by_itself(sim: OpenAISimulator) -> None:
    sim.faults.add("O01/3:n=1")
    with pytest.raises(ConnectionResetError):
        await embed(sim.base_url, "one")
    with pytest.raises(ConnectionRefusedError):
        await embed(sim.base_url, "one")
    await until(lambda: sim.server.is_up)
    assert (await embed(sim.base_url, "one")).status == 200
    assert sim.invoice.total_nano_usd == 20


@pytest.mark.parametrize(("fault", "billed"), [("O02", 0), ("O03", PRICE)])
async def test_a_reset_tells_the_caller_nothing_and_the_invoice_tells_the_difference(
    sim: OpenAISimulator, fault: str, billed: int
) -> None:
    sim.faults.add(f"{fault}:n=1")
    async with connected(sim.base_url) as line:
        await line.send("POST", "/v1/embeddings", BODY)
        with pytest.raises(ConnectionResetError):
            await line.receive()
    assert sim.invoice.total_nano_usd == billed
    assert [(entry.outcome, entry.billed_nano_usd, entry.fault) for entry in sim.journal] == [
        ("reset", billed, f"{fault}:n=1")
    ]


async def broken(sim: OpenAISimulator, line: Line, fault: str) -> Seen:
    """The headers of an answer that a fault breaks."""
    sim.faults.add(f"{fault}:n=1")
    await line.send("POST", "/v1/embeddings", BODY)
    seen = await line.head()
    assert sim.invoice.total_nano_usd == PRICE
    return seen


async def test_half_a_body_then_the_end(sim: OpenAISimulator) -> None:
    async with connected(sim.base_url) as line:
        seen = await broken(sim, line, "O04")
        assert len(await line.reader.read()) == int(seen.headers["content-length"]) // 2


async def test_a_drip_is_a_byte_per_tenth_of_a_second(sim: OpenAISimulator) -> None:
    async with connected(sim.base_url) as line:
        await broken(sim, line, "O05")
        clock = asyncio.get_running_loop()
        began = clock.time()
        pieces = [await line.reader.read(1000) for _ in range(4)]
        assert b"".join(pieces) == b'{"ob'
        assert clock.time() - began > 0.25


async def test_silence_after_the_headers(sim: OpenAISimulator) -> None:
    async with connected(sim.base_url) as line:
        seen = await broken(sim, line, "O06")
        assert int(seen.headers["content-length"]) > 0
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await line.reader.read(1)


async def test_html_from_a_proxy(sim: OpenAISimulator) -> None:
    sim.faults.add("O11")
    seen = await embed(sim.base_url, "one")
    assert (seen.status, seen.headers["content-type"]) == (502, "text/html")
    assert sim.invoice.total_nano_usd == 0


async def test_a_small_gzip_holds_a_quarter_of_a_gigabyte_of_valid_json(sim: OpenAISimulator) -> None:
    good = await embed(sim.base_url, "one")
    sim.faults.add("O28:n=1")
    seen = await embed(sim.base_url, "one")
    assert seen.headers["content-encoding"] == "gzip"
    assert len(seen.body) < 2**20
    unpacking = zlib.decompressobj(wbits=31)
    total, last, packed = 0, b"", seen.body
    while packed:
        piece = unpacking.decompress(packed, 2**24)
        total, last, packed = total + len(piece), piece or last, unpacking.unconsumed_tail
    assert unpacking.eof
    assert total == 256 * 2**20 + len(good.body)
    assert last.endswith(good.body)


async def test_a_redirect_leads_to_a_foreign_host_where_the_journal_sees_who_follows(
    sim: OpenAISimulator,
) -> None:
    sim.faults.add("O29:n=1")
    seen = await embed(sim.base_url, "one")
    assert (seen.status, seen.headers["location"]) == (307, f"http://localhost:{sim.server.port}/foreign")
    await ask(sim.base_url, "POST", "/foreign", {})
    assert [entry.operation for entry in sim.journal] == ["embeddings", "foreign"]
    assert sim.invoice.total_nano_usd == 0


async def test_an_idle_connection_is_closed_under_the_next_request(sim: OpenAISimulator) -> None:
    sim.faults.add("O30:n=1")
    async with connected(sim.base_url) as line:
        await line.send("POST", "/v1/embeddings", BODY)
        assert (await line.receive()).status == 200
        await line.send("POST", "/v1/embeddings", BODY)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await line.receive()
    assert sim.invoice.total_nano_usd == PRICE
    assert len(sim.journal) == 1


async def test_a_fault_finds_the_second_attempt_of_one_logical_call(sim: OpenAISimulator) -> None:
    sim.faults.add(f"500:call={logical_call(['two'])[:12]}:attempt=2")
    asked = [(await embed(sim.base_url, text)).status for text in ("one", "two", "one", "two", "two")]
    assert asked == [200, 200, 200, 500, 200]


async def test_no_answer_or_journal_shows_the_key(sim: OpenAISimulator) -> None:
    for fault, *_ in REFUSALS:
        sim.faults.add(f"{fault}:n=1")
        seen = await embed(sim.base_url, "one")
        assert KEY not in seen.body.decode() + str(seen.headers)
    assert KEY not in str(sim.journal)


def test_every_fault_of_the_catalogue_has_a_test() -> None:
    alone = {"O01", "O02", "O03", "O04", "O05", "O06", "O11", "O28", "O29", "O30", "O31", "O32", "O33", "O34"}
    listed = {
        fault.partition("/")[0] for fault in [row[0] for row in REFUSALS] + [row[0] for row in CORRUPTED]
    }
    assert set(SCOPES) == alone | {name for name in listed if name.startswith("O")}
