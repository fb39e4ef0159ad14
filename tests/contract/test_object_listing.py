"""ListObjects, BatchDeleteObjects and metadata of ObjectStorageService, the same for each backend."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from tests.contract.makers_objects import Storage
from tests.contract.makers_storage import Headers, get, messages, refused, tenant_headers
from tests.contract.test_object_storage import CONTENT, put, storage
from waybill.runtime.wire import page_token
from waybill.storage.v1 import object_storage_service_pb2 as pb
from waybill.storage.v1.object_pb2 import Object

pytestmark = pytest.mark.slow

__all__ = ["storage"]
INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND


async def pages(
    storage: Storage, headers: Headers, prefix: str = "", size: int = 0
) -> AsyncIterator[list[Object]]:
    """Every page of a listing."""
    request = pb.ListObjectsRequest(prefix=prefix, page_size=size)
    while True:
        answer = await storage.stub.ListObjects(request, metadata=headers)
        yield list(answer.objects)
        if not answer.next_page_token:
            return
        request.page_token = answer.next_page_token


async def keys(storage: Storage, headers: Headers, prefix: str = "", size: int = 0) -> list[str]:
    """Every key of a listing, in its order."""
    return [one.key async for page in pages(storage, headers, prefix, size) for one in page]


async def update(storage: Storage, headers: Headers, key: str, metadata: dict[str, str]) -> Object:
    """Replaces an object's metadata."""
    request = pb.UpdateObjectMetadataRequest(key=key, metadata=metadata)
    return (await storage.stub.UpdateObjectMetadata(request, metadata=headers)).object


async def batch_delete(storage: Storage, headers: Headers, *names: str) -> list[str]:
    """Deletes objects; says which were there."""
    request = pb.BatchDeleteObjectsRequest(keys=names)
    return list((await storage.stub.BatchDeleteObjects(request, metadata=headers)).deleted_keys)


async def stat(storage: Storage, headers: Headers, key: str) -> Object:
    """Describes an object."""
    return (await storage.stub.StatObject(pb.StatObjectRequest(key=key), metadata=headers)).object


async def test_objects_are_listed_in_byte_order_each_with_its_whole_description(storage: Storage) -> None:
    me = tenant_headers()
    names = ["b", "a/2", "a", "Z", "é", "a/10", "z", "a-b", "\U0001f600", "\uffee"]
    stored = {name: (await put(storage, me, messages(name, name.encode()))).object for name in names}
    in_order = sorted(names, key=str.encode)
    assert [page async for page in pages(storage, me)] == [[stored[name] for name in in_order]]
    assert await keys(storage, me, size=3) == in_order
    assert await keys(storage, tenant_headers()) == []


async def test_a_prefix_is_any_beginning_of_a_key(storage: Storage) -> None:
    me = tenant_headers()
    for name in ("a", "a/1", "a/2", "ab", "b/a"):
        await put(storage, me, messages(name, b"x"))
    assert await keys(storage, me, "a/") == ["a/1", "a/2"]
    assert await keys(storage, me, "a", size=1) == ["a", "a/1", "a/2", "ab"]
    assert await keys(storage, me, "c") == []


@pytest.mark.timeout(900)
async def test_more_than_a_thousand_objects_are_listed_page_by_page(storage: Storage) -> None:
    me = tenant_headers()
    names = [f"{number:04d}" for number in range(1_203)]
    for start in range(0, len(names), 50):
        some = names[start : start + 50]
        await asyncio.gather(*(put(storage, me, messages(name, b"")) for name in some))
    found = [[one.key for one in page] async for page in pages(storage, me, size=5_000)]
    assert [len(page) for page in found] == [1_000, 203]
    assert [name for page in found for name in page] == names


async def test_a_page_ends_before_its_message_is_too_large(storage: Storage) -> None:
    me = tenant_headers()
    for number in range(150):
        await put(storage, me, messages(f"{number:03d}", b"", metadata={"about": "x" * 8_000}))
    found = [len(page) async for page in pages(storage, me, size=1_000)]
    assert len(found) == 2
    assert sum(found) == 150


async def test_what_is_there_all_the_while_is_listed_once_whatever_else_is_written(storage: Storage) -> None:
    me = tenant_headers()
    staying = [f"{number:02d}" for number in range(0, 40, 2)]
    for name in staying:
        await put(storage, me, messages(name, b"x"))
    found: list[str] = []
    async for page in pages(storage, me, size=3):
        found += [one.key for one in page]
        number = int(page[-1].key) if page else 39
        await put(storage, me, messages(f"{number + 1:02d}", b"new"))  # before and behind the place
        await put(storage, me, messages(f"{max(0, number - 1):02d}-", b"new"))
        await put(storage, me, messages(page[-1].key, b"replaced"))
        await batch_delete(storage, me, f"{number - 3:02d}")
    assert len(found) == len(set(found))
    assert not set(staying) - set(found)


async def test_a_deleted_place_of_a_page_token_loses_nothing(storage: Storage) -> None:
    me = tenant_headers()
    for name in "abcd":
        await put(storage, me, messages(name, b"x"))
    listing = pages(storage, me, size=2)
    assert [one.key for one in await anext(listing)] == ["a", "b"]
    await batch_delete(storage, me, "a", "b")
    assert [one.key for one in await anext(listing)] == ["c", "d"]


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ({"page_size": -1}, "INVALID_REQUEST"),
        ({"prefix": "a\\b"}, "PATH_NOT_ALLOWED"),
        ({"prefix": "é" * 257}, "PATH_NOT_ALLOWED"),
        ({"page_token": "?"}, "PAGE_TOKEN_INVALID"),
        ({"page_token": page_token("a", "b")}, "PAGE_TOKEN_INVALID"),
    ],
)
async def test_a_listing_that_makes_no_sense_is_refused(
    storage: Storage, wanted: dict[str, str | int], reason: str
) -> None:
    async with refused(reason, INVALID):
        request = pb.ListObjectsRequest(**wanted)  # type: ignore[arg-type]
        await storage.stub.ListObjects(request, metadata=tenant_headers())


