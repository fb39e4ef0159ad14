"""What the parser asks of an engine, ours or a vendor's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO, Protocol

from services.parser.pages import Artifact
from waybill.common.v1.cost_pb2 import CostKind


@dataclass(frozen=True, slots=True)
class Source:
    """A whole document, its hash checked.

    Attributes:
        file: Open for reading; engines read it from offset 0. It has no name on disk.
        filename: What the caller calls it; its ending tells what it promises to be.
    """

    file: BinaryIO
    filename: str


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Where engines rightly differ.

    Attributes:
        name: As in health ("parser/<name>") and in ParseJob.backend.
        vendor: Whose price applies; the tier is the model.
        cost_kind: Whether that price is owed.
    """

    name: str
    vendor: str
    cost_kind: CostKind


class Parser(Protocol):
    """An engine. Its errors are ServiceErrors; `refusals` lists those that a document earns."""

    @property
    def capabilities(self) -> Capabilities: ...

    async def count_pages(self, source: Source) -> int:
        """Pages that a parse would buy. Costs nothing."""

    async def parse(self, source: Source, tier: str, artifact: Artifact) -> None:
        """Appends all pages, in order, from 1. Raises InvalidRequest DOCUMENT_EMPTY where none has text."""

    async def check(self) -> bool:
        """Whether it works now."""
