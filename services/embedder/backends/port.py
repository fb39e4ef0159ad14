"""What the embedder needs of a backend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from waybill.common.v1.cost_pb2 import CostKind
from waybill.common.v1.space_pb2 import Space

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Capabilities:
    """What a backend can take and how it is charged.

    Attributes:
        max_texts: Texts in one request.
        max_text_tokens: Tokens of one text.
        target_request_tokens: Tokens that one request is packed to. Larger requests save little CPU
            and bill more again after a crash (facts: 32k bills 1.11 ×, the ceiling 1.83 ×).
        vendor: Whose price table row applies.
        price_model: Model of that row.
        kind: Real or simulated money.
    """

    max_texts: int
    max_text_tokens: int
    target_request_tokens: int
    vendor: str
    price_model: str
    kind: CostKind


@dataclass(frozen=True)
class Embedded:
    """One request's answer: vectors of shape (texts, dimension), and the tokens that were counted."""

    vectors: Vectors
    tokens: int


class EmbeddingBackend(Protocol):
    """A maker of vectors."""

    space: Space
    capabilities: Capabilities

    async def embed(self, texts: Sequence[str], attempt_id: str) -> Embedded:
        """Embeds texts in one request. A repeat is done, and charged, again.

        Args:
            texts: Within the capabilities.
            attempt_id: Sent along where the vendor takes one.

        Raises:
            ServiceError: InvalidRequest, Precondition, Quota or Credential only when nothing was done.
        """

    async def healthy(self) -> bool:
        """Whether a request would be served now; never charged."""
