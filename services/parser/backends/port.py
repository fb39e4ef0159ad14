"""What the parser asks of an engine, ours or a vendor's.

An engine either keeps nothing, and `begin` brings a parse to its end; or it keeps each parse under an id of
its own, and any process can look for it, wait for it, and bring its pages here.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import BinaryIO, Protocol

from services.parser.pages import Artifact
from waybill.common.v1.cost_pb2 import CostKind

HEAD_BYTES = 1024
DEFAULT_TIER = "cost_effective"


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
        vendor: Whose price applies.
        cost_kind: Whether that price is owed.
        formats: What it takes: stable name → (name for people, suffixes with the dot).
        any_text: It takes text whatever the file's name is.
        would_buy_of: A vendor that sells the like by the same tiers; empty where a vendor does the work.
        keeps_parses: A parse goes on without us, and its charge may be told after its end.
        default_tier: Of a parse that names none.
        tier_revisions: Of tiers with a revision of their own.
    """

    name: str
    revision: str
    vendor: str
    cost_kind: CostKind
    formats: Mapping[str, tuple[str, Sequence[str]]]
    any_text: bool
    would_buy_of: str = ""
    keeps_parses: bool = False
    default_tier: str = DEFAULT_TIER
    tier_revisions: Mapping[str, str] = field(default_factory=dict)

    def revision_of(self, tier: str) -> str:
        """The engine's way of reading in a tier."""
        return self.tier_revisions.get(tier, self.revision)


@dataclass(frozen=True, slots=True)
class Order:
    """A parse that is bought: one attempt.

    Attributes:
        entry_id: The attempt's, in the ledger; an engine that keeps parses finds this one by it.
        tier: Sets the quality, where there is a choice, and the price.
        since: It was not begun before.
        pages: How many are expected.
    """

    entry_id: str
    tier: str
    since: datetime.datetime
    pages: int


class Stage(Enum):
    """Where an engine's parse stands."""

    RUNNING = auto()
    ENDED = auto()


@dataclass(frozen=True, slots=True)
class Parse:
    """A parse as its engine tells of it.

    Attributes:
        id: The engine's; empty where it keeps nothing: then the parse has ended, and the artifact is whole.
        stage: Where it stands.
        charged_pages: What it costs as far as its engine's rules tell; None where they do not.
        pages_done: So many, where the engine tells its progress.
        look_in_seconds: While it goes on: when it is wise to look again.
    """

    id: str
    stage: Stage
    charged_pages: int | None = None
    pages_done: int = 0
    look_in_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Bought:
    """Pages that a parse would buy.

    Attributes:
        expected: As many as the document seems to have.
        most: No more are bought.
        exact: The document surely has as many.
    """

    expected: int
    most: int
    exact: bool


NOTHING = Bought(0, 0, exact=True)


@dataclass(frozen=True, slots=True)
class Preview:
    """What a parse would buy, as far as our readers tell.

    Attributes:
        here: From this engine; `most` is what `count_pages` answers.
        at_vendor: From a vendor.
        text_known: A parse would give the text that our readers have.
    """

    here: Bought
    at_vendor: Bought
    text_known: bool


@dataclass(frozen=True, slots=True)
class Charge:
    """What an engine charged for a parse in the end, in units of a price of its own."""

    model: str
    unit: str
    quantity: int


class Parser(Protocol):
    """An engine. Its errors are ServiceErrors; `refusals` lists those that a document earns.

    An InvalidRequest, Precondition, Quota or Credential that names the engine's vendor in its metadata says
    that nothing was charged; see `waybill.metering`.
    """

    @property
    def capabilities(self) -> Capabilities: ...

    def is_light(self, filename: str, size_bytes: int, head: bytes = b"") -> bool:
        """Whether a parse needs so little that it need not wait for a place.

        Args:
            filename: See Source.
            size_bytes: Of the whole document.
            head: Its first HEAD_BYTES; empty while nobody has seen them.
        """

    def priced_as(self, source: Source, tier: str) -> str:
        """The model of the price table: a vendor's tier; of an engine of ours, what it is."""

    async def count_pages(self, source: Source, artifact: Artifact) -> int:
        """Pages that a parse would buy. Costs nothing.

        An engine that must read a document to count its pages fills the artifact; `begin` finds it whole.
        0: the artifact is the result, and there is nothing to begin, or to pay.
        """

    async def preview(self, source: Source, artifact: Artifact) -> Preview:
        """Counts as `count_pages` does, and fills the artifact with what our readers make of the document.

        Where they make nothing of it, though the engine might, the artifact stays empty. Costs nothing.
        """

    async def begin(self, source: Source, order: Order, artifact: Artifact) -> Parse:
        """Begins a parse; a repeat begins another. An engine that keeps nothing ends it as `collect` does."""

    async def find(self, order: Order) -> Parse | None:
        """The parse that was begun for an order, perhaps by another process; None: there surely is none."""

    def longest_seconds(self, order: Order) -> float:
        """How long a parse may go on at the engine until it is held to be stuck."""

    async def look(self, parse_id: str) -> Parse:
        """Where a parse stands; answers at once.

        Raises:
            NotFound: There is no such parse any more; the same in the four below.
            Unavailable: The engine cannot be asked now; the same.
        """

    async def collect(self, parse_id: str, order: Order, artifact: Artifact) -> None:
        """Fills the artifact with the pages of a parse that has ended, from 1; some may have failed.

        Raises:
            InvalidRequest: A reason that a document earns, such as DOCUMENT_EMPTY; what else the vendor
                says of a parse that failed.
        """

    async def cancel(self, parse_id: str, order: Order) -> Parse:
        """Ends a parse; one that has ended is answered as it is."""

    async def leisure(self) -> None:
        """Waits until what can wait, such as `charge` and `forget`, takes nothing from the parses."""

    async def charge(self, parse_id: str) -> Charge | None:
        """What a parse that has ended has cost; None while the engine does not say."""

    async def forget(self, parse_id: str, order: Order) -> None:
        """Deletes what the vendor keeps of a parse that has ended."""

    async def check(self) -> bool:
        """Whether it works now."""
