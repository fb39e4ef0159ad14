"""Texts to vectors through any backend: packed into vendor requests, metered, checked."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import structlog

from services.embedder.backends.port import Capabilities, Embedded, EmbeddingBackend, Vectors
from waybill import tokens
from waybill.common.v1.space_pb2 import Space
from waybill.embedder.v1.offer_pb2 import EmbeddingOffer
from waybill.metering import Attempt, Meter
from waybill.packing import packed
from waybill.purchases import Purchase
from waybill.runtime import semconv
from waybill.runtime.errors import InvalidRequest, VendorContract
from waybill.vendors.calls import Calls, not_waiting
from waybill.vendors.limiter import Limiter

# Float16 storage and float32 sums of a vendor both stay well inside.
NORM_TOLERANCE = 0.02
log = structlog.get_logger()


@dataclass(frozen=True)
class Request:
    """Texts of one vendor request, the first of them at `start` in the call's texts."""

    start: int
    texts: Sequence[str]
    token_count: int


@dataclass(frozen=True)
class Bought:
    """One vendor request's vectors, and what it cost."""

    start: int
    vectors: Vectors
    tokens: int
    entry_id: str


class Embeddings:
    """Buys vectors: retrying(breaker(limited(metered(backend)))).

    Args:
        backend: Whose vectors.
        meter: Writes each attempt down.
        limiter: Says when a request may be sent.
        calls: Makes each request.
    """

    def __init__(self, backend: EmbeddingBackend, meter: Meter, limiter: Limiter, calls: Calls) -> None:
        self.space = backend.space
        self.name = backend.capabilities.vendor
        self.batches_offered = bool(backend.capabilities.batch_price_model)
        self.offer = _offer(backend.capabilities)
        self._limits = backend.capabilities
        self._backend = backend
        self._meter = meter
        self._limiter = limiter
        self._calls = calls

    async def embed(self, texts: Sequence[str], *, go_on: bool = False) -> AsyncIterator[Bought]:
        """Embeds texts, one vendor request at a time, in order.

        Args:
            texts: What to embed.
            go_on: Whoever asks goes on without a vendor that is down.

        Raises:
            InvalidRequest: TEXT_EMPTY, TEXT_TOO_LONG, TOO_MANY_TEXTS; before anything is spent.
            VendorContract: The backend's answer is not what it must be; nothing of it is passed on.
            ServiceError: What the backend raised last.
        """
        counts = await asyncio.to_thread(tokens.count, texts, self._limits.counted_as)
        if len(texts) > self._limits.max_texts:
            raise too_many(len(texts), self._limits.max_texts)
        check(self._limits, texts, counts)
        for request in pack(self._limits, texts, counts):
            wanted = purchase(self.space, self._limits, request, self._limits.price_model)
            with not_waiting(go_on):
                bought = await self._calls.make(partial(self._buy, request, wanted))
            yield bought

    async def _buy(self, request: Request, purchase: Purchase) -> Bought:
        """One attempt: one turn, one ledger entry, one span."""
        async with self._limiter.turn(request.token_count), self._meter.attempt(purchase) as attempt:
            answer = await self._backend.embed(request.texts, attempt.entry_id)
            # Charged whatever it is worth: settle first, look at it then.
            self._charge(attempt, request, answer)
            verify(answer, len(request.texts), self.space.dimension, self._limits.vendor)
        used = request.token_count if answer.tokens is None else answer.tokens
        return Bought(request.start, answer.vectors, used, attempt.entry_id)

    def _charge(self, attempt: Attempt, request: Request, answer: Embedded) -> None:
        """Settles by the vendor's figure; one that is missing or cannot be right leaves a doubt."""
        charged = credible(self._limits, answer.tokens, request.token_count)
        if charged is not None:
            attempt.settle(charged)


def purchase(space: Space, limits: Capabilities, request: Request, price_model: str) -> Purchase:
    """What one vendor request buys."""
    return Purchase(
        spend_key=spend_key(space, request.texts),
        operation="embed",
        vendor=limits.vendor,
        model=price_model,
        unit="token",
        quantity=request.token_count,
        kind=limits.kind,
        size_bytes=sum(len(text.encode()) for text in request.texts),
        would_buy=limits.would_buy,
    )


def credible(limits: Capabilities, reported: int | None, counted: int) -> int | None:
    """The vendor's figure, unless it is missing or cannot be right."""
    if reported is None or (limits.counts_alike and reported != counted):
        log.warning("charge in doubt", counted=counted, reported=reported)
        return None
    return reported


def pack(limits: Capabilities, texts: Sequence[str], counts: Sequence[int]) -> Iterator[Request]:
    """Cuts texts into vendor requests of about the target size, in order."""
    for start, end, total in packed(counts, limits.max_texts, limits.target_request_tokens):
        yield Request(start, texts[start:end], total)


def spend_key(space: Space, texts: Sequence[str]) -> str:
    """The name of what is bought: embed:<space>:<sha256 over the texts' sha256>."""
    whole = hashlib.sha256()
    for text in texts:
        whole.update(hashlib.sha256(text.encode()).digest())
    return f"embed:{space.model}@{space.revision}/{space.dimension}:{whole.hexdigest()}"


def verify(answer: Embedded, texts: int, dimension: int, vendor: str) -> None:
    """Refuses an answer whose shape or numbers cannot be right.

    Raises:
        VendorContract: EMBEDDING_INVALID.
    """
    vectors = answer.vectors
    if answer.fault:
        raise _invalid(vendor, answer.fault)
    if vectors.shape != (texts, dimension):
        raise _invalid(vendor, f"has shape {vectors.shape} instead of {(texts, dimension)}")
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1)
    if not np.all(np.abs(norms - 1.0) <= NORM_TOLERANCE):  # also false for NaN and infinity
        raise _invalid(vendor, "has a vector that is not finite or not of length 1")


def check(limits: Capabilities, texts: Sequence[str], counts: Sequence[int], first: int = 0) -> None:
    """Refuses texts that no request may have; the first of them is called by the number `first`.

    Raises:
        InvalidRequest: TEXT_EMPTY, TEXT_TOO_LONG.
    """
    for place, (text, count) in enumerate(zip(texts, counts, strict=True), first):
        if not text.strip():
            raise InvalidRequest("TEXT_EMPTY", f"Text {place} has nothing to embed; leave it out.")
        if count > limits.max_text_tokens:
            raise InvalidRequest(
                "TEXT_TOO_LONG", f"Text {place} has {count} tokens; cut it to {limits.max_text_tokens}."
            )


def too_many(texts: int, most: int) -> InvalidRequest:
    """More texts than a call may have."""
    return InvalidRequest("TOO_MANY_TEXTS", f"{texts} texts; send at most {most} in a call.")


def _invalid(vendor: str, what: str) -> VendorContract:
    text = f"The embedding backend's answer {what}. Nothing was stored."
    return VendorContract("EMBEDDING_INVALID", text, {semconv.VENDOR: vendor})


def _offer(limits: Capabilities) -> EmbeddingOffer:
    return EmbeddingOffer(
        vendor=limits.vendor,
        model=limits.price_model,
        batch_model=limits.batch_price_model,
        kind=limits.kind,
        request_texts=limits.max_texts,
        request_tokens=limits.target_request_tokens,
    )
