"""Lines on pages → pages with their structure, or with their text alone where that cannot be made out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from types import MappingProxyType

from services.parser.documents.document import place
from services.parser.documents.pdf.blocks import Blocks
from services.parser.documents.pdf.headings import Headings
from services.parser.documents.pdf.lines import Line, joined, packed, packed_text, unpacked
from services.parser.documents.pdf.running import Running
from services.parser.documents.pdf.style import Census, Style
from services.parser.documents.pdf.tables import Table
from services.parser.documents.pdf.tags import Tag
from services.parser.documents.pdf.titles import Title
from services.parser.documents.pdf.writer import plain
from services.parser.pages import Page


class Layout:
    """Collects a document's pages, then renders them: sizes mean something only side by side.

    Attributes:
        failures: Where in our code the structure of a page failed.
    """

    def __init__(self, outline: Mapping[int, Sequence[Title]] = MappingProxyType({})) -> None:
        """`outline` has the titles of each page, from 1."""
        self._pages: list[bytes] = []
        self._census = Census()
        self._running = Running()
        self._headings = Headings(outline)
        self._plain: set[int] = set()
        self.failures: list[str] = []

    def add_page(self, lines: Sequence[Line], tags: Mapping[int, Tag] = MappingProxyType({})) -> None:
        """Adds the next page; `tags` has the headings among its marked content."""
        kept, number = b"", len(self._pages) + 1
        with self._structure(number):
            page = self._headings.add(number, joined(lines), tags)
            self._census.add(page)
            self._running.add(number, page)
            kept = packed(page)
        self._pages.append(kept or packed_text(lines))

    def render(self) -> Iterator[Page]:
        """Each page, in order."""
        carried = None
        for number, kept in enumerate(self._pages, start=1):
            lines, page = unpacked(kept), None
            before, carried = carried, None
            if number not in self._plain:
                with self._structure(number):
                    page, carried = self._read(lines, number, before)
            yield page or plain(lines, number)

    @contextmanager
    def _structure(self, number: int) -> Iterator[None]:
        """Text first: whatever goes wrong with a page's structure, the page keeps its text."""
        try:
            yield
        except MemoryError:
            raise
        except Exception as error:  # a bug of ours, which the parser's log tells
            self._plain.add(number)
            self.failures.append(place(error))

    @cached_property
    def _style(self) -> Style:
        return self._headings.style(self._census.style())

    @cached_property
    def _omitted(self) -> dict[int, frozenset[int]]:
        return self._running.lines(self._style.body)

    def _read(self, lines: list[Line], number: int, carried: Table | None) -> tuple[Page, Table | None]:
        omitted = self._omitted.get(number, frozenset())
        named = [
            heading
            for heading in self._headings.on(number)
            if omitted.isdisjoint(range(heading.start, heading.end))
        ]
        headings = {heading.start: heading for heading in named}
        blocks = Blocks(lines, self._style, headings=headings, omitted=omitted, carried=carried)
        return blocks.page(number), blocks.carried
