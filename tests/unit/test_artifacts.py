"""A parsed document comes as a stream of lines and becomes the same chunks however it comes."""

from __future__ import annotations

import itertools
import json
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.orchestrator import artifacts
from services.orchestrator.chunks.cutting import Page, cut
from services.orchestrator.chunks.packing import MESSAGE_BYTES, Packer
from waybill import tokens
from waybill.limits import CALL_TEXTS, REQUEST_TOKENS
from waybill.runtime.errors import VendorContract
from waybill.storage.v1.chunk_pb2 import Chunk
from waybill.storage.v1.object_pb2 import Object
from waybill.storage.v1.object_storage_service_pb2 import GetObjectRequest, GetObjectResponse

PIECE_BYTES = 250_007  # no divisor of a line or of a range


class Storage:
    """One object, in pieces; the calls whose number is in `breaks` end in the middle."""

    def __init__(self, content: bytes, breaks: tuple[int, ...] = (), announced: int | None = None) -> None:
        self._content = content
        self._breaks = breaks
        self._announced = len(content) if announced is None else announced
        self.calls = 0

    def GetObject(self, request: GetObjectRequest) -> Reply:  # noqa: N802
        self.calls += 1
        end = request.offset_bytes + request.limit_bytes
        return Reply(self._content[request.offset_bytes : end], self._announced, self.calls in self._breaks)


class Reply:
    """A response stream."""

    def __init__(self, content: bytes, size: int, breaks: bool) -> None:
        self._content, self._size, self._breaks = content, size, breaks

    async def __aiter__(self) -> AsyncIterator[GetObjectResponse]:
        yield GetObjectResponse(object=Object(size_bytes=self._size))
        for at in range(0, len(self._content), PIECE_BYTES):
            if self._breaks and at:
                unavailable = grpc.StatusCode.UNAVAILABLE
                raise grpc.aio.AioRpcError(unavailable, grpc.aio.Metadata(), grpc.aio.Metadata())
            yield GetObjectResponse(data=self._content[at : at + PIECE_BYTES])

    def cancel(self) -> bool:
        return True


def artifact(pages: int, words: int = 400) -> bytes:
    text = "".join(f"Sentence {number} of a page. " for number in range(words // 5))
    rows = ({"page": number, "markdown": f"{number} {text}"} for number in range(1, pages + 1))
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


async def read(storage: Any) -> list[Page]:
    return [page async for lines in artifacts.lines(storage, "key", 5) for page in artifacts.pages(lines)]


async def test_lines_run_over_borders_of_pieces_and_ranges_and_none_is_lost() -> None:
    storage = Storage(artifact(1_200))
    assert [page.number for page in await read(storage)] == list(range(1, 1_201))
    assert storage.calls > 2


async def test_a_small_document_is_one_call() -> None:
    storage = Storage(artifact(1))
    assert len(await read(storage)) == 1
    assert storage.calls == 1


async def test_a_broken_stream_goes_on_where_it_was() -> None:
    content = artifact(1_200)
    whole, broken = Storage(content), Storage(content, breaks=(1, 3))
    assert await read(broken) == await read(whole)
    assert broken.calls == whole.calls + 2


@pytest.mark.parametrize("missing", [1, 2_000_000])
async def test_pages_that_end_early_are_an_error_and_no_shorter_document(missing: int) -> None:
    content = artifact(1_200)
    with pytest.raises(VendorContract) as caught:
        await read(Storage(content[:-missing], announced=len(content)))
    assert caught.value.reason == "PAGES_INCOMPLETE"


@pytest.mark.slow
async def test_memory_does_not_grow_with_the_document() -> None:
    tokens.count(["the vocabulary is loaded once"])

    async def peak(pages: int) -> int:
        storage: Any = Storage(artifact(pages))
        tracemalloc.start()
        packer = Packer()
        async for lines in artifacts.lines(storage, "key", 5):
            packer.add(artifacts.pages(lines))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert await peak(3_200) - await peak(1_200) < 500_000


PAGES = [Page(number, f"# Part {number}\n\n" + f"Word {number} of it. " * 300) for number in range(1, 241)]


def filled(groups: Iterator[list[Page]]) -> tuple[list[list[Chunk]], Packer]:
    packer = Packer()
    messages = [message for group in groups for message in packer.add(group)]
    return messages + packer.rest(), packer


@settings(max_examples=15)
@given(st.lists(st.integers(1, 39), max_size=5))
def test_messages_and_batches_are_the_same_however_the_pages_come(borders: list[int]) -> None:
    groups = (PAGES[left:right] for left, right in itertools.pairwise([0, *sorted(borders), 40]))
    messages, packer = filled(groups)
    expected, whole = filled(iter([PAGES[:40]]))
    assert (messages, packer.batches) == (expected, whole.batches)
    assert len(packer.batches) > 1


def test_every_chunk_is_put_once_in_messages_under_the_limit_and_is_in_one_batch() -> None:
    messages, packer = filled(iter([PAGES]))
    chunks = [chunk for message in messages for chunk in message]
    assert [chunk.ordinal for chunk in chunks] == list(range(packer.chunks))
    assert [chunk.text for chunk in chunks] == [passage.text for passage in cut(PAGES)]
    assert len(messages) > 1
    assert all(sum(chunk.ByteSize() for chunk in message) <= MESSAGE_BYTES for message in messages)
    assert [start for start, _ in packer.batches] == [0, *(end for _, end in packer.batches[:-1])]
    assert packer.batches[-1][1] == packer.chunks
    for start, end in packer.batches:
        assert 0 < sum(chunk.token_count for chunk in chunks[start:end]) <= REQUEST_TOKENS


def test_a_batch_of_many_short_chunks_is_one_that_an_embedder_takes() -> None:
    _, packer = filled(iter([[Page(number, "a") for number in range(1, 2_500)]]))
    assert packer.batches == [(0, CALL_TEXTS), (CALL_TEXTS, 2_499)]


def test_pages_without_text_fill_nothing() -> None:
    messages, packer = filled(iter([[Page(1, " \n")]]))
    assert (messages, packer.chunks, packer.batches) == ([], 0, [])
