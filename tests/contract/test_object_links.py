"""SignDownload and SignUpload, each link fetched with a bare HTTP client, the same for each backend."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from tests.contract.makers_objects import NOW, Storage
from tests.contract.makers_storage import Headers, get, messages, refused, tenant_headers
from tests.contract.test_object_storage import CONTENT, put, storage
from waybill.storage.v1 import object_storage_service_pb2 as pb
from waybill.storage.v1.link_pb2 import Link

__all__ = ["storage"]
INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
REFUSED = (400, 403, 404, 410)


@dataclass(frozen=True)
class Answer:
    """Of an HTTP server."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def fetch(
    link: Link, *, method: str = "", body: bytes | None = None, headers: Mapping[str, str] = {}
) -> Answer:
    """What a client answers that knows the link, and nothing else of us."""

    def send() -> Answer:
        place = urlsplit(link.url)
        kind = http.client.HTTPSConnection if place.scheme == "https" else http.client.HTTPConnection
        connection = kind(place.netloc, timeout=30)
        try:
            # Who is refused early may find the connection closed before all is sent: the answer is there.
            with suppress(BrokenPipeError):
                connection.request(
                    method or link.method, f"{place.path}?{place.query}", body, {**link.headers, **headers}
                )
            answer = connection.getresponse()
            said = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, said, answer.read())
        finally:
            connection.close()

    return await asyncio.to_thread(send)


async def download(
    storage: Storage, headers: Headers, key: str, seconds: int | None = None, file_name: str = ""
) -> Link:
    """A link to an object."""
    life = None if seconds is None else Duration(seconds=seconds)
    request = pb.SignDownloadRequest(key=key, life=life, file_name=file_name)
    return (await storage.stub.SignDownload(request, metadata=headers)).link


