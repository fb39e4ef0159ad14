"""What the parser asks of an engine, ours or a vendor's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        revision: Names the engine's way of reading: another one parses a known content anew.
        vendor: Whose price applies; the tier is the model.
        cost_kind: Whether that price is owed.
        formats: What it takes: stable name → (name for people, suffixes with the dot).
        any_text: It takes text whatever the file's name is.
    """

    name: str
    revision: str
    vendor: str
    cost_kind: CostKind
    formats: Mapping[str, tuple[str, Sequence[str]]]
    any_text: bool


class Parser(Protocol):
    """An engine. Its errors are ServiceErrors; `refusals` lists those that a document earns."""

    @property
    def capabilities(self) -> Capabilities: ...

    def is_light(self, filename: str, size_bytes: int) -> bool:
        """Whether a parse needs so little that it need not wait for a place."""

    async def count_pages(self, source: Source, artifact: Artifact) -> int:
        """Pages that a parse would buy. Costs nothing.

        An engine that must read a document to count its pages fills the artifact; `parse` finds it whole.
        """

    async def parse(self, source: Source, tier: str, artifact: Artifact) -> None:
        """Appends all pages, in order, from 1. Raises InvalidRequest DOCUMENT_EMPTY where none has text."""

    async def check(self) -> bool:
        """Whether it works now."""
