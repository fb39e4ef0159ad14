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
        counts_alike: Our count of tokens is the vendor's, exactly: a report that differs is not believed.
    """

    max_texts: int
    max_text_tokens: int
    target_request_tokens: int
    vendor: str
    price_model: str
    kind: CostKind
    counts_alike: bool = True


@dataclass(frozen=True)
class Embedded:
    """One request's answer.

    Attributes:
        vectors: Of shape (texts, dimension), in the order of the texts.
        tokens: What the backend charges; None where it does not say.
        fault: Why the vectors must not be used, though they are charged; empty where they are good.
    """

    vectors: Vectors
    tokens: int | None
    fault: str = ""


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
            ServiceError: InvalidRequest, Precondition, Quota or Credential only when nothing was done;
                naming the vendor in its metadata, where it is the vendor's (see `runtime.retry`).
        """

    async def healthy(self) -> bool:
        """Whether a request would be served now; never charged."""
