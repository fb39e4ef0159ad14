"""A document's pages, and the artifact that carries them: a JSON object a line, the last one a Reading."""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, BinaryIO, Protocol, TypeVar

T = TypeVar("T")
# The engine of this machine.
OURS = "local"


class BlockKind(StrEnum):
    """What a stretch of a page is."""

    HEADING = "heading"
    TEXT = "text"
    LIST = "list"
    TABLE = "table"
    CODE = "code"
    # Stands in the page and in no chunk: a running header, front matter, a comment.
    OMITTED = "omitted"


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of a page's text. Blocks come in order and do not overlap; between them is white space.

    Attributes:
        start: Characters of the page's text.
        end: Exclusive.
        level: Of a heading, from 1; 0 for anything else.
        title: Of a heading: its text without markup.
        lead: What a part of the block needs before it to be read alone: a table's header rows, the line
            that opens a fence.
        continued: The block began on an earlier page, so its first part needs the lead, too.
    """

    kind: BlockKind
    start: int
    end: int
    level: int = 0
    title: str = ""
    lead: str = ""
    continued: bool = False


class Mark(StrEnum):
    """What is to be known of how a page was read."""

    # It could not be read; it is not paid for.
    FAILED = "failed"
    # Text beyond the limit of a page was cut off.
    CUT = "cut"
    # It shows something, but no text: a scan.
    WITHOUT_TEXT = "without_text"
    # Its structure could not be made out; it is its text alone.
    PLAIN = "plain"
    # Its text comes from text recognition.
    RECOGNISED = "recognised"


@dataclass(frozen=True, slots=True)
class Page:
    """One page as Markdown.

    Attributes:
        page: From 1.
        markdown: Its text; may be empty.
        blocks: What its text consists of.
        marks: In alphabetical order.
    """

    page: int
    markdown: str
    blocks: tuple[Block, ...] = ()
    marks: tuple[Mark, ...] = ()

    def marked(self, mark: Mark) -> Page:
        """The same page with one mark more."""
        return replace(self, marks=tuple(sorted({*self.marks, mark})))

    def row(self) -> dict[str, Any]:
        """As in the artifact: what is empty is left out."""
        row: dict[str, Any] = {"page": self.page, "markdown": self.markdown}
        if self.blocks:
            row["blocks"] = [_said(block) for block in self.blocks]
        if self.marks:
            row["marks"] = list(self.marks)
        return row

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Page:
        """What `row` gave. Raises ValueError, KeyError or TypeError for anything else."""
        text = _typed(row["markdown"], str)
        blocks = tuple(_block(each, len(text)) for each in row.get("blocks", ()))
        return cls(_typed(row["page"], int), text, blocks, tuple(map(Mark, row.get("marks", ()))))


@dataclass(frozen=True, slots=True)
class Reading:
    """How a document was read.

    Attributes:
        engine: By whom: "local", or a vendor's name.
        format: What the file is: "pdf", "docx", "text".
        encoding: Of text: its character encoding; empty where the format fixes that itself.
        pages: How many there are, with those that failed.
        failed_pages: See Mark, as for the four below.
        left_out: What belongs to the document and is not read: names of attachments.
    """

    format: str = ""
    encoding: str = ""
    pages: int = 0
    failed_pages: tuple[int, ...] = ()
    cut_pages: tuple[int, ...] = ()
    pages_without_text: tuple[int, ...] = ()
    plain_pages: tuple[int, ...] = ()
    recognised_pages: tuple[int, ...] = ()
    left_out: tuple[str, ...] = ()
    engine: str = ""

    @property
    def paid_pages(self) -> int:
        """Pages that were read."""
        return self.pages - len(self.failed_pages)

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Reading:
        """From its fields as JSON has them."""
        values: dict[str, Any] = {
            name: tuple(each) if isinstance(each, list) else each for name, each in row.items()
        }
        return cls(**values)


_FIELD_OF_MARK = {
    Mark.FAILED: "failed_pages",
    Mark.CUT: "cut_pages",
    Mark.WITHOUT_TEXT: "pages_without_text",
    Mark.PLAIN: "plain_pages",
    Mark.RECOGNISED: "recognised_pages",
}


class Pages(Protocol):
    """Takes a document's pages, in order."""

    def append(self, page: Page, /) -> None:
        """Takes the next page. May block."""

    def finish(self, format_name: str, encoding: str, left_out: tuple[str, ...]) -> None:
        """Says that no more come. May block."""

    def clear(self) -> None:
        """Forgets all pages: the document is read again."""


class Artifact:
    """Pages in a file that has no name, so that a kill leaves nothing; in memory is one at a time.

    The same pages always give the same bytes.

    Attributes:
        file: Open for reading and writing.
        pages: How many there are.
        has_text: Whether one of them has more than white space.
        reading: How the document was read; None until the artifact is whole.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.pages, self.has_text = 0, False
        self.reading: Reading | None = None
        self._marked: defaultdict[str, list[int]] = defaultdict(list)

    @classmethod
    @contextmanager
    def open(cls) -> Iterator[Artifact]:
        """An empty one, gone when the block is left."""
        with tempfile.TemporaryFile() as file:
            yield cls(file)

    def append(self, page: Page, /) -> None:
        """See Pages."""
        self.file.write(_line(page.row()))
        self.pages += 1
        self.has_text = self.has_text or bool(page.markdown.strip())
        for mark in page.marks:
            self._marked[_FIELD_OF_MARK[mark]].append(page.page)

    def finish(
        self,
        format_name: str,
        encoding: str = "",
        left_out: tuple[str, ...] = (),
        *,
        engine: str = OURS,
    ) -> None:
        """See Pages; by whom, where that is not this machine's readers."""
        marked = {name: tuple(pages) for name, pages in self._marked.items()}
        self.reading = Reading(format_name, encoding, self.pages, left_out=left_out, engine=engine, **marked)
        self.file.write(_line({"reading": asdict(self.reading)}))

    def whole(self) -> Reading:
        """How the document was read, of an artifact that is finished."""
        if self.reading is None:
            raise ValueError("the artifact is not finished")
        return self.reading

    def clear(self) -> None:
        """See Pages."""
        self.file.seek(0)
        self.file.truncate()
        self.pages, self.has_text = 0, False
        self.reading = None
        self._marked.clear()


def load(artifact: bytes) -> list[Page]:
    """The pages of an artifact."""
    rows = map(json.loads, artifact.splitlines())
    return [Page.of_row(row) for row in rows if "page" in row]


def load_reading(last_line: bytes) -> Reading:
    """How a document was read, from the last line of its artifact. Raises ValueError, KeyError, TypeError."""
    return Reading.of_row(json.loads(last_line)["reading"])


def _line(row: Mapping[str, Any]) -> bytes:
    # ASCII: other line separators of Unicode would else split a line for some readers.
    return json.dumps(row).encode() + b"\n"


def _said(block: Block) -> dict[str, Any]:
    return {name: value for name, value in asdict(block).items() if value or name in ("start", "end")}


def _block(row: Mapping[str, Any], length: int) -> Block:
    block = Block(**{**row, "kind": BlockKind(row["kind"])})
    if not 0 <= _typed(block.start, int) <= _typed(block.end, int) <= length:
        raise ValueError("a block lies outside its page")
    return block


def _typed(value: object, kind: type[T]) -> T:
    if not isinstance(value, kind):
        raise TypeError(f"{kind.__name__} expected")
    return value