async def test_several_objects_are_deleted_at_once_and_the_answer_names_those_that_were_there(
    storage: Storage,
) -> None:
    me, other = tenant_headers(), tenant_headers()
    for name in ("a", "b", "c"):
        await put(storage, me, messages(name, b"x"))
    await put(storage, other, messages("never", b"theirs"))
    assert await batch_delete(storage, me, "c", "never", "a", "c") == ["c", "a"]
    assert await batch_delete(storage, me, "c", "a") == []
    assert await keys(storage, me) == ["b"]
    assert await keys(storage, other) == ["never"]


@pytest.mark.parametrize(
    ("names", "reason"),
    [([], "INVALID_REQUEST"), (["a"] * 1_001, "INVALID_REQUEST"), (["a", "../b"], "PATH_NOT_ALLOWED")],
)
async def test_a_batch_delete_that_is_refused_deletes_nothing(
    storage: Storage, names: list[str], reason: str
) -> None:
    me = tenant_headers()
    await put(storage, me, messages("a", b"x"))
    async with refused(reason, INVALID):
        await batch_delete(storage, me, *names)
    assert await keys(storage, me) == ["a"]


async def test_metadata_comes_back_from_every_call_that_describes_an_object(storage: Storage) -> None:
    me, metadata = tenant_headers(), {"Author.name": "Zoë 日本", "empty": "", "a-b_c": "1"}
    stored = (await put(storage, me, messages("k", CONTENT, metadata=metadata))).object
    assert dict(stored.metadata) == metadata
    assert stored.update_time == stored.create_time
    first, _ = await get(storage.stub, me, "k")
    assert first.object == await stat(storage, me, "k") == stored
    assert [page async for page in pages(storage, me)] == [[stored]]


async def test_updated_metadata_replaces_all_of_it_and_stays_and_the_content_does_not_change(
    storage: Storage,
) -> None:
    me = tenant_headers()
    before = (await put(storage, me, messages("k", CONTENT, metadata={"a": "1", "b": "2"}))).object
    for metadata in ({"b": "3", "c": "4"}, {}, {"d": "x" * 8_000}):
        after = await update(storage, me, "k", metadata)
        assert dict(after.metadata) == metadata
        assert after.update_time.ToNanoseconds() >= before.update_time.ToNanoseconds()
        assert (after.sha256, after.create_time) == (before.sha256, before.create_time)
        assert await stat(storage, me, "k") == after
        first, pieces = await get(storage.stub, me, "k")
        assert (first.object, b"".join(pieces)) == (after, CONTENT)
        assert [page async for page in pages(storage, me)] == [[after]]


async def test_metadata_is_that_of_the_put_before_it_and_never_anothers(storage: Storage) -> None:
    me = tenant_headers()
    await put(storage, me, messages("k", b"old", metadata={"of": "old"}))
    await update(storage, me, "k", {"of": "old, updated"})
    await put(storage, me, messages("k", b"new", metadata={"of": "new"}))
    assert dict((await stat(storage, me, "k")).metadata) == {"of": "new"}
    await batch_delete(storage, me, "k")
    await put(storage, me, messages("k", b"newer"))
    assert dict((await stat(storage, me, "k")).metadata) == {}


async def test_updates_and_puts_at_once_leave_an_object_with_metadata_of_its_own(storage: Storage) -> None:
    me = tenant_headers()
    await put(storage, me, messages("k", b"0", metadata={"put": "0"}))
    for round_ in range(10):
        content = str(round_).encode()
        at_once = [update(storage, me, "k", {"update": str(one)}) for one in range(4)]
        await asyncio.gather(
            put(storage, me, messages("k", content, metadata={"put": str(round_)})), *at_once
        )
        first, pieces = await get(storage.stub, me, "k")
        assert pieces == [content]
        assert len(first.object.metadata) == 1
        assert first.object.metadata.get("put", str(round_)) == str(round_)


async def test_metadata_of_what_is_not_there_cannot_be_updated(storage: Storage) -> None:
    mine, theirs = tenant_headers(), tenant_headers()
    await put(storage, theirs, messages("k", b"x", metadata={"a": "1"}))
    async with refused("OBJECT_NOT_FOUND", NOT_FOUND):
        await update(storage, mine, "k", {"a": "2"})
    assert dict((await stat(storage, theirs, "k")).metadata) == {"a": "1"}


@pytest.mark.parametrize(
    "metadata",
    [
        {f"k{number}": "" for number in range(65)},
        {"k": "x" * 8_192},
        {"": "x"},
        {"a" * 65: "x"},
        {"a b": "x"},
        {"é": "x"},
        {"k": "a\nb"},
        {"k": "\x1b[31m"},
    ],
)
async def test_metadata_over_its_limits_is_refused_by_put_and_by_update(
    storage: Storage, metadata: dict[str, str]
) -> None:
    me = tenant_headers()
    async with refused("INVALID_REQUEST", INVALID):
        await put(storage, me, messages("new", b"x", metadata=metadata))
    await put(storage, me, messages("k", b"x", metadata={"a": "1"}))
    async with refused("INVALID_REQUEST", INVALID):
        await update(storage, me, "k", metadata)
    assert dict((await stat(storage, me, "k")).metadata) == {"a": "1"}
    assert await keys(storage, me) == ["k"]
