"""Embeds on this machine, by a model that the settings name."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from services.embedder.backends.port import Capabilities, Embedded
from services.embedder.models.onnx import OnnxModel
from services.embedder.models.port import Model
from services.embedder.models.sentences import NAME as SENTENCE_VECTORS
from services.embedder.models.sentences import SentenceVectors
from services.embedder.models.words import WordVectors
from waybill import tokens
from waybill.common.v1.cost_pb2 import CostKind
from waybill.ledger.v1.ledger_service_pb2 import Offer
from waybill.limits import CALL_TEXTS, REQUEST_TOKENS, TEXT_TOKENS
from waybill.refusals import refusals_of
from waybill.runtime import faults
from waybill.runtime.semconv import LOCAL
from waybill.vendors.registry import OPENAI

SENTENCES = "sentences"
WORD_VECTORS = WordVectors.space.model
# A question waits for such a slice of each document before it, and a cancelled request ends with its own.
SLICE_TEXTS = 16


class LocalEmbedder:
    """It costs nothing.

    Args:
        model: EMBEDDER_LOCAL_MODEL: empty for word vectors, `sentences`, or the folder of an ONNX model.

    Raises:
        Precondition: PACKAGE_MISSING, MODEL_UNUSABLE.
    """

    def __init__(self, model: str = "") -> None:
        self._model = _loaded(model)
        self.space = self._model.space
        self.capabilities = Capabilities(
            max_texts=CALL_TEXTS,
            max_text_tokens=TEXT_TOKENS,
            target_request_tokens=REQUEST_TOKENS,
            vendor=LOCAL,
            price_model=self._model.name,
            kind=CostKind.COST_KIND_LOCAL,
            would_buy=Offer(vendor=OPENAI.name, model=OPENAI.default_subject),
        )

    async def embed(self, texts: Sequence[str], attempt_id: str) -> Embedded:
        """See the port."""
        with faults.noting_cancel("embed"), refusals_of(self.capabilities.vendor):
            await faults.point("embed.under_way")
            answer = await self._embed(texts)
        faults.note("embed", tokens=answer.tokens or 0)
        await faults.point("embed.done")
        return answer

    async def healthy(self) -> bool:
        """It is loaded, so it works."""
        return True

    async def _embed(self, texts: Sequence[str]) -> Embedded:
        slices = [texts[start : start + SLICE_TEXTS] for start in range(0, len(texts), SLICE_TEXTS)]
        vectors = [await asyncio.to_thread(self._model.vectors, some) for some in slices]
        counts = await asyncio.to_thread(tokens.count, texts, self.capabilities.counted_as)
        return Embedded(np.concatenate(vectors), sum(counts))


def model_named(space_model: str) -> str | None:
    """What EMBEDDER_LOCAL_MODEL calls the model of a space; None where it is none that needs no folder."""
    return {WORD_VECTORS: "", SENTENCE_VECTORS: SENTENCES}.get(space_model)


def _loaded(model: str) -> Model:
    if not model:
        return WordVectors()
    return SentenceVectors() if model == SENTENCES else OnnxModel(Path(model))
