"""ObjectStorageService, the same for each backend."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import random
from collections.abc import AsyncIterator, Iterable
from functools import partial
from pathlib import Path
from typing import NoReturn

import grpc
import pytest

from services.storage.backends.local import LocalObjects
from tests.conftest import MigratedPostgres
from tests.contract.makers_objects import BACKENDS, NOW, Storage, opened, over, over_files
from tests.contract.makers_storage import (
    Headers,
    get,
    header,
    messages,
    refused,
    tenant_headers,
)
from tests.waiting import PATIENCE_SECONDS, until
from waybill.runtime import errors
from waybill.storage.v1 import object_storage_service_pb2 as pb

INVALID = grpc.StatusCode.INVALID_ARGUMENT
CONTENT = bytes(range(256)) * 4_000


@pytest.fixture(params=BACKENDS)
async def storage(
    request: pytest.FixtureRequest, database: MigratedPostgres, tmp_path: Path
) -> AsyncIterator[Storage]:
    """The service over each backend, empty."""
    async with over(request.param, database, tmp_path) as made:
        yield made


async def put(
    storage: Storage, headers: Headers, sent: Iterable[pb.PutObjectRequest]
) -> pb.PutObjectResponse:
    """Puts these messages as they are, again where grpc.aio lost an early answer."""
    messages_sent = list(sent)
    while True:
        try:
            return await storage.stub.PutObject(iter(messages_sent), metadata=headers)
        except grpc.aio.AioRpcError as error:
            if errors.from_status(error).reason != "ANSWER_LOST":
                raise


async def keeps_one(storage: Storage) -> bool:
    """Whether one object is left, and nothing of a put that was refused: that goes behind the answer."""
    return len(await storage.kept()) == 1


async def test_a_document_s_file_cannot_be_replaced_by_another(storage: Storage) -> None:
    me, key = tenant_headers(), f"sources/{hashlib.sha256(CONTENT).hexdigest()}"
    await put(storage, me, messages(key, CONTENT))
    async with refused("PATH_NOT_ALLOWED", INVALID):
        await put(storage, me, messages(key, b"forged"))
    assert b"".join((await get(storage.stub, me, key))[1]) == CONTENT


async def test_what_was_put_comes_back_in_pieces_with_its_description(storage: Storage) -> None:
    me = tenant_headers()
    stored = (await put(storage, me, messages("a/b.pdf", CONTENT, content_type="application/pdf"))).object
    first, pieces = await get(storage.stub, me, "a/b.pdf")
    assert b"".join(pieces) == CONTENT
    assert max(map(len, pieces)) <= 256 * 1024
    assert first.object == stored
    assert (stored.key, stored.size_bytes, stored.content_type) == (
        "a/b.pdf",
        len(CONTENT),
        "application/pdf",
    )
    assert stored.sha256 == hashlib.sha256(CONTENT).hexdigest()
    assert stored.create_time.ToDatetime(datetime.UTC) == NOW
    assert (await storage.stub.StatObject(pb.StatObjectRequest(key="a/b.pdf"), metadata=me)).object == stored


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data; boundary=x", "audio/mpeg", "no type at all", "application/json"]
)
async def test_bytes_of_any_type_come_back_as_they_are_and_with_their_type(
    storage: Storage, content_type: str
) -> None:
    me, form = tenant_headers(), b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n--x--\r\n"
    stored = await put(storage, me, messages("form", form, content_type=content_type))
    assert stored.object.content_type == content_type
    assert (await get(storage.stub, me, "form"))[1] == [form]


async def test_an_object_of_several_parts_comes_back_whole_and_in_ranges(storage: Storage) -> None:
    me, large = tenant_headers(), random.Random(3).randbytes(13_000_000)
    await put(storage, me, messages("large", b"old"))
    await put(storage, me, messages("large", large))
    assert b"".join((await get(storage.stub, me, "large"))[1]) == large
    _, pieces = await get(storage.stub, me, "large", offset_bytes=6_291_000, limit_bytes=6_500_000)
    assert b"".join(pieces) == large[6_291_000:12_791_000]
    async with refused("CHECKSUM_MISMATCH", INVALID):
        await put(storage, me, messages("large", large, sha256="0" * 64))
    assert b"".join((await get(storage.stub, me, "large"))[1]) == large
    await until(partial(keeps_one, storage))


async def test_describing_an_object_opens_none(tmp_path: Path) -> None:
    class Closed(LocalObjects):
        def open(self, *_: object, **__: object) -> NoReturn:
            raise AssertionError("an object was opened")

    me = tenant_headers()
    async with over_files(Closed(tmp_path, lambda: NOW), tmp_path) as storage:
        stored = (await put(storage, me, messages("k", CONTENT))).object
        assert (await storage.stub.StatObject(pb.StatObjectRequest(key="k"), metadata=me)).object == stored


async def test_an_empty_object_is_an_object_of_the_default_type(storage: Storage) -> None:
    me = tenant_headers()
    await put(storage, me, messages("empty", b""))
    first, pieces = await get(storage.stub, me, "empty")
    assert (first.object.content_type, pieces) == ("application/octet-stream", [])


@pytest.mark.parametrize(
    ("offset", "limit", "expected"),
    [
        (0, 5, CONTENT[:5]),
        (300_000, 400_000, CONTENT[300_000:700_000]),
        (len(CONTENT) - 3, 0, CONTENT[-3:]),
        (len(CONTENT) - 3, 100, CONTENT[-3:]),
        (len(CONTENT), 0, b""),
        (2**63 - 1, 2**63 - 1, b""),
    ],
)
async def test_a_range_is_just_these_bytes(
    storage: Storage, offset: int, limit: int, expected: bytes
) -> None:
    me = tenant_headers()
    await put(storage, me, messages("k", CONTENT))
    first, pieces = await get(storage.stub, me, "k", offset_bytes=offset, limit_bytes=limit)
    assert b"".join(pieces) == expected
    assert first.object.size_bytes == len(CONTENT)


async def test_a_negative_range_is_refused(storage: Storage) -> None:
    async with refused("INVALID_REQUEST", INVALID):
        await get(storage.stub, tenant_headers(), "k", offset_bytes=-1)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/etc/passwd",
        "../up",
        "a/../b",
        "a/..",
        ".",
        "a//b",
        "a/",
        "a\\b",
        "a\0b",
        "a\nb",
        "\x1b[31m",
        "é" * 257,
    ],
)
async def test_a_key_that_is_no_plain_path_is_refused_by_every_call(storage: Storage, key: str) -> None:
    me = tenant_headers()
    for call in (
        put(storage, me, messages(key, b"x")),
        get(storage.stub, me, key),
        storage.stub.StatObject(pb.StatObjectRequest(key=key), metadata=me),
    ):
        async with refused("PATH_NOT_ALLOWED", INVALID):
            await call
    assert await storage.kept() == []


@pytest.mark.parametrize(
    "key", ["ünïcødé/日本語.pdf", 'a b/c\'s "d" [e].md', "...", "~", "é" * 256, "a:b", "-rf"]
)
async def test_any_other_name_is_kept_as_it_is(storage: Storage, key: str) -> None:
    me = tenant_headers()
    await put(storage, me, messages(key, b"x"))
    first, _ = await get(storage.stub, me, key)
    assert first.object.key == key


async def test_names_that_a_disk_could_confuse_stay_apart(storage: Storage) -> None:
    me = tenant_headers()
    keys = ["a", "A", "a/b", "e\u0301", "\u00e9"]
    for key in keys:
        await put(storage, me, messages(key, key.encode()))
    assert [b"".join((await get(storage.stub, me, key))[1]).decode() for key in keys] == keys


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (messages("k", CONTENT, sha256="0" * 64), "CHECKSUM_MISMATCH"),
        (messages("k", CONTENT, size_bytes=len(CONTENT) + 1), "INVALID_REQUEST"),
        (messages("k", CONTENT, size_bytes=len(CONTENT) - 1), "INVALID_REQUEST"),
        (messages("k", CONTENT, size_bytes=-1), "INVALID_REQUEST"),
        (messages("k", CONTENT, sha256="no hash"), "INVALID_REQUEST"),
        (messages("k", CONTENT, content_type="a\nb"), "INVALID_REQUEST"),
        (messages("k", CONTENT)[1:], "INVALID_REQUEST"),
        ([header("k", CONTENT), header("k", CONTENT)], "INVALID_REQUEST"),
        ([header("k", b"x" * 1_048_577), pb.PutObjectRequest(data=b"x" * 1_048_577)], "INVALID_REQUEST"),
        ([], "INVALID_REQUEST"),
    ],
)
async def test_a_put_that_is_not_what_it_says_leaves_nothing(
    storage: Storage, sent: list[pb.PutObjectRequest], reason: str
) -> None:
    async with refused(reason, INVALID):
        await put(storage, tenant_headers(), sent)
    # What had been begun at a vendor is deleted there behind the answer.
    await until(storage.is_empty)


async def test_a_put_over_the_backends_limit_is_refused_before_its_bytes_come(storage: Storage) -> None:
    size = storage.store.capabilities.max_object_bytes + 1
    async with refused("OBJECT_TOO_LARGE", grpc.StatusCode.RESOURCE_EXHAUSTED):
        await put(storage, tenant_headers(), [header("k", b"", size_bytes=size)])
    assert await storage.kept() == []


async def test_an_object_is_seen_only_when_whole_and_a_cancelled_put_leaves_nothing(storage: Storage) -> None:
    me, written = tenant_headers(), asyncio.Event()

    async def stuck() -> AsyncIterator[pb.PutObjectRequest]:
        for message in messages("k", CONTENT)[:-1]:
            yield message
        written.set()
        await asyncio.Event().wait()

    call = storage.stub.PutObject(stuck(), metadata=me)
    await asyncio.wait_for(written.wait(), PATIENCE_SECONDS)
    await until(storage.has_files)
    async with refused("OBJECT_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
        await storage.stub.StatObject(pb.StatObjectRequest(key="k"), metadata=me)
    call.cancel()
    await until(storage.is_empty)


async def test_an_object_is_replaced_whole_and_a_failed_put_keeps_the_old_one(storage: Storage) -> None:
    me = tenant_headers()
    await put(storage, me, messages("k", b"old", content_type="text/old"))
    async with refused("CHECKSUM_MISMATCH", INVALID):
        await put(storage, me, messages("k", b"broken", sha256="0" * 64))
    first, pieces = await get(storage.stub, me, "k")
    assert (first.object.content_type, pieces) == ("text/old", [b"old"])
    await put(storage, me, messages("k", b"newer", content_type="text/new"))
    first, pieces = await get(storage.stub, me, "k")
    assert (first.object.content_type, pieces) == ("text/new", [b"newer"])
    await until(partial(keeps_one, storage))


async def test_a_read_goes_on_undisturbed_while_its_object_is_replaced(storage: Storage) -> None:
    me = tenant_headers()
    await put(storage, me, messages("k", b"old"))
    async with opened(storage, me, "k") as reading:
        await put(storage, me, messages("k", b"newer"))
        assert [piece async for piece in reading.pieces] == [b"old"]


async def test_a_tenant_never_reaches_anothers_object(storage: Storage) -> None:
    mine, theirs = tenant_headers(), tenant_headers()
    await put(storage, mine, messages("k", b"mine"))
    for call in (
        get(storage.stub, theirs, "k"),
        storage.stub.StatObject(pb.StatObjectRequest(key="k"), metadata=theirs),
    ):
        async with refused("OBJECT_NOT_FOUND", grpc.StatusCode.NOT_FOUND):
            await call
    await put(storage, theirs, messages("k", b"theirs"))
    assert (await get(storage.stub, mine, "k"))[1] == [b"mine"]
