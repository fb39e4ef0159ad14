"""OpenAI's official SDK, with its errors as HTTP's.

The SDK's own retries are off: `vendors.retrying` repeats, so that each attempt is in the ledger. Answers
are taken raw: the SDK's decoding costs 2.7 × the CPU, passes wrong answers on, and raises what is not
an OpenAIError for broken ones (facts: openai, measured).
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import openai

from services.embedder.backends import openai_errors
from services.embedder.config import OpenAIConfig
from waybill.limits import BATCH_JOB_TEXTS, CALL_TEXTS
from waybill.vendors.attempt import Attempts, Refused
from waybill.vendors.http import bounded
from waybill.vendors.registry import OPENAI

# Base64 of the largest request at 4,000 dimensions, and some.
MOST_BYTES = CALL_TEXTS * (4000 * 6 + 512)
# The same of the texts of a batch; such a file goes to the disk.
MOST_FILE_BYTES = BATCH_JOB_TEXTS * (4000 * 6 + 512)


class OpenAIClient:
    """The SDK's client, and what goes around each of its calls. Made by `opened`.

    Attributes:
        sdk: With its retries off.
    """

    def __init__(self, config: OpenAIConfig, sdk: openai.AsyncOpenAI) -> None:
        self.sdk = sdk
        self._attempts = Attempts(OPENAI, config.keys, config.attempt_seconds, openai_errors.of_response)

    @asynccontextmanager
    async def attempt(
        self, at_most: float = 0.0, refused: Refused | None = None
    ) -> AsyncIterator[dict[str, str]]:
        """See `Attempts.attempt`."""
        async with self._attempts.attempt(at_most, refused) as headers:
            try:
                yield headers
            except openai.APIStatusError as error:
                raise httpx2.HTTPStatusError("", request=error.request, response=error.response) from None
            except openai.APIConnectionError as error:
                cause = error.__cause__
                raise cause if isinstance(cause, httpx2.RequestError) else httpx2.RequestError("") from None


@asynccontextmanager
async def opened(config: OpenAIConfig) -> AsyncIterator[OpenAIClient]:
    """A client whose connections close with the block."""
    # At INFO these tell every request, at DEBUG the texts in it.
    for name in ("openai", "httpx2", "httpcore2"):
        logging.getLogger(name).setLevel(logging.WARNING)
    async with bounded(config.attempt_seconds, _most_bytes) as http:
        sdk = openai.AsyncOpenAI(
            # Each request carries its own; the SDK wants one to be made.
            api_key="none",
            base_url=config.base_url,
            max_retries=0,
            http_client=http,
        )
        sdk.organization, sdk.project = config.organization or None, config.project or None
        yield OpenAIClient(config, sdk)


def _most_bytes(request: httpx2.Request) -> int:
    return MOST_FILE_BYTES if request.url.path.endswith("/content") else MOST_BYTES
