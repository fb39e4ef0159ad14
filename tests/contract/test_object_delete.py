"""ObjectStorageService.DeleteObject, the same for each backend."""

from __future__ import annotations

import asyncio

import grpc
import pytest

from tests.contract.makers_objects import Storage, opened
from tests.contract.makers_storage import Headers, get, messages, refused, tenant_headers
from tests.contract.test_object_storage import CONTENT, put, storage
from waybill.storage.v1 import object_storage_service_pb2 as pb

__all__ = ["storage"]
NOT_FOUND = grpc.StatusCode.NOT_FOUND


async def delete(storage: Storage, headers: Headers, key: str) -> bool:
    """Deletes an object; says whether there was one."""
    return (await storage.stub.DeleteObject(pb.DeleteObjectRequest(key=key), metadata=headers)).deleted


async def test_a_deleted_object_is_gone_and_deleting_it_again_says_so(storage: Storage) -> None:
    me = tenant_headers()
    await put(storage, me, messages("a/b.pdf", CONTENT))
    assert await delete(storage, me, "a/b.pdf")
    for call in (
        get(storage.stub, me, "a/b.pdf"),
        storage.stub.StatObject(pb.StatObjectRequest(key="a/b.pdf"), metadata=me),
    ):
        async with refused("OBJECT_NOT_FOUND", NOT_FOUND):
            await call
    assert not await delete(storage, me, "a/b.pdf")
    assert not await delete(storage, tenant_headers(), "never/put")


async def test_nothing_is_left_of_a_tenants_last_object_and_the_next_one_is_stored(storage: Storage) -> None:
    me, before = tenant_headers(), storage.folders()
    for key in ("one", "two"):
        await put(storage, me, messages(key, CONTENT))
    assert await delete(storage, me, "one")
    assert (await get(storage.stub, me, "two"))[1] != []
    assert await delete(storage, me, "two")
    assert (await storage.kept(), storage.folders()) == ([], before)
    await put(storage, me, messages("one", b"again"))
    assert (await get(storage.stub, me, "one"))[1] == [b"again"]


async def test_who_reads_an_object_reads_on_when_it_is_deleted(storage: Storage) -> None:
    me = tenant_headers()
    await put(storage, me, messages("k", CONTENT))
    async with opened(storage, me, "k") as reading:
        first = await anext(reading.pieces)
        assert await delete(storage, me, "k")
        assert first + b"".join([piece async for piece in reading.pieces]) == CONTENT
    assert await storage.kept() == []


async def test_anothers_object_of_the_same_key_is_untouched(storage: Storage) -> None:
    mine, theirs = tenant_headers(), tenant_headers()
    await put(storage, theirs, messages("k", b"theirs"))
    assert not await delete(storage, mine, "k")
    await put(storage, mine, messages("k", b"mine"))
    assert await delete(storage, mine, "k")
    assert (await get(storage.stub, theirs, "k"))[1] == [b"theirs"]


async def test_objects_put_while_a_tenants_last_one_is_deleted_are_stored(storage: Storage) -> None:
    me = tenant_headers()
    for round_ in range(20):
        sent = [put(storage, me, messages(f"{round_}-{n}", b"kept")) for n in range(3)]
        gone = [delete(storage, me, f"{round_ - 1}-{n}") for n in range(3)]
        await asyncio.gather(*sent, *gone)
        for n in range(3):
            assert (await get(storage.stub, me, f"{round_}-{n}"))[1] == [b"kept"]
    assert len(await storage.kept()) == 3


@pytest.mark.parametrize("key", ["", "../up", "a//b", "a\\b", "a\0b"])
async def test_a_key_that_is_no_plain_path_is_refused(storage: Storage, key: str) -> None:
    async with refused("PATH_NOT_ALLOWED", grpc.StatusCode.INVALID_ARGUMENT):
        await delete(storage, tenant_headers(), key)
