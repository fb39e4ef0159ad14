"""`waybill objects` and `waybill open` against the real storage servicer, over files and their links."""

from __future__ import annotations

import asyncio
import datetime
import hashlib
import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner, Result

from services.storage.config import LinksConfig
from services.storage.objects import Objects
from services.storage.objects_servicer import ObjectStorageServicer
from services.storage.on_disk import objects_on_disk
from tests.cli.conftest import Waybill
from tests.cli.fakes import NASTY, Orchestrator, make_hit
from tests.cli.test_commands import assert_inert, documented
from tests.inprocess import server_config
from tests.waiting import PATIENCE_SECONDS
from waybill.cli.exits import Exit
from waybill.cli.main import app
from waybill.cli.opening import has_windows
from waybill.runtime.audit import Audit, log_alone
from waybill.runtime.errors import NotFound
from waybill.runtime.server import Service, serving
from waybill.runtime.telemetry import Telemetry
from waybill.storage.v1 import object_storage_service_pb2_grpc as rpc

CONTENT = bytes(range(256)) * 4_000
DOCUMENTS = {("default", "manual.md"): "sources/1", ("other", "manual.md"): "sources/2"}


async def source_of(tenant: str, collection: str, document_key: str) -> str:
    """What an index would say."""
    try:
        return DOCUMENTS[collection or "default", document_key]
    except KeyError:
        raise NotFound("DOCUMENT_NOT_FOUND", "The collection has no document of this key.") from None


@contextmanager
def storage(folder: Path) -> Iterator[str]:
    """Serves files in a folder from a thread; its address."""
    address: list[str] = []
    up, down = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        now = lambda: datetime.datetime.now(datetime.UTC)  # noqa: E731
        async with objects_on_disk(folder, LinksConfig("127.0.0.1:0"), now) as (store, _):
            servicer = ObjectStorageServicer(Objects(store), source_of, Audit(log_alone))
            add = rpc.add_ObjectStorageServiceServicer_to_server
            service = Service([(add, servicer)])
            async with serving(server_config("storage"), Telemetry("storage", []), service) as at:
                address.append(at)
                up.set()
                await down.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert up.wait(PATIENCE_SECONDS)
        yield address[0]
    finally:
        loop.call_soon_threadsafe(down.set)
        thread.join()
        loop.close()


