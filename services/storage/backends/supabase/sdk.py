"""Supabase's official SDK for what is small, beside our own client for bytes. Nothing else imports the SDK.

The SDK has one key for good, no retries, and drops the `code` of an error's body (facts: Supabase, 4). So
each attempt's key goes in by a hook, `vendors.retrying` repeats, and errors are read from the raw answer.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TypeVar

import httpx
import httpx2
from storage3 import AsyncStorageClient
from storage3.exceptions import StorageApiError
from storage3.utils import StorageException
from yarl import URL

from services.storage.backends.supabase import errors
from services.storage.backends.supabase.config import SupabaseConfig
from supabase import AsyncClientOptions, acreate_client
from waybill.runtime.errors import ServiceError
from waybill.vendors.attempt import Attempts, Refused
from waybill.vendors.bridge import bridged, response_of
from waybill.vendors.calls import Calls
from waybill.vendors.http import bounded
from waybill.vendors.limiter import Limiter
from waybill.vendors.registry import SUPABASE
from waybill.vendors.supabase import key_headers

T = TypeVar("T")
Headers = Mapping[str, str]
# Of any answer but an object.
MOST_BYTES = 4 << 20
PROBE_SECONDS = 5.0
# How long nothing is sent after the vendor said that it is too much, where it does not say how long.
SLOW_SECONDS = 1.0
_REQUEST = httpx2.Request("GET", "http://vendor.invalid")
_keyed: ContextVar[Headers] = ContextVar("waybill_supabase_key")


Came = Callable[[str, int], None]


class Supabase:
    """The storage API of one project, and what goes around each call of it. Made by `opened`.

    Attributes:
        http: For bytes. It follows no redirect.
        base_url: Of the API, without a slash at its end.
        bucket: The bucket's name.
        came: Is told, by tenant, of the objects' bytes as they come, those of an answer that breaks off, too.
    """

    def __init__(
        self,
        config: SupabaseConfig,
        sdk: AsyncStorageClient,
        http: httpx2.AsyncClient,
        limiter: Limiter,
        calls: Calls,
        came: Came,
    ) -> None:
        self.http = http
        self.came = came
        self.base_url = config.storage_url
        self.bucket = config.bucket
        self._sdk = sdk
        self._limiter = limiter
        self._calls = calls
        self._attempts = Attempts(
            SUPABASE, config.keys, config.attempt_seconds, errors.of_response, key_headers
        )

    async def repeated(self, call: Callable[[], Awaitable[T]]) -> T:
        """A call through retrying and breaker."""
        return await self._calls.make(call)

    @asynccontextmanager
    async def turn(
        self, at_most: float = 0.0, refused: Refused = errors.of_response
    ) -> AsyncIterator[Headers]:
        """One attempt, once it is its turn. See `Attempts.attempt`."""
        async with self._limiter.turn(0), self.attempt(at_most, refused) as headers:
            yield headers

    @asynccontextmanager
    async def attempt(
        self, at_most: float = 0.0, refused: Refused = errors.of_response
    ) -> AsyncIterator[Headers]:
        """See `Attempts.attempt`."""

        def judged(response: httpx2.Response) -> ServiceError:
            failure = refused(response)
            if failure.reason == "VENDOR_RATE_LIMITED":
                self._limiter.emptied(failure.retry_after_seconds or SLOW_SECONDS)
            return failure

        async with self._attempts.attempt(at_most, judged) as headers:
            token = _keyed.set(headers)
            try:
                yield headers
            finally:
                _keyed.reset(token)

    async def size_of(self, path: str) -> int:
        """Bytes of an object, by the SDK. Raises Precondition, `errors.MISSING`, where there is none."""

        async def send() -> int:
            return _size(await self._sdk.from_(self.bucket).info(path))

        return await self._asked(send)

    async def copy(self, path: str, to: str) -> None:
        """Copies an object at the vendor."""
        await self._asked(lambda: self._sdk.from_(self.bucket).copy(path, to))

    async def remove(self, paths: list[str]) -> frozenset[str]:
        """Deletes objects; answers which of them it was."""

        async def send() -> frozenset[str]:
            return frozenset(str(one["name"]) for one in await self._sdk.from_(self.bucket).remove(paths))

        return await self._asked(send)

    async def download_url(self, path: str, seconds: int, file_name: str) -> str:
        """A URL that serves an object to whoever has it, as an attachment."""

        async def send() -> str:
            signed = await self._sdk.from_(self.bucket).create_signed_url(
                path, seconds, {"download": file_name}
            )
            return self._ours(str(signed["signedUrl"]))

        return await self._asked(send)

    async def upload_url(self, path: str) -> str:
        """A URL that takes an object once."""

        async def send() -> str:
            signed = await self._sdk.from_(self.bucket).create_signed_upload_url(path)
            return self._ours(signed["signed_url"])

        return await self._asked(send)

    async def check(self) -> bool:
        """Asks for our bucket: only a good key of the right role gets it (facts: Supabase, 11).

        Raises:
            ServiceError: Credential, or VENDOR_BUCKET_UNKNOWN.
        """
        self._limiter.spend()
        async with self.attempt(PROBE_SECONDS):
            await _answered(lambda: self._sdk.get_bucket(self.bucket))
        return True

    async def _asked(self, send: Callable[[], Awaitable[T]]) -> T:
        async def attempt() -> T:
            async with self.turn():
                return await _answered(send)

        return await self.repeated(attempt)

    def _ours(self, url: str) -> str:
        if not url.startswith(f"{self.base_url}/object/"):
            raise errors.not_an_answer("is a link to another host")
        return url


@asynccontextmanager
async def opened(
    config: SupabaseConfig, limiter: Limiter, calls: Calls, most_object_bytes: int, came: Came
) -> AsyncIterator[Supabase]:
    """A client whose connections close with the block."""
    # At INFO these tell every request, signed links with them.
    for name in ("supabase", "storage3", "httpx", "httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(logging.WARNING)

    def most_bytes(request: httpx2.Request) -> int:
        return most_object_bytes if request.url.path.startswith(objects) else MOST_BYTES

    objects = httpx2.URL(f"{config.storage_url}/object/authenticated/").path
    async with bounded(config.attempt_seconds, most_bytes) as http, bridged(http) as under:
        under.event_hooks = {"request": [_with_key]}
        options = AsyncClientOptions(httpx_client=under, auto_refresh_token=False, persist_session=False)
        # Each request carries a key of its own; the SDK wants one to be made.
        client = await acreate_client(config.storage_url, "none", options)
        # It would add /storage/v1, which a server without a gateway does not have.
        client.storage_url = URL(f"{config.storage_url}/")
        yield Supabase(config, client.storage, http, limiter, calls, came)


async def _with_key(request: httpx.Request) -> None:
    request.headers.update(_keyed.get())


async def _answered(send: Callable[[], Awaitable[T]]) -> T:
    """What the SDK makes of an answer; its errors as HTTP's, and what it makes no sense of as that."""
    try:
        return await send()
    except StorageApiError as error:
        answer = response_of(_answer(error))
        raise httpx2.HTTPStatusError("", request=_REQUEST, response=answer) from None
    except (StorageException, ValueError, LookupError, TypeError, AttributeError):
        raise errors.not_an_answer("is not what its documentation says") from None


def _answer(error: StorageApiError) -> httpx.Response:
    """The answer behind an error, which hangs below another one where its body made no sense."""
    cause = error.__cause__
    while cause is not None and not isinstance(cause, httpx.HTTPStatusError):
        cause = cause.__context__
    assert cause is not None, "the SDK raises it for a status alone"
    return cause.response


def _size(info: Mapping[str, object]) -> int:
    size = info.get("size")
    if not isinstance(size, int):
        raise errors.not_an_answer("names no size")
    return size
