"""What the embedder needs of a backend."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

from waybill.common.v1.cost_pb2 import CostKind
from waybill.common.v1.space_pb2 import Space
from waybill.ledger.v1.ledger_service_pb2 import Offer

Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Capabilities:
    """What a backend can take and how it is charged.

    Attributes:
        max_texts: Texts in one request.
        max_text_tokens: Tokens of one text.
        target_request_tokens: Tokens that one request is packed to.
        vendor: Whose price table row applies.
        price_model: Model of that row.
        kind: Real or simulated money, or none.
        batch_price_model: Model of the row of its batch tier; empty where it has none.
        would_buy: The like at a vendor, where this machine does the work; its tokenizer counts then.
        counts_alike: Our count of tokens is the vendor's, exactly: a report that differs is not believed.
    """

    max_texts: int
    max_text_tokens: int
    target_request_tokens: int
    vendor: str
    price_model: str
    kind: CostKind
    would_buy: Offer | None = None
    counts_alike: bool = True
    batch_price_model: str = ""

    @property
    def counted_as(self) -> str:
        """The model whose tokenizer counts."""
        return self.would_buy.model if self.would_buy else self.price_model


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
                naming the vendor in its metadata, where it is the vendor's (see `vendors.retrying`).
        """

    async def healthy(self) -> bool:
        """Whether a request would be served now; never charged."""


class Stage(Enum):
    """Where a vendor's batch stands."""

    RUNNING = auto()
    CANCELLING = auto()
    ENDED = auto()


@dataclass(frozen=True)
class VendorBatch:
    """A batch as the vendor tells of it.

    Attributes:
        id: The vendor's.
        stage: Where it stands.
        status: The vendor's word for that.
        created_at: Seconds since the epoch.
        metadata: What it was created with.
        untouched: It has ended without any of its requests done, so that none is charged.
        input_file: What it was made of.
        output_file: Lines of the requests that were done; empty where there is none.
        error_file: Lines of the others; empty where there is none.
        code: Why it failed as a whole; a plain word, or empty.
    """

    id: str
    stage: Stage
    status: str
    created_at: float
    metadata: Mapping[str, str] = field(default_factory=dict)
    untouched: bool = False
    input_file: str = ""
    output_file: str = ""
    error_file: str = ""
    code: str = ""


@dataclass(frozen=True)
class LineAnswer:
    """One line of a batch's files.

    Attributes:
        custom_id: Of the request that it answers.
        body: What `embedded` reads; None where the request failed.
        code: Why it failed; a plain word, or empty.
    """

    custom_id: str
    body: Mapping[str, Any] | None = None
    code: str = ""


class BatchBackend(Protocol):
    """A vendor's batch tier. Nothing but the requests in a batch is charged.

    Each method raises ServiceError as `EmbeddingBackend.embed` does, NotFound where a batch or a file is
    not there, and Precondition BATCHES_NOT_OFFERED where the server has no such tier.
    """

    def request_line(self, custom_id: str, texts: Sequence[str]) -> bytes:
        """A request as a line of an input file, with its line end."""

    def read(self, line: bytes) -> LineAnswer:
        """A line of an output or error file.

        Raises:
            VendorContract: VENDOR_ANSWER_INVALID.
        """

    def embedded(self, answer: LineAnswer, texts: int) -> Embedded:
        """The vectors of a request of so many texts that was done."""

    async def upload(self, lines: BinaryIO) -> str:
        """Sends an input file; answers its id."""

    async def create(self, input_file: str, metadata: Mapping[str, str]) -> VendorBatch:
        """Begins a batch. A repeat begins another one."""

    async def get(self, batch_id: str) -> VendorBatch:
        """A batch."""

    def newest(self) -> AsyncIterator[VendorBatch]:
        """The vendor's batches, newest first."""

    async def cancel(self, batch_id: str) -> VendorBatch:
        """Asks for its end; one that has ended is answered as it is."""

    async def download(self, file: str, into: BinaryIO) -> None:
        """Writes a file's content, in place of what there was."""

    async def delete(self, file: str) -> None:
        """Deletes a file."""
