"""An object's bytes: they go to disk as they come, and are an object's only when all have come."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from waybill.sim import forms
from waybill.sim.supabase.errors import no_content, too_large
from waybill.sim.wire import Request, Stored

# What a form has around its file.
_FORM_BYTES = 2**16
NO_TYPE, NO_CACHE = "application/octet-stream", "no-cache"


@dataclass(frozen=True)
class Received:
    """What came, in a file of its own.

    Args:
        etag: With its quotes; the md5 of the bytes.
    """

    path: Path
    size: int
    etag: str
    content_type: str = NO_TYPE
    cache_control: str = NO_CACHE
    metadata: Mapping[str, Any] | None = field(default_factory=dict)


class Bodies:
    """The files of a project.

    Args:
        known: The versions that there are; the files of others go.
    """

    def __init__(self, folder: Path, known: Collection[str] = ()) -> None:
        self._kept, self._incoming = folder / "versions", folder / "incoming"
        shutil.rmtree(self._incoming, ignore_errors=True)
        self._kept.mkdir(parents=True, exist_ok=True)
        self._incoming.mkdir()
        for path in self._kept.iterdir():
            if path.name not in known:
                path.unlink()

    def keep(self, received: Received, version: str) -> None:
        """Makes what came a version's bytes."""
        received.path.rename(self._kept / version)

    def stored(self, version: str, size: int) -> Stored:
        """A version's bytes, to be sent."""
        return Stored(self._kept / version, 0, size)

    def copy(self, version: str, to: str) -> None:
        """The same bytes, as another version."""
        os.link(self._kept / version, self._kept / to)

    def drop(self, version: str) -> None:
        """A version's bytes go; who is reading them reads on."""
        (self._kept / version).unlink(missing_ok=True)

    @contextlib.asynccontextmanager
    async def receiving(self, request: Request, most_bytes: int) -> AsyncIterator[Received]:
        """A request's object, which goes unless it is kept.

        Raises:
            Refused: It is too large, or a form without a file.
            ConnectionError: The client left before its end.
        """
        folder = Path(tempfile.mkdtemp(dir=self._incoming))
        try:
            if is_form(request):
                yield await _form(request, folder, most_bytes)
            else:
                yield await _raw(request, folder, most_bytes)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def is_form(request: Request) -> bool:
    """Whether an upload comes as a form."""
    return request.headers.get("content-type", "").startswith("multipart/form-data")


async def _raw(request: Request, folder: Path, most_bytes: int) -> Received:
    # What does not say how long it is, no limit holds: so it is with the server, too.
    if int(request.headers.get("content-length", 0)) > most_bytes:
        raise too_large()
    path, size, digest = folder / "body", 0, hashlib.md5(usedforsecurity=False)
    with path.open("wb") as file:
        while piece := await request.piece():
            size += len(piece)
            digest.update(piece)
            file.write(piece)
    headers = request.headers
    return Received(
        path,
        size,
        f'"{digest.hexdigest()}"',
        headers.get("content-type", NO_TYPE),
        headers.get("cache-control", NO_CACHE),
        metadata(headers.get("x-metadata", "")),
    )


async def _form(request: Request, folder: Path, most_bytes: int) -> Received:
    try:
        form = await forms.receive(request, folder, most_bytes + _FORM_BYTES)
    except forms.TooLarge as error:
        raise too_large() from error
    files = [part for part in (form or {}).values() if part.filename]
    if form is None or not files:
        raise no_content()
    file = files[0]
    if file.size > most_bytes:
        raise too_large()
    seconds = form["cacheControl"].text if "cacheControl" in form else ""
    return Received(
        file.path,
        file.size,
        f'"{await asyncio.to_thread(md5, file.path)}"',
        file.content_type or NO_TYPE,
        f"max-age={seconds}" if seconds else NO_CACHE,
        read_object(form["metadata"].text) if "metadata" in form else {},
    )


def md5(path: Path) -> str:
    """Of a file's bytes, in hexadecimal digits."""

    def digest() -> Any:
        return hashlib.md5(usedforsecurity=False)

    with path.open("rb") as file:
        return hashlib.file_digest(file, digest).hexdigest()


def metadata(text: str) -> Mapping[str, Any]:
    """The user's metadata of a header, base64 of JSON; none where it is not that, as the server has it."""
    try:
        return read_object(base64.b64decode(text).decode())
    except ValueError:
        return {}


def read_object(text: str) -> Mapping[str, Any]:
    """A JSON object; nothing where it is none."""
    try:
        read = json.loads(text)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}
