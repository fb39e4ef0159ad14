"""OpenAI's embeddings, or a compatible server's, over the official SDK.

The SDK's own retries are off: `runtime.retry` repeats, so that each attempt is in the ledger. Answers
are taken raw: the SDK's decoding costs 2.7 × the CPU, passes wrong answers on, and raises what is not
an OpenAIError for broken ones (facts: openai, measured).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import openai

from services.embedder.backends import openai_errors
from services.embedder.backends.openai_answers import decode
from services.embedder.backends.port import Capabilities, Embedded
from services.embedder.config import OPENAI_DIMENSIONS, OpenAIConfig
from services.embedder.limiter import Limiter
from waybill.common.v1.space_pb2 import Space
from waybill.runtime import deadline
from waybill.runtime.errors import Credential, ServiceError

MAX_TEXTS = 2048
MAX_TEXT_TOKENS = 8191
# Base64 of the largest request at 4,000 dimensions, and some.
MOST_BYTES = MAX_TEXTS * (4000 * 6 + 512)
PROBE_SECONDS = 4.0
CONNECT_SECONDS = 5.0
# What is left of the caller's deadline when an attempt is given up, so that the caller hears why.
ANSWER_SECONDS = 1.0
KEEP_IDLE_SECONDS = 5.0


class OpenAIEmbedder:
    """Embeds by POST /v1/embeddings. Made by `opened`.

    Args:
        config: How to reach the vendor.
        limiter: Told what the answers say about rate limits.
        client: Of the SDK, with its retries off.
    """

    def __init__(self, config: OpenAIConfig, limiter: Limiter, client: openai.AsyncOpenAI) -> None:
        self.space = Space(model=config.model, dimension=config.dimension)
        self.capabilities = Capabilities(
            max_texts=MAX_TEXTS,
            max_text_tokens=MAX_TEXT_TOKENS,
            target_request_tokens=config.request_tokens,
            vendor=openai_errors.VENDOR,
            price_model=config.model,
            kind=config.kind,
            counts_alike=config.model in OPENAI_DIMENSIONS,
        )
        self._config = config
        self._limiter = limiter
        self._client = client
        own = OPENAI_DIMENSIONS.get(config.model, config.dimension)
        # Sent only where it changes something: many compatible servers refuse it.
        self._dimensions: Any = openai.omit if config.dimension == own else config.dimension

    async def embed(self, texts: Sequence[str], attempt_id: str) -> Embedded:
        """See the port."""
        sent_at = self._limiter.now()
        async with self._attempt() as headers:
            headers["X-Client-Request-Id"] = attempt_id
            response = await self._client.embeddings.with_raw_response.create(
                model=self._config.model,
                input=list(texts),
                encoding_format="base64",
                dimensions=self._dimensions,
                extra_headers=headers,
            )
        self._limiter.learn(response.headers, sent_at)
        return decode(response.content, len(texts), self.space.dimension, self._config.model)

    async def healthy(self) -> bool:
        """Asks for the model: free, and it needs a good key.

        Raises:
            ServiceError: As `embed` does.
        """
        async with self._attempt(PROBE_SECONDS) as headers:
            await self._client.models.with_raw_response.retrieve(self._config.model, extra_headers=headers)
        return True

    @asynccontextmanager
    async def _attempt(self, at_most: float | None = None) -> AsyncIterator[dict[str, str]]:
        """One attempt's headers and bounds; the SDK's errors leave as ours, and without their chain."""
        key = self._config.keys.current()
        seconds = at_most or self._attempt_seconds()
        failure: ServiceError | None = None
        try:
            async with asyncio.timeout(seconds):
                yield {"Authorization": f"Bearer {key}"}
        except TimeoutError:
            failure = openai_errors.timed_out(seconds)
        except openai.APIStatusError as error:
            failure = self._refused(error, key)
        except openai.APIConnectionError as error:
            failure = _broken(error.__cause__, seconds)
        if failure is not None:
            raise failure from None
        self._config.keys.accept(key)

    def _attempt_seconds(self) -> float:
        left = deadline.remaining_seconds()
        wanted = self._config.attempt_seconds
        return wanted if left is None else min(wanted, max(0.0, left - ANSWER_SECONDS))

    def _refused(self, error: openai.APIStatusError, key: str) -> ServiceError:
        response = error.response
        failure = openai_errors.of_status(response.status_code, response.headers, response.content)
        if response.status_code == 429:
            self._limiter.learn(response.headers, self._limiter.now())
            self._limiter.pause(failure.retry_after_seconds or 0.0)
        if response.status_code == 401 and self._config.keys.refuse(key):
            # Another key is at hand; each is refused once, so this ends.
            return Credential(failure.reason, failure.message, failure.metadata, 0.0)
        return failure


@asynccontextmanager
async def opened(config: OpenAIConfig, limiter: Limiter) -> AsyncIterator[OpenAIEmbedder]:
    """A backend whose connections close with the block."""
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
        client = openai.AsyncOpenAI(
            # Each request carries its own; the SDK wants one to be made.
            api_key="none",
            base_url=config.base_url,
            max_retries=0,
            http_client=http,
        )
        client.organization, client.project = config.organization or None, config.project or None
        yield OpenAIEmbedder(config, limiter, client)


class _TooLarge(httpx2.RequestError):
    """Stopped reading: it would not end, or would unpack to what does not."""


async def _bounded(response: httpx2.Response) -> None:
    """Stops an answer of more bytes than any can have, before they are in memory."""
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise _TooLarge("it is compressed, though that was not accepted")
    response.stream = _BoundStream(response.stream)


class _BoundStream(httpx2.AsyncByteStream):
    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read = 0
        async for part in self._inner:
            read += len(part)
            if read > MOST_BYTES:
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
