"""Resumable uploads by TUS 1.0.0: an object that comes in parts, each behind the last byte that is there.

Errors here are text, under their true status.
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from waybill.sim.routing import Call, Done, Route
from waybill.sim.supabase import errors
from waybill.sim.supabase.bodies import NO_CACHE, NO_TYPE, Received, md5, read_object
from waybill.sim.supabase.calls import body_of, whom
from waybill.sim.supabase.errors import TUS_HEADERS, plain
from waybill.sim.supabase.policies import Caller, Doing
from waybill.sim.supabase.settings import PART_BYTES
from waybill.sim.supabase.store import SUPERUSER, Store
from waybill.sim.supabase.tokens import Links, Use
from waybill.sim.wire import Reply, Request

_PATH = "/storage/v1/upload/resumable"
_VERSION = {"tus-resumable": TUS_HEADERS["tus-resumable"]}
_EXTENSIONS = "creation,creation-with-upload,creation-defer-length,termination,expiration"
_PART_TYPE = "application/offset+octet-stream"


@dataclass(frozen=True)
class Upload:
    """One upload, also once it is done.

    Args:
        length: Of the object; None until it is told.
        told: The client's metadata.
        expires: Seconds since the epoch.
    """

    id: str
    bucket: str
    key: str
    upsert: bool
    length: int | None
    told: Mapping[str, str]
    expires: float
    done: bool = False


class Resumable:
    """Uploads by id, on disk as the objects are.

    Args:
        seconds: How long one can be gone on with.
        strict: Each part but the last has 6 MiB, and a part that was cut is not kept.
        foreign: Somebody else's host.
    """

    def __init__(
        self, store: Store, links: Links, folder: Path, seconds: int, strict: bool, foreign: Callable[[], str]
    ) -> None:
        self._store, self._links, self._folder = store, links, folder
        self._seconds, self._strict, self._foreign = seconds, strict, foreign
        self._busy: set[str] = set()
        folder.mkdir(exist_ok=True)

    def routes(self) -> list[Route]:
        """Which request asks for which operation, with a key and with a signed link's token alike."""
        return [
            route
            for path, kind in ((f"{_PATH}/sign", ".signed"), (_PATH, ""))
            for route in (
                Route("OPTIONS", path, f"tus.options{kind}", self.options),
                Route("POST", path, f"tus.create{kind}", _speaking(self.create), streamed=True),
                Route(
                    "PATCH", f"{path}/{{id}}", f"tus.upload.patch{kind}", _speaking(self.patch), streamed=True
                ),
                Route("HEAD", f"{path}/{{id}}", f"tus.upload.head{kind}", _speaking(self.head)),
                Route("DELETE", f"{path}/{{id}}", f"tus.upload.delete{kind}", _speaking(self.delete)),
            )
        ]

    async def options(self, _: Call) -> Done:
        """OPTIONS: what the server can do."""
        can = {"tus-version": "1.0.0", "tus-extension": _EXTENSIONS, "tus-max-size": str(self._store.most)}
        return Done(Reply(204, headers={**_VERSION, **can}))

    async def create(self, call: Call) -> Done:
        """POST: an upload, with its first bytes where the request has some."""
        request = call.request
        length = _length(request)
        if "upload-metadata" not in request.headers:
            raise plain(400, "Metadata header is required")
        told = _metadata(request.headers["upload-metadata"])
        bucket, key = told.get("bucketName", ""), told.get("objectName", "")
        caller, upsert = self._creator(call, bucket, key)
        into = self._store.bucket(bucket)
        self._store.check_upload(caller, bucket, key, upsert)
        self._store.check_type(into, told.get("contentType", NO_TYPE))
        if length is not None and length > self._store.most_bytes(into):
            raise plain(413, "Maximum size exceeded\n")
        expires = self._store.clock.now() + self._seconds
        upload = Upload(self._store.new_id(), bucket, key, upsert, length, told, expires)
        self._write(upload)
        self._bytes(upload).touch()
        state: dict[str, str] = {}
        if request.headers.get("content-type") == _PART_TYPE:
            upload = await self._take(upload, call)
            state = self._state(upload)
        elif length == 0:
            upload = await self._complete(upload)
            state = {"tus-complete": "1"}
        signed = "/sign" if request.path.rstrip("/").endswith("/sign") else ""
        # Always https, and with the host that the client named: what the real server does behind a proxy.
        place = f"https://{request.headers.get('host', '')}"
        if call.fault and call.fault.name == "F28":
            place = self._foreign()
        location = f"{place}{_PATH}{signed}/{upload.id}"
        return Done(Reply(201, headers={**TUS_HEADERS, **state, "location": location}))

    async def patch(self, call: Call) -> Done:
        """PATCH: a part, which begins where the last one ended."""
        upload, request = self._find(call), call.request
        if request.headers.get("content-type") != _PART_TYPE:
            raise plain(403, "Content-Type header required\n")
        told = request.headers.get("upload-offset", "")
        if not told.isdecimal():
            raise plain(403, "Upload-Offset header required\n")
        self._check_free(upload)
        if int(told) != self._offset(upload):
            raise plain(409, "Upload-Offset conflict\n")
        if upload.length is None and "upload-length" in request.headers:
            upload = dataclasses.replace(upload, length=_length(request))
        self._busy.add(upload.id)
        try:
            upload = await self._take(upload, call)
        finally:
            self._busy.discard(upload.id)
        return Done(Reply(204, headers=self._state(upload)))

    async def head(self, call: Call) -> Done:
        """HEAD: how much is there; all of it, once the upload is done."""
        upload = self._find(call)
        length = (
            {"upload-defer-length": "1"} if upload.length is None else {"upload-length": str(upload.length)}
        )
        offset = {"upload-offset": str(self._offset(upload)), "cache-control": "no-store"}
        return Done(Reply(200, headers={**TUS_HEADERS, **offset, **length}))

    async def delete(self, call: Call) -> Done:
        """DELETE: the upload ends, with what came of it."""
        upload = self._find(call)
        self._check_free(upload)
        self._forget(upload)
        return Done(Reply(204, headers=_VERSION))

    def _creator(self, call: Call, bucket: str, key: str) -> tuple[Caller, bool]:
        """Whom a creation acts for, and whether it may replace."""
        if not call.request.path.rstrip("/").endswith("/sign"):
            return whom(call), call.request.headers.get("x-upsert") == "true"
        return SUPERUSER, self._signed(call.request, bucket, key)

    def _signed(self, request: Request, bucket: str, key: str) -> bool:
        """Whether the link's token lets it replace; raises Refused where it is no good one."""
        if not (token := request.headers.get("x-signature", "")):
            raise plain(400, "Missing x-signature header")
        return bool(self._links.read(Use.UPLOAD, token, f"{bucket}/{key}")["upsert"])

    def _find(self, call: Call) -> Upload:
        upload = self._read(call.parts["id"])
        if upload is None or self._store.clock.now() >= upload.expires:
            if upload is not None:
                self._forget(upload)
            raise plain(404, "The file for this url was not found\n")
        if "/resumable/sign/" in call.request.path:
            self._signed(call.request, upload.bucket, upload.key)
        elif not self._store.may(whom(call), Doing.INSERT, upload.bucket, upload.key):
            raise errors.denied()
        return upload

    def _check_free(self, upload: Upload) -> None:
        if upload.id in self._busy:
            raise plain(423, "The upload is locked")

    async def _take(self, upload: Upload, call: Call) -> Upload:
        """Adds what a request brings.

        Raises:
            Refused: It is more than was announced, or no whole part where those are asked for.
            ConnectionError: The client left; what came stays, but where whole parts are asked for.
        """
        limit = self._store.most_bytes(self._store.bucket(upload.bucket))
        most = limit if upload.length is None else upload.length
        request, path = body_of(call), self._bytes(upload)
        before = size = path.stat().st_size
        keep = False
        try:
            with path.open("ab", buffering=0) as file:
                while piece := await request.piece():
                    size += len(piece)
                    if size > most:
                        raise plain(413, "upload's size exceeded\n")
                    file.write(piece)
            keep = not self._strict or size == upload.length or size - before == PART_BYTES
            if not keep:
                raise plain(400, "A part that is not the last has 6 MiB")
        except ConnectionError:
            keep = not self._strict
            raise
        finally:
            if not keep:
                with path.open("ab") as file:
                    file.truncate(before)
        self._write(upload)
        return await self._complete(upload) if size == upload.length else upload

    async def _complete(self, upload: Upload) -> Upload:
        """All bytes are there: they are the object, unless another came first that may not be replaced."""
        self._store.check_upload(SUPERUSER, upload.bucket, upload.key, upload.upsert)
        path, told = self._bytes(upload), upload.told
        seconds = told.get("cacheControl", "")
        received = Received(
            path,
            upload.length or 0,
            f'"{await asyncio.to_thread(md5, path)}"',
            told.get("contentType", NO_TYPE),
            f"max-age={seconds}" if seconds else NO_CACHE,
            read_object(told["metadata"]) if "metadata" in told else None,
        )
        self._store.complete(upload.bucket, upload.key, received)
        done = dataclasses.replace(upload, done=True)
        self._write(done)
        return done

    def _state(self, upload: Upload) -> dict[str, str]:
        complete = {"tus-complete": "1"} if upload.done else {}
        return {**_VERSION, "upload-offset": str(self._offset(upload)), **complete}

    def _offset(self, upload: Upload) -> int:
        return (upload.length or 0) if upload.done else self._bytes(upload).stat().st_size

    def _read(self, name: str) -> Upload | None:
        try:
            return Upload(**json.loads((self._folder / f"{Path(name).name}.json").read_text()))
        except FileNotFoundError:
            return None

    def _write(self, upload: Upload) -> None:
        (self._folder / f"{upload.id}.json").write_text(json.dumps(dataclasses.asdict(upload)))

    def _forget(self, upload: Upload) -> None:
        self._bytes(upload).unlink(missing_ok=True)
        (self._folder / f"{upload.id}.json").unlink()

    def _bytes(self, upload: Upload) -> Path:
        return self._folder / upload.id


