"""What came of one document."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """How the reading of a document ended."""

    READ = "read"
    # Read, and something of it is missing: the run would be READY_DEGRADED.
    DEGRADED = "degraded"
    # A reason that the document earned.
    REFUSED = "refused"
    # Our fault.
    CRASHED = "crashed"


@dataclass(slots=True)
class Result:
    """A document's outcome and figures.

    Attributes:
        reason: Why it was refused or crashed.
        place: Where in our code it crashed, as the parser's log has it.
        marks: What pages are marked with: mark → pages.
        cpu_seconds: User and system time of the document's children.
        missed: What was looked for and not found, for people.
        outline_titles: Titles in a PDF's own outline.
        outline_found: Of these, those that are headings of ours.
        right_text: Whether a text of known encoding came out as that encoding has it; None: not looked at.
        wrong_offsets: Chunks that are not what stands at their place in the page.
        lost_characters: Characters of the pages' body that are in no chunk.
    """

    key: str
    format: str
    language: str
    outcome: Outcome = Outcome.READ
    reason: str = ""
    place: str = ""
    pages: int = 0
    characters: int = 0
    marks: dict[str, int] = field(default_factory=dict)
    left_out: int = 0
    cpu_seconds: float = 0.0
    phrases: int = 0
    phrases_found: int = 0
    missed: list[str] = field(default_factory=list)
    outline_titles: int = 0
    outline_found: int = 0
    right_text: bool | None = None
    chunks: int = 0
    wrong_offsets: int = 0
    lost_characters: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    """All documents of one format, and the most memory that one of their children had."""

    format: str
    results: list[Result]
    peak_bytes: int