async def upload(
    storage: Storage, headers: Headers, key: str, content: bytes, seconds: int | None = None, **more: object
) -> Link:
    """A link by which to put this content."""
    fields = {"key": key, "size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    life = None if seconds is None else Duration(seconds=seconds)
    request = pb.SignUploadRequest(life=life, **(fields | more))  # type: ignore[arg-type]
    return (await storage.stub.SignUpload(request, metadata=headers)).link


def elsewhere(link: Link, url: str) -> Link:
    """The link with another address."""
    return Link(url=url, method=link.method, headers=link.headers)


def token_of(link: Link) -> str:
    """What signs a link."""
    return parse_qs(urlsplit(link.url).query)["token"][0]


def lives(link: Link, seconds: float, since: float) -> bool:
    """From the contract's first moment, where a backend's clock stands still; else from its making."""
    ends = link.expire_time.ToNanoseconds() / 1e9
    return ends == NOW.timestamp() + seconds or since - 5 < ends - seconds < time.time() + 5


async def test_a_link_gives_the_whole_object_to_a_client_that_has_nothing_else(storage: Storage) -> None:
    me = tenant_headers()
    await put(storage, me, messages("a/b c é.pdf", CONTENT, content_type="application/pdf"))
    link = await download(storage, me, "a/b c é.pdf")
    answer = await fetch(link)
    assert (answer.status, answer.body, link.method) == (200, CONTENT, "GET")
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"].startswith("attachment")
    assert "b%20c%20%C3%A9.pdf" in answer.headers["content-disposition"]


async def test_an_empty_object_comes_by_link(storage: Storage) -> None:
    me = tenant_headers()
    await put(storage, me, messages("empty", b""))
    answer = await fetch(await download(storage, me, "empty"))
    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize(
    ("asked", "status", "expected"),
    [
        ("bytes=0-4", 206, CONTENT[:5]),
        ("bytes=300000-699999", 206, CONTENT[300_000:700_000]),
        (f"bytes={len(CONTENT) - 3}-", 206, CONTENT[-3:]),
        ("bytes=-3", 206, CONTENT[-3:]),
        (f"bytes={len(CONTENT)}-", 416, None),
    ],
)
async def test_a_link_serves_ranges(
    storage: Storage, asked: str, status: int, expected: bytes | None
) -> None:
    me = tenant_headers()
    await put(storage, me, messages("k", CONTENT))
    answer = await fetch(await download(storage, me, "k"), headers={"range": asked})
    assert answer.status == status
    assert expected is None or answer.body == expected


async def test_head_says_how_long_the_object_is(storage: Storage) -> None:
    me = tenant_headers()
    await put(storage, me, messages("k", CONTENT))
    answer = await fetch(await download(storage, me, "k"), method="HEAD")
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", str(len(CONTENT)))


async def test_two_links_to_one_object_have_two_lives_and_each_ends_with_its_own(storage: Storage) -> None:
    me = tenant_headers()
    await put(storage, me, messages("k", CONTENT))
    since = time.time()
    short, long = await download(storage, me, "k", 60), await download(storage, me, "k", 3_600)
    assert lives(short, 60, since)
    assert lives(long, 3_600, since)
    assert [(await fetch(link)).status for link in (short, long)] == [200, 200]
    if storage.pass_seconds is None:
        return
    # A vendor's clock also goes by itself, on a slow machine for some seconds.
    storage.pass_seconds(20)
    assert [(await fetch(link)).status for link in (short, long)] == [200, 200]
    storage.pass_seconds(41)
    first, second = await fetch(short), await fetch(long)
    assert first.status in REFUSED
    assert CONTENT[:100] not in first.body
    assert (second.status, second.body) == (200, CONTENT)
    storage.pass_seconds(3_600)
    assert (await fetch(long)).status in REFUSED


async def test_a_link_that_names_no_life_lives_for_fifteen_minutes(storage: Storage) -> None:
    me = tenant_headers()
    await put(storage, me, messages("k", b"x"))
    since = time.time()
    assert lives(await download(storage, me, "k"), 900, since)


async def test_a_link_that_anybody_changed_is_refused(storage: Storage) -> None:
    me = tenant_headers()
    await put(storage, me, messages("k", CONTENT))
    link = await download(storage, me, "k")
    token = token_of(link)
    changed = [
        "",
        token[:-2] + ("AA" if not token.endswith("AA") else "BB"),
        ("A" if token[0] != "A" else "B") + token[1:],
        token.rpartition(".")[0],
        token.rpartition(".")[0] + ".",
        token + "x",
        "." + token.rpartition(".")[2],
    ]
    for one in changed:
        answer = await fetch(elsewhere(link, link.url.replace(token, one)))
        assert answer.status in REFUSED, one
        assert CONTENT[:100] not in answer.body


async def test_a_link_is_good_for_no_other_key_and_no_other_tenants_object(storage: Storage) -> None:
    mine, theirs = tenant_headers(), tenant_headers()
    await put(storage, mine, messages("mine", b"mine"))
    await put(storage, mine, messages("other", b"other of mine"))
    await put(storage, theirs, messages("mine", b"theirs"))
    link, other = await download(storage, mine, "mine"), await download(storage, mine, "other")
    strange = await download(storage, theirs, "mine")
    for body, token in ((b"other of mine", other), (b"theirs", strange)):
        mixed = await fetch(elsewhere(link, link.url.replace(token_of(link), token_of(token))))
        # Where the token alone names the object, it is that one; never this path's under another's token.
        assert mixed.status in REFUSED or mixed.body == body
        assert mixed.body != b"mine"
    async with refused("OBJECT_NOT_FOUND", NOT_FOUND):
        await download(storage, theirs, "other")
    async with refused("OBJECT_NOT_FOUND", NOT_FOUND):
        await download(storage, mine, "never")


async def test_a_download_link_puts_nothing_and_an_upload_link_gets_nothing(storage: Storage) -> None:
    me = tenant_headers()
    await put(storage, me, messages("k", b"old"))
    down, up = await download(storage, me, "k"), await upload(storage, me, "k", b"new")
    assert (await fetch(down, method="PUT", body=b"new")).status >= 400
    assert (await fetch(down, method="DELETE")).status >= 400
    assert (await fetch(up, method="GET")).status >= 400
    assert (await get(storage.stub, me, "k"))[1] == [b"old"]


async def test_a_link_gives_no_content_but_the_one_that_it_was_signed_for(storage: Storage) -> None:
    me = tenant_headers()
    await put(storage, me, messages("k", b"old"))
    link = await download(storage, me, "k")
    await put(storage, me, messages("k", b"new"))
    assert (await fetch(link)).body != b"new"
    assert (await fetch(await download(storage, me, "k"))).body == b"new"
    await storage.stub.DeleteObject(pb.DeleteObjectRequest(key="k"), metadata=me)
    async with refused("OBJECT_NOT_FOUND", NOT_FOUND):
        await download(storage, me, "k")


async def test_an_upload_link_takes_just_what_was_announced_and_then_it_is_an_object(
    storage: Storage,
) -> None:
    me, metadata = tenant_headers(), {"from": "a link", "who": "Zoë"}
    link = await upload(storage, me, "in/é.txt", CONTENT, content_type="text/plain", metadata=metadata)
    async with refused("OBJECT_NOT_FOUND", NOT_FOUND):
        await storage.stub.StatObject(pb.StatObjectRequest(key="in/é.txt"), metadata=me)
    assert (await fetch(link, body=CONTENT)).status in (200, 201)
    first, pieces = await get(storage.stub, me, "in/é.txt")
    assert b"".join(pieces) == CONTENT
    assert (first.object.content_type, dict(first.object.metadata)) == ("text/plain", metadata)
    listed = await storage.stub.ListObjects(pb.ListObjectsRequest(), metadata=me)
    assert list(listed.objects) == [first.object]


@pytest.mark.parametrize("sent", [CONTENT[:-1], CONTENT[:-1] + b"?", CONTENT + b"?", b""])
async def test_what_comes_by_a_link_and_is_not_what_was_announced_is_no_object(
    storage: Storage, sent: bytes
) -> None:
    me = tenant_headers()
    await put(storage, me, messages("old", b"old"))
    for key in ("new", "old"):
        link = await upload(storage, me, key, CONTENT)
        with suppress(ConnectionError):
            await fetch(link, body=sent)  # a vendor may take it at first
    async with refused("OBJECT_NOT_FOUND", NOT_FOUND):
        await storage.stub.StatObject(pb.StatObjectRequest(key="new"), metadata=me)
    assert (await get(storage.stub, me, "old"))[1] == [b"old"]
    listed = await storage.stub.ListObjects(pb.ListObjectsRequest(), metadata=me)
    assert [one.key for one in listed.objects] == ["old"]


async def test_an_upload_link_ends_with_its_life(storage: Storage) -> None:
    me, fixed = tenant_headers(), storage.store.capabilities.upload_link_seconds
    since = time.time()
    link = await upload(storage, me, "k", CONTENT, seconds=60)
    assert lives(link, fixed or 60, since)
    if storage.pass_seconds is None:
        return
    storage.pass_seconds((fixed or 60) + 1)
    assert (await fetch(link, body=CONTENT)).status in REFUSED
    async with refused("OBJECT_NOT_FOUND", NOT_FOUND):
        await storage.stub.StatObject(pb.StatObjectRequest(key="k"), metadata=me)


async def test_an_upload_link_over_the_limit_or_without_a_hash_is_not_given(storage: Storage) -> None:
    me, most = tenant_headers(), storage.store.capabilities.max_object_bytes
    async with refused("OBJECT_TOO_LARGE", grpc.StatusCode.RESOURCE_EXHAUSTED):
        await upload(storage, me, "k", b"", size_bytes=most + 1)
    for wrong in ({"sha256": ""}, {"size_bytes": -1}, {"metadata": {"a b": "x"}}):
        async with refused("INVALID_REQUEST", INVALID):
            await upload(storage, me, "k", b"x", **wrong)
    async with refused("PATH_NOT_ALLOWED", INVALID):
        await upload(storage, me, "../k", b"x")


@pytest.mark.parametrize(
    "wanted",
    [
        pb.SignDownloadRequest(),
        pb.SignDownloadRequest(key="k", life=Duration(seconds=0)),
        pb.SignDownloadRequest(key="k", life=Duration(seconds=-1)),
        pb.SignDownloadRequest(key="k", life=Duration(seconds=604_801)),
        pb.SignDownloadRequest(key="k", life=Duration(seconds=1, nanos=1)),
        pb.SignDownloadRequest(key="k", file_name="a/b"),
        pb.SignDownloadRequest(key="k", file_name=".."),
        pb.SignDownloadRequest(key="k", file_name="a\nb"),
        pb.SignDownloadRequest(key="k", file_name="x" * 256),
    ],
)
async def test_a_link_that_makes_no_sense_is_not_given(
    storage: Storage, wanted: pb.SignDownloadRequest
) -> None:
    me = tenant_headers()
    await put(storage, me, messages("k", b"x"))
    async with refused("INVALID_REQUEST", INVALID):
        await storage.stub.SignDownload(wanted, metadata=me)


async def test_a_file_is_named_as_the_caller_says(storage: Storage) -> None:
    me = tenant_headers()
    await put(storage, me, messages("k", b"x"))
    for name in ('Report "7"; é.pdf', "50%.txt", "-rf"):
        answer = await fetch(await download(storage, me, "k", file_name=name))
        assert answer.status == 200, name
        assert "attachment" in answer.headers["content-disposition"]


async def test_what_came_by_a_link_before_is_replaced_and_deleted_by_what_is_done_after(
    storage: Storage,
) -> None:
    me = tenant_headers()
    for key in ("replaced", "deleted"):
        link = await upload(storage, me, key, CONTENT)
        assert (await fetch(link, body=CONTENT)).status in (200, 201)
    await put(storage, me, messages("replaced", b"after"))
    assert (await get(storage.stub, me, "replaced"))[1] == [b"after"]
    assert (await storage.stub.DeleteObject(pb.DeleteObjectRequest(key="deleted"), metadata=me)).deleted
    async with refused("OBJECT_NOT_FOUND", NOT_FOUND):
        await get(storage.stub, me, "deleted")
