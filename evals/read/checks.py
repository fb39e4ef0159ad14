"""What is held against a document's pages: its outline, its encoding, and the chunks cut from it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import pypdfium2

from evals.read.expected import headings, same_title, words
from evals.read.results import Result
from services.orchestrator.chunks import cutting
from services.parser.pages import BlockKind, Page

# Of a page's letters outside ASCII so many stand in its source; the rest are written as entities.
_MOST_SHOWN = 0.95


def outline(path: Path, pages: Sequence[Page], result: Result) -> None:
    """Which titles of a PDF's own outline are headings of ours on the page that each leads to."""
    found = {page.page: list(headings([page])) for page in pages}
    for number, title in _outline(path):
        result.outline_titles += 1
        result.outline_found += any(same_title(title, heading) for heading in found.get(number, ()))


def encoding(path: Path, name: str, pages: Sequence[Page], result: Result) -> None:
    """Whether the words are those that the named encoding has; with markup, the letters that are shown."""
    raw = path.read_bytes().decode(name, errors="replace")
    text = "\n".join(page.markdown for page in pages)
    if result.format == "text":
        result.right_text = words(raw) == words(text)
    else:
        shown, known = _foreign(text), _foreign(raw)
        result.right_text = len(shown & known) >= _MOST_SHOWN * len(shown) and bool(shown) == bool(known)


def chunks(pages: Sequence[Page], result: Result) -> None:
    """Whether each chunk stands in its page where it says, and nothing of a page's body is in none."""
    texts = {page.page: page.markdown for page in pages}
    told = {page.page: _apart(page) for page in pages}
    for chunk in cutting.cut(map(_cuttable, pages)):
        result.chunks += 1
        result.wrong_offsets += not _stands_in(texts[chunk.page], chunk)
        _mark(told[chunk.page], chunk.start, chunk.end)
    for page in pages:
        text = zip(page.markdown, told[page.page], strict=True)
        result.lost_characters += sum(not char.isspace() and not seen for char, seen in text)


def _cuttable(page: Page) -> cutting.Page:
    return cutting.Page(page.page, page.markdown, [cutting.Block(**asdict(block)) for block in page.blocks])


def _apart(page: Page) -> bytearray:
    """Marks what need not stand in a chunk: what is left out, and headings, which the breadcrumb has."""
    marked = bytearray(len(page.markdown))
    for block in page.blocks:
        if block.kind in (BlockKind.HEADING, BlockKind.OMITTED):
            _mark(marked, block.start, block.end)
    return marked


def _mark(places: bytearray, start: int, end: int) -> None:
    end = min(end, len(places))
    places[start:end] = b"\1" * (end - start)


def _stands_in(text: str, chunk: cutting.Passage) -> bool:
    inside = 0 <= chunk.start < chunk.end <= len(text)
    return inside and text[chunk.start : chunk.end] == chunk.text


def _outline(path: Path) -> Iterator[tuple[int, str]]:
    """Page and title of each entry that leads to a page."""
    with pypdfium2.PdfDocument(path) as document:
        for bookmark in document.get_toc():
            destination = bookmark.get_dest()
            page = destination.get_index() if destination is not None else None
            if page is not None and (title := words(bookmark.get_title())):
                yield page + 1, title


def _foreign(text: str) -> set[str]:
    """Letters that ASCII has not."""
    return {char for char in unicodedata.normalize("NFKC", text) if char.isalpha() and not char.isascii()}
