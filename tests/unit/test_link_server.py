"""The door behind links: whom it answers, and what a browser may do with what it sends."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from services.storage import link_server
from services.storage.backends.local import LocalObjects
from services.storage.backends.local_links import LocalLinks
from services.storage.backends.port import ObjectSpec
from services.storage.objects import Objects

NOW = datetime.datetime(2026, 11, 24, 12, tzinfo=datetime.UTC)
PUBLIC = "https://files.example.com"
PAGE = b"<script>alert(1)</script>"
SPEC = ObjectSpec("a/page.html", len(PAGE), hashlib.sha256(PAGE).hexdigest(), "text/html; charset=latin-1")


@pytest.fixture
async def store(tmp_path: Path) -> LocalObjects:
    """One stored HTML file, and links to it."""
    made = LocalObjects(tmp_path, lambda: NOW, LocalLinks(["k" * 32], PUBLIC, lambda: NOW))

    async def content() -> AsyncIterator[bytes]:
        yield PAGE

    await made.put("t", SPEC, content())
    return made


@pytest.fixture
def client(store: LocalObjects) -> TestClient:
    """A client of the door."""
    links = LocalLinks(["k" * 32], PUBLIC, lambda: NOW)
    return TestClient(link_server.app(Objects(store), links, PUBLIC), base_url=PUBLIC)


@pytest.fixture
async def url(store: LocalObjects) -> str:
    """A download link."""
    return (await store.sign_download("t", "a/page.html", 60, "page.html")).url


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("a b.pdf", "a b.pdf"),
        ("Übersicht März.pdf", "Ubersicht Marz.pdf"),
        ('"\\%.md', "___.md"),
        ("報告.md", "__.md"),
    ],
)
async def test_a_client_that_knows_plain_names_alone_saves_under_one_close_to_it(
    client: TestClient, store: LocalObjects, name: str, near: str
) -> None:
    given = (await store.sign_download("t", "a/page.html", 60, name)).url
    said = client.get(given).headers["content-disposition"]
    assert said == f"attachment; filename=\"{near}\"; filename*=UTF-8''{quote(name, safe='')}"


def test_a_stored_page_is_a_file_to_be_saved_and_never_runs_here(client: TestClient, url: str) -> None:
    answer = client.get(url)
    assert (answer.status_code, answer.content) == (200, PAGE)
    assert answer.headers["content-disposition"] == (
        "attachment; filename=\"page.html\"; filename*=UTF-8''page.html"
    )
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("sandbox")
    assert answer.headers["cache-control"] == "private, no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["content-type"] == "text/html; charset=latin-1"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("files.example.com", 200),
        ("localhost:7413", 200),
        ("127.0.0.1", 200),
        ("[::1]:7413", 200),
        ("evil.example", 400),
        ("files.example.com.evil.example", 400),
        ("", 400),
    ],
)
def test_it_answers_to_its_own_names_alone(client: TestClient, url: str, host: str, status: int) -> None:
    assert client.get(url, headers={"host": host}).status_code == status


def test_another_sites_page_gets_nothing(client: TestClient, url: str) -> None:
    assert client.get(url, headers={"origin": "https://evil.example"}).status_code == 403
    assert client.get(url, headers={"origin": "null"}).status_code == 403
    assert client.get(url, headers={"origin": PUBLIC}).status_code == 200


@pytest.mark.parametrize("method", ["POST", "DELETE", "PATCH", "OPTIONS"])
def test_no_other_method_does_anything(client: TestClient, url: str, method: str) -> None:
    assert client.request(method, url).status_code == 405


@pytest.mark.parametrize("path", ["/", "/objects/", "/objects/page.html", "/objects/page.html?token=x", "/x"])
def test_without_a_link_there_is_nothing_to_see(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code in (403, 404)
    assert b"page" not in answer.content


def test_the_name_in_the_path_is_part_of_what_was_signed(client: TestClient, url: str) -> None:
    assert client.get(url.replace("page.html?", "other.exe?")).status_code == 403


def test_who_has_the_content_is_told_so_and_goes_on_where_it_stopped(client: TestClient, url: str) -> None:
    etag = client.get(url).headers["etag"]
    assert client.get(url, headers={"if-none-match": etag}).status_code == 304
    part = client.get(url, headers={"range": "bytes=5-", "if-range": etag})
    assert (part.status_code, part.content) == (206, PAGE[5:])
    assert part.headers["content-range"] == f"bytes 5-{len(PAGE) - 1}/{len(PAGE)}"
    assert client.get(url, headers={"range": "bytes=5-", "if-range": '"another"'}).status_code == 200
    for several in ("bytes=0-1,3-4", "bytes=-", "bytes=5-4", "lines=1-2", "bytes=x-"):
        assert client.get(url, headers={"range": several}).status_code == 200
    beyond = client.get(url, headers={"range": "bytes=999-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(PAGE)}")


async def test_an_upload_that_is_not_what_was_announced_is_refused(
    store: LocalObjects, client: TestClient
) -> None:
    link = await store.sign_upload("t", SPEC, 60)

    wrong = client.put(link.url, content=PAGE + b"!")
    assert (wrong.status_code, b"25 bytes" in wrong.content) == (400, True)
    assert client.put(link.url, content=PAGE[::-1]).status_code == 422
    assert client.put(link.url, content=PAGE).status_code == 201
    assert client.put(link.url, content=PAGE).status_code == 201


@settings(max_examples=200, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(["GET", "HEAD", "PUT"]),
    st.text(max_size=30),
    st.one_of(st.text(max_size=60), st.none()),
    st.sampled_from(["bytes=0-0", "bytes=-99", "bytes=99999999999999999999-", "bytes=--", "\xff", ""]),
    st.binary(max_size=10),
)
def test_nothing_that_a_stranger_sends_is_a_defect(
    client: TestClient, url: str, method: str, name: str, token: str | None, range_: str, body: bytes
) -> None:
    # A path that begins with a stranger's text, or the link's own with a stranger's header.
    path = url if token is None else f"/objects/{quote(name)}?token={quote(token)}"
    answer = client.request(method, path, headers={b"range": range_.encode("latin-1")}, content=body)
    assert answer.status_code < 500
    assert answer.status_code < 300 or PAGE not in answer.content