@pytest.fixture
def objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Result]]:
    """Runs `waybill …` beside a storage service, in an empty folder."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with ExitStack() as stack:
        # The service is in this process, and the command's output is to be the command's alone.
        stack.enter_context(capture_logs())
        address = stack.enter_context(storage(tmp_path / "objects"))

        def run(*arguments: str, input: bytes | None = None) -> Result:
            env = {"COLUMNS": "80", "WAYBILL_STORAGE_ADDRESS": address, "DISPLAY": ":none"}
            return CliRunner().invoke(app, arguments, input=input, env=env)

        yield run


def put(objects: Callable[..., Result], key: str, content: bytes = CONTENT, *more: str) -> None:
    """Stores content by the command."""
    result = objects("objects", "put", "-", key, *more, input=content)
    assert result.exit_code == 0, result.stderr


def fetched(url: str, upload: bytes | None = None) -> tuple[int, bytes, str | None]:
    """What a client without any of ours is answered: status, content, and how it is to be shown."""
    request = urllib.request.Request(url, upload, method="PUT" if upload else "GET")  # noqa: S310 our own
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        return answer.status, answer.read(), answer.headers.get_content_disposition()


def shape(result: Result) -> dict[str, object]:
    """The one JSON object that was printed."""
    assert (result.exit_code, result.stderr) == (0, "")
    (line,) = result.stdout.splitlines()
    found: dict[str, object] = json.loads(line)
    return found


def test_a_file_is_stored_listed_and_copied_back(objects: Callable[..., Result]) -> None:
    Path("a.pdf").write_bytes(CONTENT)
    said = shape(objects("objects", "put", "a.pdf", "--metadata", "who=Zoë", "--metadata", "n=1", "--json"))
    assert list(said) == documented("object")
    assert said["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert (said["content_type"], said["metadata"]) == ("application/pdf", {"n": "1", "who": "Zoë"})
    assert shape(objects("objects", "list", "--json"))["objects"] == [said]
    assert shape(objects("objects", "get", "a.pdf", "b.pdf", "--json")) == said
    assert Path("b.pdf").read_bytes() == CONTENT
    assert objects("objects", "get", "a.pdf", "-").stdout_bytes == CONTENT
    assert sorted(path.name for path in Path().iterdir()) == ["a.pdf", "b.pdf"]


def test_a_listing_is_a_table_of_what_begins_so(objects: Callable[..., Result]) -> None:
    for key in ("a/1.md", "a/2.md", "b"):
        put(objects, key, b"hi")
    lines = [line.split() for line in objects("objects", "list", "a/").stdout.splitlines()]
    assert [line[:3] for line in lines] == [
        ["key", "size", "type"],
        ["a/1.md", "2", "B"],
        ["a/2.md", "2", "B"],
    ]
    some = objects("objects", "list", "--limit", "1")
    assert "more than these 1" in some.stderr
    assert "No such objects" in objects("objects", "list", "c").stderr


def test_a_copy_goes_where_it_is_told_and_replaces_nothing_that_was_not_named(
    objects: Callable[..., Result],
) -> None:
    put(objects, "x/.profile", b"theirs")
    Path(".profile").write_bytes(b"mine")
    refused = objects("objects", "get", "x/.profile")
    assert refused.exit_code == Exit.REFUSED
    assert refused.stderr.startswith("error: FILE_EXISTS: ")
    assert Path(".profile").read_bytes() == b"mine"
    assert objects("objects", "get", "x/.profile", ".profile").exit_code == 0
    assert Path(".profile").read_bytes() == b"theirs"
    Path("folder").mkdir()
    assert objects("objects", "get", "x/.profile", "folder").exit_code == 0
    assert Path("folder/.profile").read_bytes() == b"theirs"
    assert objects("objects", "get", "x/.profile", "/dev/null").exit_code == 0
    assert not Path("/dev/null").is_file()
    nowhere = objects("objects", "get", "x/.profile", "nowhere/x")
    assert (nowhere.exit_code, nowhere.stderr.split()[1]) == (Exit.REFUSED, "FILE_UNWRITABLE:")


def test_what_is_not_there_is_said(objects: Callable[..., Result]) -> None:
    for command, reason in (
        (["objects", "get", "never", "x"], "OBJECT_NOT_FOUND"),
        (["objects", "sign", "never"], "OBJECT_NOT_FOUND"),
        (["objects", "put", "never"], "FILE_NOT_FOUND"),
        (["open", "never"], "DOCUMENT_NOT_FOUND"),
    ):
        result = objects(*command)
        assert (result.exit_code, result.stdout) == (Exit.NOT_FOUND, "")
        assert result.stderr.startswith(f"error: {reason}: ")
    assert list(Path().iterdir()) == []


def test_several_are_deleted_and_those_that_were_not_there_are_named(objects: Callable[..., Result]) -> None:
    for key in "abc":
        put(objects, key, b"x")
    said = objects("objects", "rm", "c", "never", "a", "a")
    assert (said.exit_code, said.stdout) == (0, "deleted 2 objects\n")
    assert "was not there: never" in said.stderr
    assert shape(objects("objects", "rm", "b", "a", "--json")) == {"deleted": ["b"], "missing": ["a"]}


def test_a_link_is_printed_alone_and_gives_the_object(objects: Callable[..., Result]) -> None:
    put(objects, "a/b.pdf")
    said = objects("objects", "sign", "a/b.pdf", "--for", "1h", "--name", "Ü 1.pdf")
    (url,) = said.stdout.splitlines()
    assert "UTC" in said.stderr
    assert fetched(url) == (200, CONTENT, "attachment")
    link = shape(objects("objects", "sign", "a/b.pdf", "--for", "2h", "--json"))
    assert list(link) == documented("link")
    ends = datetime.datetime.fromisoformat(str(link["expire_time"]))
    assert abs(ends - datetime.datetime.now(datetime.UTC) - datetime.timedelta(hours=2)).seconds < 600
    assert objects("objects", "sign", "a/b.pdf", "--for", "200h").exit_code == Exit.REFUSED


def test_an_upload_link_takes_the_file_that_was_named(objects: Callable[..., Result]) -> None:
    Path("f.txt").write_bytes(b"hello")
    said = objects("objects", "sign", "in.txt", "--upload", "f.txt")
    (url,) = said.stdout.splitlines()
    assert "curl --upload-file f.txt URL" in said.stderr
    assert fetched(url, b"hello")[0] == 201
    assert objects("objects", "get", "in.txt", "-").stdout_bytes == b"hello"


def test_open_finds_a_documents_file_and_else_the_object(objects: Callable[..., Result]) -> None:
    for key in ("sources/1", "sources/2", "manual.txt"):
        put(objects, key, key.encode())

    def opened(*arguments: str) -> bytes:
        return fetched(objects("open", *arguments).stdout.strip())[1]

    assert opened("manual.md") == b"sources/1"
    assert opened("manual.md", "--collection", "other", "--for", "60s") == b"sources/2"
    assert opened("manual.txt", "--print") == b"manual.txt"
    link = shape(objects("open", "manual.md", "--json"))
    assert list(link) == documented("link")
    assert "/objects/manual.md?" in str(link["url"])


def test_a_browser_is_opened_only_where_it_has_a_window() -> None:
    assert has_windows({"DISPLAY": ":0"}, "linux")
    assert has_windows({}, "darwin")
    assert not has_windows({"DISPLAY": ""}, "linux")


@pytest.mark.parametrize(
    "line", ["objects", "objects get k - --json", "objects put -", "objects put x --metadata y", "objects rm",
             "objects sign k --upload f --name n", f"objects rm k sources/{'0' * 64}",
             f"objects rm parsed/{'0' * 64}/tier/engine/id.jsonl"],
)  # fmt: skip
def test_a_command_line_that_makes_no_sense_is_refused_before_anything_is_asked(
    waybill: Waybill, line: str
) -> None:
    assert waybill(*line.split()).exit_code == Exit.USAGE


def test_names_are_inert(objects: Callable[..., Result]) -> None:
    key = NASTY.replace("\x1b", "").replace("\x07", "").replace("\x9b", "").replace("\u2028", "")
    put(objects, f"a{key}")
    for result in (
        objects("objects", "list"),
        objects("objects", "rm", f"b{key}"),
        objects("objects", "sign", f"a{key}"),
    ):
        assert_inert(result.stdout)
        assert_inert(result.stderr)


def test_a_search_says_how_the_file_of_a_hit_is_opened(waybill: Waybill, orchestrator: Orchestrator) -> None:
    orchestrator.hits = [make_hit(document_key="the manual.md")]
    said = waybill("search", "x", "--collection", "c d", "--tenant", "acme").stderr
    assert "waybill open 'the manual.md' --collection 'c d' --tenant acme" in said
    assert "--collection" not in waybill("search", "x").stderr
    orchestrator.hits = []
    assert "waybill open" not in waybill("search", "x").stderr
