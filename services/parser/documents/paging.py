"""A text's blocks → pages as long as printed ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from services.parser.pages import Block, BlockKind, Page

# What fits on a printed page in a common typeface, so that a page number tells a reader where to look
# and a page costs what a page of a PDF costs.
PAGE_CHARS = 3_000
# Where no block ends; in four-byte characters still below the text limit of a page.
MOST_PAGE_CHARS = 4 * PAGE_CHARS
FORM_FEED = "\f"


def pages(text: str, blocks: Iterable[Block], most_pages: int) -> Iterator[Page]:
    """Pages end at form feeds, and at the first block's end after PAGE_CHARS.

    Args:
        text: The whole; a page's text is a slice of it.
        blocks: Its blocks, in order. One that is too long for a page goes on as `continued`.
        most_pages: A text longer than so many pages has longer ones instead.
    """
    page_chars = max(PAGE_CHARS, len(text) // most_pages + 1)
    most = max(MOST_PAGE_CHARS, 2 * page_chars)
    held: list[Block] = []
    number, read = 1, 0
    for block in _fitting(text, blocks, most):
        ends = text.count(FORM_FEED, read, block.start)
        for _ in range(ends or _is_full(held, block, page_chars, most)):
            yield _page(number, text, held)
            number, held = number + 1, []
        held.append(block)
        read = block.end
    if held:
        yield _page(number, text, held)


def _is_full(held: Sequence[Block], block: Block, page_chars: int, most: int) -> bool:
    if not held:
        return False
    begun = held[0].start
    # A title stays with what it stands above, be that a block that fills a page.
    enough = held[-1].end - begun >= page_chars and held[-1].kind is not BlockKind.HEADING
    return enough or block.end - begun > most + most // 8


def _page(number: int, text: str, held: Sequence[Block]) -> Page:
    if not held:
        return Page(number, "")
    begun = held[0].start
    return Page(number, text[begun : held[-1].end], tuple(_moved(block, begun) for block in held))


def _moved(block: Block, by: int) -> Block:
    # dataclasses.replace takes a third of the time of a text of short paragraphs.
    return Block(
        block.kind, block.start - by, block.end - by, block.level, block.title, block.lead, block.continued
    )


def _fitting(text: str, blocks: Iterable[Block], most: int) -> Iterator[Block]:
    """The same blocks, in parts where a form feed stands inside or a page has no room for the whole."""
    for block in blocks:
        if block.end - block.start <= most and text.find(FORM_FEED, block.start, block.end) < 0:
            yield block
            continue
        continued = block.continued
        for start, end in _parts(text, block, most):
            yield replace(block, start=start, end=end, continued=continued)
            continued = True


def _parts(text: str, block: Block, most: int) -> Iterator[tuple[int, int]]:
    start = block.start
    while start < block.end:
        end = _end_of_part(text, start, block.end, most)
        if part := text[start:end].rstrip():
            # Indentation stays: it means something in code.
            yield start + len(part) - len(part.lstrip("\n\f")), start + len(part)
        start = end


def _end_of_part(text: str, start: int, end: int, most: int) -> int:
    """Behind a form feed, else where the block ends, else behind the last line or word that has room."""
    last = min(end, start + most)
    if (feed := text.find(FORM_FEED, start, last)) >= 0:
        return feed + 1
    if last == end:
        return end
    return text.rfind("\n", start, last) + 1 or text.rfind(" ", start, last) + 1 or last
