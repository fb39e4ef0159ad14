"""What the local backend needs of a model on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from services.embedder.backends.port import Vectors
from waybill.common.v1.space_pb2 import Space


class Model(Protocol):
    """Makes vectors in this process.

    Attributes:
        name: What does the work, as a bill names it: "word vectors".
        space: Its own; a revision changes whenever its vectors may.
    """

    name: str
    space: Space

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """A vector of length 1 for each text, in their order. Blocks; threads may call it at once."""
