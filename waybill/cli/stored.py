"""`waybill objects list | get | put | sign | rm`: stored files by their keys."""

from __future__ import annotations

import mimetypes
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, timedelta
from pathlib import Path
from typing import Annotated, BinaryIO, cast

import typer
from google.protobuf.duration_pb2 import Duration
from rich.text import Text

from waybill.cli.durations import ago, duration
from waybill.cli.objects import told
from waybill.cli.paging import first, say_more
from waybill.cli.pairs import pairs
from waybill.cli.plain import plain
from waybill.cli.screen import Screen, counted, quoted, sized, table
from waybill.cli.session import Json, Tenant, reachable, session
from waybill.cli.transfers import STANDARD, Sending, progress, readable, receive, size_and_hash, written
from waybill.client import Client
from waybill.object_keys import is_of_document
from waybill.runtime.clock import utc_now
from waybill.runtime.errors import InvalidRequest
from waybill.runtime.identity import DEFAULT_TENANT
from waybill.storage.v1.link_pb2 import Link
from waybill.storage.v1.object_pb2 import Object
from waybill.storage.v1.object_storage_service_pb2 import (
    BatchDeleteObjectsRequest,
    GetObjectRequest,
    ListObjectsRequest,
    PutObjectRequest,
    SignDownloadRequest,
    SignUploadRequest,
)

TRANSFER_SECONDS = 6 * 3_600.0
_BATCH = 1_000
For = Annotated[
    timedelta | None,
    typer.Option(
        "--for",
        parser=duration,
        metavar="DURATION",
        help="How long the link lives, at most 7d: 90s, 10m, 2h.",
    ),
]

app = typer.Typer(help="Stored files, by their keys: list, get, put, sign, rm.", no_args_is_help=True)