def _speaking(operation: Callable[[Call], Awaitable[Done]]) -> Callable[[Call], Awaitable[Done]]:
    """An operation of this protocol: its version is asked for, and its errors are text."""

    async def spoken(call: Call) -> Done:
        version = call.request.headers.get("tus-resumable")
        if version is None:
            raise plain(412, "Tus-Resumable Required\n")
        if version != _VERSION["tus-resumable"]:
            raise plain(400, "Invalid tus-resumable\n")
        try:
            return await operation(call)
        except errors.Refused as refused:
            raise plain(refused.status, refused.message) from refused

    return spoken


def _length(request: Request) -> int | None:
    """The whole object's; None where it is told later."""
    told = request.headers.get("upload-length", "")
    if told.isdecimal():
        return int(told)
    if request.headers.get("upload-defer-length") != "1":
        raise plain(400, "Upload-Length or Upload-Defer-Length header required\n")
    return None


def _metadata(header: str) -> dict[str, str]:
    """Pairs of a name and a value in base64; a value may be missing."""
    told: dict[str, str] = {}
    try:
        for pair in filter(None, header.split(",")):
            name, _, value = pair.strip().partition(" ")
            told[name] = base64.b64decode(value).decode()
    except ValueError as error:
        raise plain(400, "Upload-Metadata is invalid\n") from error
    return told
