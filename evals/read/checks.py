"""What is held against a document's pages: its outline, its encoding, and the chunks cut from it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import pypdfium2

from evals.read.results import Result
from services.orchestrator.chunks import cutting
from services.parser.pages import Block, BlockKind, Page

# "Chapter 12.3.4", "Приложение A"
_MOST_NUMBER_CHARS = 14


def outline(path: Path, pages: Sequence[Page], result: Result) -> None:
    """Which titles of a PDF's own outline are headings of ours on the page that each leads to."""
    found = {
        page.page: [_words(block.title) for block in page.blocks if _is_heading(block)] for page in pages
    }
    for number, title in _outline(path):
        result.outline_titles += 1
        result.outline_found += any(_same_title(title, heading) for heading in found.get(number, ()))


def encoding(path: Path, name: str, pages: Sequence[Page], result: Result) -> None:
    """Whether the words are those that the named encoding has."""
    expected = _words(path.read_bytes().decode(name, errors="replace"))
    result.right_text = expected == _words("".join(page.markdown for page in pages))


def chunks(pages: Sequence[Page], result: Result) -> None:
    """Whether each chunk stands in its page where it says, and no body text is in none."""
    cutter = cutting.Cutter()
    for page in pages:
        blocks = [cutting.Block(**asdict(block)) for block in page.blocks]
        covered = bytearray(len(page.markdown))
        for chunk in cutter.cut(cutting.Page(page.page, page.markdown, blocks)):
            result.chunks += 1
            result.wrong_offsets += not chunk.text or page.markdown[chunk.start : chunk.end] != chunk.text
            covered[chunk.start : chunk.end] = b"\1" * (chunk.end - chunk.start)
        result.lost_characters += sum(1 for place in _body(page) if not covered[place])


def _outline(path: Path) -> Iterator[tuple[int, str]]:
    """Page and title of each entry that leads to a page."""
    with pypdfium2.PdfDocument(path) as document:
        for bookmark in document.get_toc():
            destination = bookmark.get_dest()
            page = destination.get_index() if destination is not None else None
            if page is not None and (title := _words(bookmark.get_title())):
                yield page + 1, title


def _same_title(title: str, heading: str) -> bool:
    """One of the two may have a number before it that the other lacks."""
    shorter, longer = sorted((title, heading), key=len)
    return bool(shorter) and longer.endswith(shorter) and len(longer) - len(shorter) <= _MOST_NUMBER_CHARS


def _is_heading(block: Block) -> bool:
    return block.kind is BlockKind.HEADING


def _words(text: str) -> str:
    """Letters and digits, so that neither lines nor markup count, nor small and large."""
    return "".join(char for char in unicodedata.normalize("NFKC", text).casefold() if char.isalnum())


def _body(page: Page) -> Iterator[int]:
    """Where something is to be read that belongs into a chunk: a heading may be in the breadcrumb alone."""
    for block in page.blocks:
        if block.kind not in (BlockKind.HEADING, BlockKind.OMITTED):
            yield from (
                place for place in range(block.start, block.end) if not page.markdown[place].isspace()
            )