@app.command("list")
def list_objects(
    prefix: Annotated[str, typer.Argument(metavar="PREFIX", help="How their keys begin.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="Most of them.")] = 100,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: Json = False,
) -> None:
    """List stored objects by key."""
    with session(tenant, as_json) as here:
        call = reachable(here.client, "storage").storage.ListObjects
        listed = first(call, ListObjectsRequest(prefix=prefix), "objects", limit + 1)
        if as_json:
            here.screen.emit({"objects": [told(one) for one in listed[:limit]]})
            return
        if listed:
            rows = map(_row, listed[:limit])
            here.screen.show(*table(("key", "size", "type", "stored"), rows, here.screen.page_width))
        else:
            here.screen.note("No such objects.")
        say_more(here.screen, listed, limit)


@app.command("get")
def get_object(
    key: Annotated[str, typer.Argument(metavar="KEY", help="As `waybill objects list` shows it.")],
    target: Annotated[
        str, typer.Argument(metavar="FILE", help="Where to; `-` is stdout; else the key's last part, here.")
    ] = "",
    tenant: Tenant = DEFAULT_TENANT,
    as_json: Json = False,
) -> None:
    """Copy an object into a file, which is there whole or not at all."""
    if as_json and target == STANDARD:
        raise typer.BadParameter("--json and the object cannot both go to stdout; name a FILE")
    with session(tenant, as_json) as here:
        client = reachable(here.client, "storage")
        target = target or _new_file(key)
        if target != STANDARD and Path(target).is_dir():
            target = str(Path(target, key.rpartition("/")[2]))
        stored = _fetch(client, here.screen, key, target)
        if as_json:
            here.screen.emit(told(stored))
        elif target != STANDARD:
            here.screen.tell(Text(f"{plain(target)}: {sized(stored.size_bytes)}"))


@app.command("put")
def put_object(
    source: Annotated[str, typer.Argument(metavar="FILE", help="What to store; `-` is stdin.")],
    key: Annotated[str, typer.Argument(metavar="KEY", help="Its key; else the file's name.")] = "",
    metadata: Annotated[
        list[str] | None,
        typer.Option("--metadata", metavar="KEY=VALUE", help="Kept with it; may be repeated."),
    ] = None,
    content_type: Annotated[
        str, typer.Option("--type", metavar="MEDIA_TYPE", help="Else by the key's suffix.")
    ] = "",
    tenant: Tenant = DEFAULT_TENANT,
    as_json: Json = False,
) -> None:
    """Store a file as an object, in place of the one of that key."""
    said = pairs(metadata or [], "--metadata")
    if source == STANDARD and not key:
        raise typer.BadParameter("name a KEY for what comes from stdin")
    with session(tenant, as_json) as here:
        client = reachable(here.client, "storage")
        with _content(source) as file:
            size_bytes, sha256 = size_and_hash(file)
            key = key or Path(source).name
            header = PutObjectRequest.Header(
                key=key,
                size_bytes=size_bytes,
                sha256=sha256,
                content_type=content_type or mimetypes.guess_type(key)[0] or "",
                metadata=said,
            )
            with progress(here.screen, key, size_bytes) as moved:
                sent = cast(Iterator[PutObjectRequest], Sending(file, header, moved))
                stored = client.storage.PutObject(sent, timeout=TRANSFER_SECONDS).object
        if as_json:
            here.screen.emit(told(stored))
        else:
            here.screen.tell(Text(f"{plain(stored.key)}: {sized(stored.size_bytes)}"))


@app.command("sign")
def sign_object(
    key: Annotated[str, typer.Argument(metavar="KEY", help="The object's key.")],
    upload: Annotated[
        Path | None,
        typer.Option("--upload", metavar="FILE", help="Not to get it, but to put this file as it."),
    ] = None,
    life: For = None,
    name: Annotated[str, typer.Option("--name", help="What a browser calls the download.")] = "",
    tenant: Tenant = DEFAULT_TENANT,
    as_json: Json = False,
) -> None:
    """Print a link by which anybody gets an object, or puts it; 15 minutes unless --for says."""
    if upload is not None and name:
        raise typer.BadParameter("--name is for downloads: leave it out beside --upload")
    lives = lasting(life)
    with session(tenant, as_json) as here:
        storage = reachable(here.client, "storage").storage
        if upload is None:
            request = SignDownloadRequest(key=key, life=lives, file_name=name)
            show_link(here.screen, storage.SignDownload(request).link)
            return
        with readable(upload) as file:
            size_bytes, sha256 = size_and_hash(file)
        kind = mimetypes.guess_type(key)[0] or ""
        link = storage.SignUpload(
            SignUploadRequest(key=key, size_bytes=size_bytes, sha256=sha256, content_type=kind, life=lives)
        ).link
        show_link(here.screen, link)
        if not as_json:
            headers = "".join(f"-H {quoted(f'{name}: {value}')} " for name, value in link.headers.items())
            here.screen.note(f"Put the file: curl {headers}--upload-file {quoted(str(upload))} URL")


@app.command("rm")
def remove_objects(
    keys: Annotated[list[str], typer.Argument(metavar="KEY", help="Their keys.")],
    tenant: Tenant = DEFAULT_TENANT,
    as_json: Json = False,
) -> None:
    """Delete objects, and say which were not there."""
    if own := next(filter(is_of_document, keys), None):
        raise typer.BadParameter(
            f"{plain(own)} belongs to a document, which could not be read again without it;"
            " `waybill delete DOCUMENT_KEY` deletes both"
        )
    with session(tenant, as_json) as here:
        call = reachable(here.client, "storage").storage.BatchDeleteObjects
        wanted = list(dict.fromkeys(keys))
        gone: list[str] = []
        for start in range(0, len(wanted), _BATCH):
            gone += call(BatchDeleteObjectsRequest(keys=wanted[start : start + _BATCH])).deleted_keys
        missing = [key for key in wanted if key not in set(gone)]
        if as_json:
            here.screen.emit({"deleted": gone, "missing": missing})
            return
        here.screen.tell(Text(f"deleted {counted(len(gone), 'object')}"))
        for key in missing:
            here.screen.note(f"was not there: {plain(key)}", "yellow")


def lasting(life: timedelta | None) -> Duration | None:
    """A link's life as requests have it."""
    return None if life is None else Duration(seconds=int(life.total_seconds()))


def show_link(screen: Screen, link: Link) -> None:
    """Prints a link, and beside it how long it is good."""
    if screen.as_json:
        screen.emit(told(link))
        return
    screen.tell(Text(plain(link.url)))
    ends = link.expire_time.ToDatetime(UTC)
    screen.note(f"Good until {ends:%Y-%m-%d %H:%M:%S} UTC, for whoever has it.", "dim")


def _row(stored: Object) -> tuple[str, ...]:
    age = utc_now() - stored.create_time.ToDatetime(UTC)
    return plain(stored.key), sized(stored.size_bytes), plain(stored.content_type), ago(age)


def _new_file(key: str) -> str:
    """A file of the key's last part; one that is there already has to be named."""
    name = key.rpartition("/")[2]
    if Path(name).exists():
        raise InvalidRequest(
            "FILE_EXISTS", f"There is a file {plain(name)} already: name it, or another one, as FILE."
        )
    return name


def _fetch(client: Client, screen: Screen, key: str, target: str) -> Object:
    answers = client.storage.GetObject(GetObjectRequest(key=key), timeout=TRANSFER_SECONDS)
    stored: Object = next(answers).object
    try:
        with progress(screen, key, stored.size_bytes) as moved, written(target) as file:
            receive(answers, file, moved, stored.sha256)
    except (FileNotFoundError, PermissionError, NotADirectoryError, IsADirectoryError) as error:
        text = f"{plain(target)} cannot be written: {error.strerror}."
        raise InvalidRequest("FILE_UNWRITABLE", text) from None
    return stored


@contextmanager
def _content(source: str) -> Iterator[BinaryIO]:
    """A file that can be read twice: its size and hash go first."""
    if source != STANDARD:
        with readable(Path(source)) as file:
            yield file
        return
    with tempfile.TemporaryFile() as spooled:
        shutil.copyfileobj(sys.stdin.buffer, spooled)
        yield spooled
