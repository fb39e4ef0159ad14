"""The public keys of callers' tokens: a JWKS by its URL, kept, and fetched again when that is due."""

from __future__ import annotations

import asyncio
import http.client
import json
import math
import time
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import jwt
import structlog

from waybill.runtime.errors import Unavailable

ALGORITHMS = frozenset({"ES256", "RS256", "EdDSA"})
# A key that was taken back is refused so much later at the latest.
FRESH_SECONDS = 600.0
# Between two fetches, however many unknown keys are named.
FLOOR_SECONDS = 5.0
# Calls that wait for a fetch because of an unknown key; a forged one must not fill the whole server.
MOST_WAITING = 512
FETCH_SECONDS = 5.0
MOST_BYTES = 256 * 1024
log = structlog.get_logger()


class KeySet:
    """Keys by their id. Between fetches, and while the vendor is out of reach, the last ones hold.

    Args:
        url: Of the JWKS.
        fetch: Reads it; called in a thread. Raises OSError, HTTPException or ValueError.
        fresh_seconds: After which keys are fetched again, in the background.
        floor_seconds: At least between two fetches; a call with an unknown key waits for the next.
        monotonic: Clock, in seconds.
    """

    def __init__(
        self,
        url: str,
        *,
        fetch: Callable[[str], bytes] | None = None,
        fresh_seconds: float = FRESH_SECONDS,
        floor_seconds: float = FLOOR_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url, self._fetch = url, fetch or fetched
        self._fresh, self._floor = fresh_seconds, floor_seconds
        self._monotonic = monotonic
        self._keys: Mapping[str, jwt.PyJWK] = {}
        # When the last fetch began, and that of the last one that has ended; when the next is due by age.
        self._begun_at = self._seen_at = self._due_at = -math.inf
        self._failed = True
        self._fetching: asyncio.Task[None] | None = None
        self._waiting = 0

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[KeySet]:
        """Fetches the keys in the background; behind the block nothing is under way."""
        self._begin()
        try:
            yield self
        finally:
            if self._fetching is not None:
                self._fetching.cancel()
                await asyncio.gather(self._fetching, return_exceptions=True)

    def present(self, key_id: str) -> jwt.PyJWK | None:
        """The key of an id, as far as is known."""
        if self._monotonic() >= self._due_at:
            self._begin()
        return self._keys.get(key_id)

    async def find(self, key_id: str) -> jwt.PyJWK | None:
        """The key of an id; None where a fetch that began after this call has not brought it.

        Raises:
            Unavailable: TOKEN_KEYS_UNAVAILABLE, no such fetch came to its end.
        """
        asked_at = self._monotonic()
        while (key := self.present(key_id)) is None and self._seen_at < asked_at:
            if self._waiting >= MOST_WAITING:
                raise self._unavailable()
            self._waiting += 1
            try:
                await asyncio.shield(self._begin())
            finally:
                self._waiting -= 1
        if key is None and self._failed:
            raise self._unavailable()
        return key

    def _unavailable(self) -> Unavailable:
        return Unavailable(
            "TOKEN_KEYS_UNAVAILABLE",
            "The keys of tokens cannot be fetched now, and this token's is not among those that are known. "
            "Repeat in a moment; if it stays, check WAYBILL_JWT_JWKS_URL.",
            retry_after_seconds=self._floor,
        )

    def _begin(self) -> asyncio.Task[None]:
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.get_running_loop().create_task(self._refresh())
        return self._fetching

    async def _refresh(self) -> None:
        await asyncio.sleep(max(0.0, self._begun_at + self._floor - self._monotonic()))
        self._begun_at = self._monotonic()
        try:
            self._keys = dict(_usable(await asyncio.to_thread(self._fetch, self._url)))
            self._failed = False
        except (OSError, http.client.HTTPException, ValueError) as error:
            log.warning("the keys of tokens cannot be fetched", url=self._url, error=str(error)[:200])
            self._failed = True
        self._seen_at = self._begun_at
        self._due_at = self._monotonic() + (self._floor if self._failed else self._fresh)


def fetched(url: str) -> bytes:
    """Reads a JWKS. Follows no redirect: it might lead to somebody else's keys.

    Raises:
        OSError, HTTPException, ValueError: It cannot be read, or not in time.
    """
    ends_at = time.monotonic() + FETCH_SECONDS
    request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310 config's check
    content = b""
    with urllib.request.build_opener(_NoRedirect).open(request, timeout=FETCH_SECONDS) as answer:
        while piece := answer.read1(MOST_BYTES):
            content += piece
            if len(content) > MOST_BYTES or time.monotonic() > ends_at:
                raise ValueError(f"more than {MOST_BYTES} bytes, or longer than {FETCH_SECONDS:g} s")
    return content


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        """None: the answer is then an error."""


def _usable(document: bytes) -> Iterator[tuple[str, jwt.PyJWK]]:
    """The keys that verify tokens, by id; what is of another kind is passed over. Raises ValueError."""
    try:
        keys = json.loads(document)["keys"]
        found = [key for key in keys if key.get("use", "sig") == "sig" and key.get("kid")]
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("this is no JWKS") from error
    for key in found:
        try:
            made = jwt.PyJWK(key)
        except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError) as error:
            log.warning("a key of the JWKS is passed over", kid=str(key["kid"])[:128], error=str(error)[:200])
            continue
        # A symmetric key in a public place would let anybody sign.
        if made.algorithm_name in ALGORITHMS:
            yield str(key["kid"]), made
