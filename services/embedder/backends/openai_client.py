"""One attempt at OpenAI over the official SDK: the key, the bounds, and the SDK's errors as ours.

The SDK's own retries are off: `vendors.retrying` repeats, so that each attempt is in the ledger. Answers
are taken raw: the SDK's decoding costs 2.7 × the CPU, passes wrong answers on, and raises what is not
an OpenAIError for broken ones (facts: openai, measured).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import openai

from services.embedder.backends import openai_errors
from services.embedder.config import OpenAIConfig
from waybill.runtime import deadline
from waybill.runtime.errors import Credential, ServiceError

# Base64 of the largest request at 4,000 dimensions, and some.
MOST_BYTES = 2048 * (4000 * 6 + 512)
# The same of the 50,000 texts of a batch; such a file goes to the disk.
MOST_FILE_BYTES = 50_000 * (4000 * 6 + 512)
CONNECT_SECONDS = 5.0
# What is left of the caller's deadline when an attempt is given up, so that the caller hears why. Less
# than the retry policy leaves: a repeat without time of its own would be a doubt of which nothing was sent.
ANSWER_SECONDS = 0.4
KEEP_IDLE_SECONDS = 5.0
Refused = Callable[[openai.APIStatusError], ServiceError]


class OpenAIClient:
    """The SDK's client, and what goes around each of its calls. Made by `opened`.

    Attributes:
        sdk: With its retries off.
    """

    def __init__(self, config: OpenAIConfig, sdk: openai.AsyncOpenAI) -> None:
        self.sdk = sdk
        self._config = config

    @asynccontextmanager
    async def attempt(
        self, at_most: float = 0.0, refused: Refused | None = None
    ) -> AsyncIterator[dict[str, str]]:
        """One attempt's headers and bounds; the SDK's errors leave as ours, and without their chain.

        Args:
            at_most: Seconds; OPENAI_ATTEMPT_SECONDS where none are given. A nearer deadline counts.
            refused: Makes the error of a status that is not 200, where it is not what it is for embeddings.
        """
        key = self._config.keys.current()
        seconds = deadline.remaining_seconds()
        wanted = at_most or self._config.attempt_seconds
        seconds = wanted if seconds is None else min(wanted, max(0.0, seconds - ANSWER_SECONDS))
        failure: ServiceError | None = None
        try:
            async with asyncio.timeout(seconds):
                yield {"Authorization": f"Bearer {key}"}
        except TimeoutError:
            failure = openai_errors.timed_out(seconds)
        except openai.APIStatusError as error:
            failure = self._refusal(error, key, refused or of_response)
        except openai.APIConnectionError as error:
            failure = _broken(error.__cause__, seconds)
        except httpx2.RequestError as error:  # while a body is streamed, which the SDK leaves as it is
            failure = _broken(error, seconds)
        if failure is not None:
            raise failure from None
        self._config.keys.accept(key)

    def _refusal(self, error: openai.APIStatusError, key: str, refused: Refused) -> ServiceError:
        failure = refused(error)
        if error.status_code == 401 and self._config.keys.refuse(key):
            # Another key is at hand; each is refused once, so this ends.
            return Credential(failure.reason, failure.message, failure.metadata, 0.0)
        return failure


def of_response(error: openai.APIStatusError) -> ServiceError:
    """The error behind a status that is not 200."""
    response = error.response
    return openai_errors.of_status(response.status_code, response.headers, response.content)


@asynccontextmanager
async def opened(config: OpenAIConfig) -> AsyncIterator[OpenAIClient]:
    """A client whose connections close with the block."""
    # At INFO these tell every request, at DEBUG the texts in it.
    for name in ("openai", "httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(logging.WARNING)
    async with httpx2.AsyncClient(
        follow_redirects=False,
        # Nothing was sent while connecting: told apart, so that it leaves no doubt.
        timeout=httpx2.Timeout(config.attempt_seconds, connect=CONNECT_SECONDS, pool=None),
        limits=httpx2.Limits(max_connections=None, keepalive_expiry=KEEP_IDLE_SECONDS),
        headers={"Accept-Encoding": "identity"},
        event_hooks={"response": [_bounded]},
    ) as http:
        sdk = openai.AsyncOpenAI(
            # Each request carries its own; the SDK wants one to be made.
            api_key="none",
            base_url=config.base_url,
            max_retries=0,
            http_client=http,
        )
        sdk.organization, sdk.project = config.organization or None, config.project or None
        yield OpenAIClient(config, sdk)


class _TooLarge(httpx2.RequestError):
    """Stopped reading: it would not end, or would unpack to what does not."""


async def _bounded(response: httpx2.Response) -> None:
    """Stops an answer of more bytes than any can have, before they are in memory."""
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise _TooLarge("it is compressed, though that was not accepted")
    is_file = response.request.url.path.endswith("/content")
    response.stream = _BoundStream(response.stream, MOST_FILE_BYTES if is_file else MOST_BYTES)


class _BoundStream(httpx2.AsyncByteStream):
    def __init__(self, inner: Any, most_bytes: int) -> None:
        self._inner = inner
        self._most_bytes = most_bytes

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read = 0
        async for part in self._inner:
            read += len(part)
            if read > self._most_bytes:
                raise _TooLarge("it is too large")
            yield part

    async def aclose(self) -> None:
        await self._inner.aclose()


def _broken(cause: BaseException | None, seconds: float) -> ServiceError:
    match cause:
        case _TooLarge():
            return openai_errors.not_an_answer(f"was not read: {cause}")
        case httpx2.ConnectError() | httpx2.ConnectTimeout():
            return openai_errors.unreachable()
        case httpx2.TimeoutException():
            return openai_errors.timed_out(seconds)
    return openai_errors.lost()
