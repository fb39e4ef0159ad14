"""The HTTP door behind links to objects: one download or one upload each, and nothing else.

What is stored is a stranger's: it is sent as a file to be saved, which no browser runs on our origin.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import quote, urlsplit

import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from services.storage.backends.local_links import PATH, Grant, LinkRefused, LocalLinks
from services.storage.backends.port import StoredObject
from services.storage.objects import Objects
from waybill.runtime.errors import InvalidRequest, NotFound, ServiceError
from waybill.runtime.tls import LOOPBACK

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_STATUS = {"STORAGE_FULL": 507, "OBJECT_TOO_LARGE": 413, "CHECKSUM_MISMATCH": 422}
_ALWAYS = {
    "cache-control": "private, no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "content-security-policy": "sandbox; default-src 'none'",
    "cross-origin-resource-policy": "same-origin",
}
log = structlog.get_logger()


def app(objects: Objects, links: LocalLinks, base_url: str) -> Starlette:
    """The application.

    Args:
        objects: What links lead to.
        links: Judges them.
        base_url: What links begin with. The application answers to its host, and to loopback.
    """
    hosts = dict.fromkeys([urlsplit(base_url).hostname or "", *LOOPBACK])
    return Starlette(
        routes=[Route(f"{PATH}/{{name:path}}", _Door(objects, links, base_url), methods=["GET", "PUT"])],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)],
    )


class _Part(NamedTuple):
    """Which bytes of an object are wanted."""

    offset_bytes: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class _Door:
    objects: Objects
    links: LocalLinks
    base_url: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            grant = self._granted(request)
            if grant.method == "PUT":
                await (await self._upload(grant, request))(scope, receive, send)
            else:
                await self._download(grant, request, send)
        except ClientDisconnect:
            return  # nobody is there to be told
        except LinkRefused as refused:
            await _text(403, str(refused))(scope, receive, send)
        except ServiceError as error:
            await _text(_status(error), error.message)(scope, receive, send)

    def _granted(self, request: Request) -> Grant:
        origin, ours = request.headers.get("origin"), urlsplit(self.base_url)
        if origin is not None and origin != f"{ours.scheme}://{ours.netloc}":
            raise LinkRefused("This link is not for other sites' pages. Open it by itself.")
        return self.links.granted(
            request.query_params.get("token", ""), request.method, request.path_params["name"]
        )

    async def _download(self, grant: Grant, request: Request, send: Send) -> None:
        size_bytes, etag = grant.spec.size_bytes, f'"{grant.spec.sha256}"'
        part = _part(request, size_bytes, etag)
        headers = {**_ALWAYS, "accept-ranges": "bytes", "etag": etag}
        if part is None:
            refused = {**headers, "content-range": f"bytes */{size_bytes}"}
            await Response(status_code=416, headers=refused)(request.scope, request.receive, send)
            return
        async with self.objects.open(
            grant.tenant, grant.spec.key, part.offset_bytes, part.size_bytes
        ) as reading:
            _check_same(reading.stored, grant)
            headers["content-disposition"] = _attachment(grant.file_name)
            headers["content-length"] = str(part.size_bytes)
            if request.headers.get("if-none-match") == etag:
                del headers["content-length"]
                await Response(status_code=304, headers=headers)(request.scope, request.receive, send)
                return
            whole = part.size_bytes == size_bytes
            if not whole:
                last = part.offset_bytes + part.size_bytes - 1
                headers["content-range"] = f"bytes {part.offset_bytes}-{last}/{size_bytes}"
            pieces = _no_pieces() if request.method == "HEAD" or not part.size_bytes else reading.pieces
            # Named here: of a text, a response would say by itself that it is UTF-8.
            headers["content-type"] = reading.stored.spec.content_type
            answer = StreamingResponse(pieces, 200 if whole else 206, headers)
            await answer(request.scope, request.receive, send)

    async def _upload(self, grant: Grant, request: Request) -> Response:
        spec = grant.spec
        length = request.headers.get("content-length")
        if length is not None and length != str(spec.size_bytes):
            raise InvalidRequest(
                "INVALID_REQUEST", f"This link takes {spec.size_bytes} bytes; {length} were announced."
            )
        stored = await self.objects.put(grant.tenant, spec, request.stream())
        log.info("an object came by a link", tenant=grant.tenant, size_bytes=spec.size_bytes)
        said = {"key": spec.key, "size_bytes": stored.spec.size_bytes, "sha256": stored.spec.sha256}
        return JSONResponse(said, 201, _ALWAYS)


def _part(request: Request, size_bytes: int, etag: str) -> _Part | None:
    """The range that is asked for, all where none is that we serve; None: it has no byte of the object."""
    whole = _Part(0, size_bytes)
    asked = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    if asked is None or not any(asked.groups()) or request.headers.get("if-range", etag) != etag:
        return whole
    first, last = (int(number) if number else None for number in asked.groups())
    if first is None:
        start, end = max(0, size_bytes - (last or 0)), size_bytes
    else:
        start, end = first, min(size_bytes, size_bytes if last is None else last + 1)
        if last is not None and last < first:
            return whole  # no range at all, says RFC 9110
    return _Part(start, end - start) if start < end else None


def _check_same(stored: StoredObject, grant: Grant) -> None:
    if (stored.spec.sha256, stored.spec.size_bytes) != (grant.spec.sha256, grant.spec.size_bytes):
        raise NotFound("OBJECT_NOT_FOUND", "Another content has replaced this one. Ask for a new link.")


def _attachment(name: str) -> str:
    """Saved under this name. curl knows no `filename*`, so `filename` comes close to it in ASCII."""
    letters = (letter for letter in unicodedata.normalize("NFKD", name) if not unicodedata.combining(letter))
    near = re.sub(r"[^ !#-$&-\[\]-~]", "_", "".join(letters))
    return f"attachment; filename=\"{near}\"; filename*=UTF-8''{quote(name, safe='')}"


async def _no_pieces() -> AsyncIterator[bytes]:
    yield b""


def _text(status: int, text: str) -> Response:
    # What is left of a body that was refused is not read: the connection ends with the answer.
    return PlainTextResponse(f"{text}\n", status, {**_ALWAYS, "connection": "close"})


def _status(error: ServiceError) -> int:
    if error.reason in _STATUS:
        return _STATUS[error.reason]
    match error:
        case InvalidRequest():
            return 400
        case NotFound():
            return 404
    return 503
