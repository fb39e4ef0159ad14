"""OpenAI's embeddings, or a compatible server's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import httpx2

from services.embedder.backends import openai_errors
from services.embedder.backends.openai_answers import parsed, read_vectors
from services.embedder.backends.openai_client import OpenAIClient
from services.embedder.backends.port import Capabilities, Embedded
from services.embedder.config import OPENAI_DIMENSIONS, OpenAIConfig
from waybill.common.v1.space_pb2 import Space
from waybill.limits import CALL_TEXTS, TEXT_TOKENS
from waybill.runtime.errors import ServiceError
from waybill.vendors.limiter import Limiter
from waybill.vendors.registry import BATCH, OPENAI

PROBE_SECONDS = 4.0


class OpenAIEmbedder:
    """Embeds by POST /v1/embeddings.

    Args:
        config: How to reach the vendor.
        limiter: Told what the answers say about rate limits.
        client: Open.
    """

    def __init__(self, config: OpenAIConfig, limiter: Limiter, client: OpenAIClient) -> None:
        self.space = Space(model=config.model, dimension=config.dimension)
        self.capabilities = Capabilities(
            max_texts=CALL_TEXTS,
            max_text_tokens=TEXT_TOKENS,
            target_request_tokens=config.request_tokens,
            vendor=OPENAI.name,
            price_model=config.model,
            kind=config.kind,
            counts_alike=config.model in OPENAI_DIMENSIONS,
            batch_price_model=f"{config.model}{BATCH}",
        )
        self._config = config
        self._limiter = limiter
        self._client = client

    async def embed(self, texts: Sequence[str], attempt_id: str) -> Embedded:
        """See the port."""
        sent_at = self._limiter.now()
        async with self._client.attempt(refused=self._refused) as headers:
            headers["X-Client-Request-Id"] = attempt_id
            response = await self._client.sdk.embeddings.with_raw_response.create(
                **request_body(self._config, texts), extra_headers=headers
            )
        self._limiter.learn(response.headers, sent_at)
        return read_vectors(parsed(response.content), len(texts), self.space.dimension, self._config.model)

    async def healthy(self) -> bool:
        """Asks for the model: free, and it needs a good key.

        Raises:
            ServiceError: As `embed` does.
        """
        async with self._client.attempt(PROBE_SECONDS) as headers:
            await self._client.sdk.models.with_raw_response.retrieve(
                self._config.model, extra_headers=headers
            )
        return True

    def _refused(self, response: httpx2.Response) -> ServiceError:
        failure = openai_errors.of_response(response)
        if response.status_code == 429:
            self._limiter.learn(response.headers, self._limiter.now())
            self._limiter.pause(failure.retry_after_seconds or 0.0)
        return failure


def request_body(config: OpenAIConfig, texts: Sequence[str]) -> dict[str, Any]:
    """What POST /v1/embeddings takes for these texts."""
    body: dict[str, Any] = {"model": config.model, "input": list(texts), "encoding_format": "base64"}
    if config.dimension == OPENAI_DIMENSIONS.get(config.model, config.dimension):
        # Sent only where it changes something: many compatible servers refuse it.
        return body
    return {**body, "dimensions": config.dimension}
