"""LlamaCloud's word that a parse has ended: only a hint, which brings the next look at the job forward.

An event is believed when it is signed with our secret over its raw body, carries the token of the job whose
address it came to, is fresh, and has not come before. Who fails is told nothing but 403, after the same work
whatever was wrong; where the job stands is always asked of the API (facts: LlamaParse, 3).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from services.parser.backends.llamaparse.config import Webhooks
from waybill.llamaparse_settings import LLAMA_CLOUD_WEBHOOK_BIND
from waybill.runtime.http_listener import Bounds, opened, serving

MOST_BYTES = 64 * 1024
FRESH_SECONDS = 300.0
# The vendor's events are small, and it waits 30 s for the answer.
BOUNDS = Bounds()
# Those of an end; the others would bring looks forward that find nothing.
EVENTS = ("parse.success", "parse.error", "parse.partial_success", "parse.cancelled")
_REMEMBERED = 10_000
Hasten = Callable[[uuid.UUID, str], Awaitable[bool]]
log = structlog.get_logger()


def address(config: Webhooks, entry_id: str) -> str:
    """Where events of the job of an entry are sent."""
    return f"{config.url}/{entry_id}/{_token(config.secrets[0], entry_id)}"


def hook(config: Webhooks, entry_id: str) -> dict[str, Any]:
    """The webhook of a job, as the SDK takes it."""
    return {
        "webhook_url": address(config, entry_id),
        "webhook_events": list(EVENTS),
        "webhook_output_format": "json",
        "webhook_signing_secret": config.secrets[0],
    }


class Receiver:
    """Takes events.

    Args:
        config: Whose.
        hasten: Brings the look at a job forward, by its entry and the vendor's id; False: it is not that one.
        now: Seconds since the epoch.
    """

    def __init__(self, config: Webhooks, hasten: Hasten, now: Callable[[], float] = time.time) -> None:
        self._config = config
        self._hasten = hasten
        self._now = now
        self._seen: OrderedDict[str, None] = OrderedDict()

    def app(self) -> Starlette:
        """The application; it answers to the public name alone."""
        host = urlsplit(self._config.url).hostname or ""
        return Starlette(
            routes=[Route("/{path:path}", self._receive, methods=["POST"])],
            middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=[host], www_redirect=False)],
        )

    async def _receive(self, request: Request) -> Response:
        if "origin" in request.headers:
            return Response(status_code=403)  # a browser's
        body = await _body(request)
        if body is None:
            return Response(status_code=413)
        entry, token = ["", "", *request.path_params["path"].split("/")][-2:]
        signature = request.headers.get("lc-signature", "")
        # All of it, whatever fails first.
        good = _any(self._config.secrets, lambda secret: _signature(secret, body), signature)
        good &= _any(self._config.secrets, lambda secret: _token(secret, entry), token)
        event_id, job_id, at = _event(body)
        good &= abs(self._now() - at) <= FRESH_SECONDS
        if not good:
            return Response(status_code=403)
        if event_id in self._seen:
            return Response(status_code=200)  # sent again, as it may be
        if not await self._hasten(uuid.UUID(entry), job_id):
            log.warning("an event of another job", entry_id=entry)
            return Response(status_code=403)
        self._seen[event_id] = None
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return Response(status_code=200)


@asynccontextmanager
async def listening(config: Webhooks, hasten: Hasten, bounds: Bounds = BOUNDS) -> AsyncIterator[None]:
    """Listens while the block runs. Raises ConfigError where the address is taken, or is none."""
    door = opened(config.bind, LLAMA_CLOUD_WEBHOOK_BIND)
    async with serving(Receiver(config, hasten).app(), door, bounds):
        yield


async def _body(request: Request) -> bytes | None:
    """The raw body; None where it is too long, or the connection has ended."""
    body = b""
    try:
        async for part in request.stream():
            body += part
            if len(body) > MOST_BYTES:
                return None
    except ClientDisconnect:
        return None
    return body


def _event(body: bytes) -> tuple[str, str, float]:
    """Its id, its job and its time; the time is none where it makes no sense."""
    try:
        payload = json.loads(body)
        # By default the vendor sends JSON as a JSON string (F42).
        payload = json.loads(payload) if isinstance(payload, str) else payload
        return str(payload["event_id"]), str(payload["data"]["job_id"]), float(payload["timestamp"])
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return "", "", float("-inf")


def _signature(secret: str, body: bytes) -> str:
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


def _token(secret: str, entry_id: str) -> str:
    return hmac.new(secret.encode(), f"waybill entry {entry_id}".encode(), hashlib.sha256).hexdigest()[:32]


def _any(secrets: tuple[str, ...], expected: Callable[[str], str], given: str) -> bool:
    """Whether one of the secrets makes what was given; each is tried."""
    found = False
    for secret in secrets:
        found |= hmac.compare_digest(expected(secret).encode(), given.encode())
    return found
