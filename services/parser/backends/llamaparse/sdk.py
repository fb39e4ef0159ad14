"""LlamaCloud's official SDK, with its errors as HTTP's, at the account's rate.

The SDK's own retries are off: it repeats a create whose reply was lost, which buys the parse again. Answers
are taken raw: the SDK passes wrong ones on, and raises what is no LlamaCloudError for broken ones (facts:
LlamaParse, "SDK hazards").
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, BinaryIO, TypeVar

import httpx
import httpx2
import llama_cloud

from services.parser.backends.llamaparse import errors
from services.parser.backends.llamaparse.config import LlamaParseConfig
from waybill.runtime.errors import ServiceError
from waybill.vendors.attempt import Attempts, Refused
from waybill.vendors.bridge import bridged, response_of
from waybill.vendors.calls import Calls
from waybill.vendors.http import CONNECT_SECONDS, bounded
from waybill.vendors.limiter import Limiter
from waybill.vendors.registry import LLAMAPARSE

T = TypeVar("T")
Headers = Mapping[str, str]
# Of one attempt to send a document, or to read what a link leads to.
FILE_SECONDS = 600.0
# Of one attempt to read a page of a result, besides the usual.
PAGE_SECONDS = 0.1
# The vendor answers an upload once it has dealt with it.
FILE_TIMEOUT = httpx.Timeout(FILE_SECONDS, connect=CONNECT_SECONDS)
# Of any answer but a result.
MOST_BYTES = 4 << 20
# Of a result: JSON of the most text that a document may have.
MOST_RESULT_BYTES = 64 << 20


class LlamaCloud:
    """The SDK's client, and what goes around each of its calls. Made by `opened`.

    Attributes:
        sdk: With its retries off.
    """

    def __init__(
        self,
        config: LlamaParseConfig,
        sdk: llama_cloud.AsyncLlamaCloud,
        http: httpx2.AsyncClient,
        limiter: Limiter,
        calls: Calls,
    ) -> None:
        self.sdk = sdk
        self._config = config
        self._http = http
        self._limiter = limiter
        self._calls = calls
        self._attempts = Attempts(LLAMAPARSE, config.keys, config.attempt_seconds, self._refused)

    async def repeated(self, call: Callable[[], Awaitable[T]]) -> T:
        """A call through retrying and breaker."""
        return await self._calls.make(call)

    async def asked(
        self,
        send: Callable[[Headers], Awaitable[T]],
        *,
        at_most: float = 0.0,
        refused: Refused | None = None,
    ) -> T:
        """One attempt, once it is its turn."""
        async with self._limiter.turn(0), self.attempt(at_most, refused) as headers:
            return await send(headers)

    async def leisure(self, requests: float, at_most: float) -> None:
        """See `Limiter.leisure`."""
        await self._limiter.leisure(requests, at_most)

    @asynccontextmanager
    async def probe(self, at_most: float) -> AsyncIterator[Headers]:
        """An attempt that waits for no turn."""
        self._limiter.spend()
        async with self.attempt(at_most) as headers:
            yield headers

    @asynccontextmanager
    async def attempt(self, at_most: float = 0.0, refused: Refused | None = None) -> AsyncIterator[Headers]:
        """See `Attempts.attempt`."""
        async with self._attempts.attempt(at_most, refused) as headers:
            try:
                yield headers
            except llama_cloud.APIStatusError as error:
                answer = response_of(error.response)
                raise httpx2.HTTPStatusError("", request=_REQUEST, response=answer) from None
            except llama_cloud.APIConnectionError as error:
                cause = error.__cause__
                raise cause if isinstance(cause, httpx2.RequestError) else httpx2.RequestError("") from None

    async def download(self, url: str, into: BinaryIO) -> None:
        """Copies what lies behind a presigned URL; only a host that is allowed is asked, and gets no key.

        Raises:
            VendorContract: VENDOR_ANSWER_INVALID, of another host.
            Unavailable: It has expired; the job is to be asked for another.
        """
        if not self._config.may_lead_to(url):
            raise errors.not_an_answer(
                "has a link to a host that is none of LLAMA_CLOUD_DOWNLOAD_HOSTS; name it there if it is "
                "LlamaCloud's"
            )
        async with self.attempt(FILE_SECONDS, errors.of_download):
            into.seek(0)
            into.truncate()
            async with self._http.stream("GET", url) as response:
                if response.status_code != 200:
                    raise httpx2.HTTPStatusError("", request=response.request, response=response)
                async for part in response.aiter_raw():
                    into.write(part)
        into.seek(0)

    def _refused(self, response: httpx2.Response) -> ServiceError:
        failure = errors.of_response(response)
        if response.status_code == 429:
            # The vendor does not say when (facts: LlamaParse, "rate limits").
            self._limiter.emptied(failure.retry_after_seconds or self._config.seconds_a_request)
        return failure


_REQUEST = httpx2.Request("GET", "http://vendor.invalid")


@asynccontextmanager
async def opened(config: LlamaParseConfig, limiter: Limiter, calls: Calls) -> AsyncIterator[LlamaCloud]:
    """A client whose connections close with the block."""
    # At INFO these tell every request, at DEBUG what is in it.
    for name in ("llama_cloud", "httpx", "httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(logging.WARNING)
    scope = {"organization_id": config.organization, "project_id": config.project}
    async with bounded(config.attempt_seconds, _most_bytes) as http, bridged(http) as under:
        sdk = llama_cloud.AsyncLlamaCloud(
            # Each request carries its own; the SDK wants one to be made.
            api_key="none",
            base_url=config.base_url,
            max_retries=0,
            http_client=under,
            default_headers={"Accept-Encoding": "identity"},
            default_query={name: value for name, value in scope.items() if value},
        )
        yield LlamaCloud(config, sdk, http, limiter, calls)


def _most_bytes(request: httpx2.Request) -> int:
    # A download needs no key.
    result = b"expand=" in request.url.query or "authorization" not in request.headers
    return MOST_RESULT_BYTES if result else MOST_BYTES


async def content(response: Any) -> dict[str, Any]:
    """A raw answer's object.

    Raises:
        VendorContract: VENDOR_ANSWER_INVALID.
    """
    found = await _json(response)
    if not isinstance(found, dict):
        raise errors.not_an_answer("is not an object")
    return found


async def projects(response: Any) -> None:
    """Checks the answer to a list of projects. Raises as `content`."""
    if not isinstance(await _json(response), list):
        raise errors.not_an_answer("is no list of projects")


async def _json(response: Any) -> Any:
    answer: httpx.Response = response.http_response
    try:
        return json.loads(await answer.aread())
    except ValueError:
        raise errors.not_an_answer("is not JSON") from None
