"""A vendor of one's own on the kit: streamed bodies, HEAD, ranges, paths, faults under its own names."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

import waybill.sim.clock
from tests.sim.raw import Line, Seen, connected
from tests.sim.toy import KEY, MOST_BYTES, Toy
from tests.waiting import until

AUTHORIZATION = f"Bearer {KEY}"
# What knows the vendors: the command and the fixtures. The tokenizer's names are those of models.
FRONT = {"command.py", "pytest_plugin.py"}


@pytest.fixture
async def toy() -> AsyncIterator[Toy]:
    async with Toy() as running:
        yield running


async def ask(toy: Toy, method: str, path: str, body: bytes = b"", **headers: str) -> Seen:
    async with connected(toy.url) as line:
        await line.send(method, path, body, authorization=AUTHORIZATION, **headers)
        return await line.receive(method)


async def begin(line: Line, path: str, sent: bytes, size: int, **headers: str) -> None:
    fields = {"authorization": AUTHORIZATION, "content_length": str(size), **headers}
    await line.send("PATCH", path, sent, **fields)


def test_the_kit_names_no_vendor() -> None:
    kit = [file for file in Path(waybill.sim.clock.__file__).parent.glob("*.py") if file.name not in FRONT]
    assert len(kit) > 10
    named = re.compile(r"openai|llama|supabase|embedding|batch|\bO\d\d\b|\bsk-", re.IGNORECASE)
    assert [file.name for file in kit if named.search(file.read_text())] == []


async def test_an_operation_reads_a_body_as_it_comes(toy: Toy) -> None:
    async with connected(toy.url) as line:
        await begin(line, "/files/a", b"first ", 12)
        await until(lambda: toy.contents.get("a") == bytearray(b"first "))
        line.writer.write(b"second")
        seen = await line.receive()
    assert (seen.status, seen.headers["upload-offset"]) == (204, "12")


async def test_what_came_before_a_client_left_is_kept_and_head_tells_how_much(toy: Toy) -> None:
    async with connected(toy.url) as line:
        await begin(line, "/files/a", b"half", 8)
        await until(lambda: toy.contents.get("a") == bytearray(b"half"))
    await until(lambda: bool(toy.journal))
    assert [(entry.operation, entry.status, entry.outcome) for entry in toy.journal] == [
        ("append", 0, "reset")
    ]
    head = await ask(toy, "HEAD", "/files/a")
    assert (head.status, head.headers["upload-offset"]) == (200, "4")
    assert (await ask(toy, "PATCH", "/files/a", b"rest")).headers["upload-offset"] == "8"


async def test_a_body_that_nobody_reads_is_answered_and_ends_the_connection(toy: Toy) -> None:
    async with connected(toy.url) as line:
        await begin(line, "/files/a", b"x" * 100_000, MOST_BYTES + 1)
        seen = await line.receive()
        assert (seen.status, seen.headers["connection"]) == (413, "close")
        assert await line.reader.read() == b""


async def test_a_client_that_waits_is_told_to_go_on_where_the_body_is_wanted(toy: Toy) -> None:
    async with connected(toy.url) as line:
        await begin(line, "/files/a", b"", 4, expect="100-continue")
        assert (await line.head()).status == 100
        line.writer.write(b"body")
        assert (await line.receive()).status == 204
        await begin(line, "/files/a", b"", MOST_BYTES + 1, expect="100-continue")
        assert (await line.receive()).status == 413


async def test_a_path_may_end_in_several_segments_and_is_decoded_once(toy: Toy) -> None:
    await ask(toy, "PATCH", "/files/a/b%2Fc%2520d", b"content")
    assert list(toy.contents) == ["a/b/c%20d"]
    assert (await ask(toy, "GET", "/files/a/b/c%2520d")).body == b"content"
    assert (await ask(toy, "GET", "/files")).status == 404


@pytest.mark.parametrize(
    ("asked", "status", "body", "shown"),
    [
        ("bytes=2-4", 206, b"234", "bytes 2-4/10"),
        ("bytes=7-", 206, b"789", "bytes 7-9/10"),
        ("bytes=-2", 206, b"89", "bytes 8-9/10"),
        ("bytes=-20", 206, b"0123456789", "bytes 0-9/10"),
        ("bytes=8-99", 206, b"89", "bytes 8-9/10"),
        ("bytes=10-", 416, b"", "bytes */10"),
        ("bytes=-0", 416, b"", "bytes */10"),
        ("bytes=4-2", 200, b"0123456789", None),
        ("bytes=0-1,4-5", 200, b"0123456789", None),
        ("bytes=-", 200, b"0123456789", None),
        ("lines=0-1", 200, b"0123456789", None),
    ],
)
async def test_a_range_is_answered_with_what_it_names(
    toy: Toy, asked: str, status: int, body: bytes, shown: str | None
) -> None:
    toy.contents["a"] = bytearray(b"0123456789")
    seen = await ask(toy, "GET", "/files/a", range=asked)
    assert (seen.status, seen.body, seen.headers.get("content-range")) == (status, body, shown)


async def test_a_range_of_what_has_changed_is_all_of_it(toy: Toy) -> None:
    toy.contents["a"] = bytearray(b"0123456789")
    assert (await ask(toy, "GET", "/files/a", range="bytes=0-1", if_range='"1"')).body == b"01"
    assert (await ask(toy, "GET", "/files/a", range="bytes=0-1", if_range='"0"')).status == 200


async def test_faults_of_the_wire_have_the_vendors_names(toy: Toy) -> None:
    toy.faults.add("T1:n=1,T2:n=2")
    for kept in (b"", b"x"):
        with pytest.raises(ConnectionResetError):
            await ask(toy, "PATCH", "/files/a", b"x")
        assert toy.contents.get("a", b"") == kept
    assert (await ask(toy, "PATCH", "/files/a", b"x")).status == 204
