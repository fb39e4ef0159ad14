"""Texts to vectors through any backend: packed into vendor requests, metered, checked."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from services.embedder.backends.port import Capabilities, Embedded, EmbeddingBackend, Vectors
from waybill import tokens
from waybill.common.v1.space_pb2 import Space
from waybill.metering import Meter, Purchase
from waybill.runtime.errors import InvalidRequest, VendorContract

# Float16 storage and float32 sums of a vendor both stay well inside.
NORM_TOLERANCE = 0.02


@dataclass(frozen=True)
class Batch:
    """Texts of one vendor request, the first of them at `start` in the call's texts."""

    start: int
    texts: Sequence[str]
    token_count: int


@dataclass(frozen=True)
class EmbeddedBatch:
    """One vendor request's vectors, and what it cost."""

    start: int
    vectors: Vectors
    tokens: int
    entry_id: str


async def embed(
    backend: EmbeddingBackend, meter: Meter, texts: Sequence[str]
) -> AsyncIterator[EmbeddedBatch]:
    """Embeds texts, one vendor request at a time, in order.

    Raises:
        InvalidRequest: TEXT_EMPTY, TEXT_TOO_LONG, TOO_MANY_TEXTS; before anything is spent.
        VendorContract: The backend's answer is not what it must be; nothing of it is passed on.
    """
    limits = backend.capabilities
    counts = await asyncio.to_thread(tokens.count, texts, limits.price_model)
    _check(limits, texts, counts)
    for batch in pack(limits, texts, counts):
        purchase = Purchase(
            spend_key=spend_key(backend.space, batch.texts),
            operation="embed",
            vendor=limits.vendor,
            model=limits.price_model,
            unit="token",
            quantity=batch.token_count,
            kind=limits.kind,
        )
        async with meter.attempt(purchase) as attempt:
            answer = await backend.embed(batch.texts, attempt.entry_id)
            # Charged whatever it is worth: settle first, look at it then.
            attempt.settle(answer.tokens)
            verify(answer, len(batch.texts), backend.space.dimension)
        yield EmbeddedBatch(batch.start, answer.vectors, answer.tokens, attempt.entry_id)


def pack(limits: Capabilities, texts: Sequence[str], counts: Sequence[int]) -> Iterator[Batch]:
    """Cuts texts into vendor requests of about the target size, in order."""
    start, total = 0, 0
    for place, count in enumerate(counts):
        full = place - start == limits.max_texts or total + count > limits.target_request_tokens
        if place > start and full:
            yield Batch(start, texts[start:place], total)
            start, total = place, 0
        total += count
    if start < len(texts):
        yield Batch(start, texts[start:], total)


def spend_key(space: Space, texts: Sequence[str]) -> str:
    """The name of what is bought: embed:<space>:<sha256 over the texts' sha256>."""
    whole = hashlib.sha256()
    for text in texts:
        whole.update(hashlib.sha256(text.encode()).digest())
    return f"embed:{space.model}@{space.revision}/{space.dimension}:{whole.hexdigest()}"


def verify(answer: Embedded, texts: int, dimension: int) -> None:
    """Refuses an answer whose shape or numbers cannot be right.

    Raises:
        VendorContract: EMBEDDING_INVALID.
    """
    vectors = answer.vectors
    if vectors.shape != (texts, dimension):
        raise _invalid(f"shape {vectors.shape} instead of {(texts, dimension)}")
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
    if not np.all(np.abs(norms - 1.0) <= NORM_TOLERANCE):  # also false for NaN and infinity
        raise _invalid("a vector is not finite or not of length 1")


def _check(limits: Capabilities, texts: Sequence[str], counts: Sequence[int]) -> None:
    if len(texts) > limits.max_texts:
        raise InvalidRequest(
            "TOO_MANY_TEXTS", f"{len(texts)} texts; send at most {limits.max_texts} in a call."
        )
    for place, (text, count) in enumerate(zip(texts, counts, strict=True)):
        if not text.strip():
            raise InvalidRequest("TEXT_EMPTY", f"Text {place} has nothing to embed; leave it out.")
        if count > limits.max_text_tokens:
            raise InvalidRequest(
                "TEXT_TOO_LONG", f"Text {place} has {count} tokens; cut it to {limits.max_text_tokens}."
            )


def _invalid(what: str) -> VendorContract:
    return VendorContract("EMBEDDING_INVALID", f"The embedding backend answered {what}. Nothing was stored.")
