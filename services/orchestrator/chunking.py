"""Pages of Markdown to chunks of at most 512 tokens, each inside one page.

Greedy over Markdown blocks (headings, fences, tables, lists, paragraphs): a chunk is filled with
whole blocks; a heading begins a new one once the chunk at hand is worth having. A block that does not
fit is cut at lines, sentences, words, and at last anywhere. Tokens are cl100k whatever the embedder is.
Own code and not semantic-text-splitter: that was 80 % of the whole job's CPU (facts/performance.md 2).
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from waybill import tokens

MAX_TOKENS = 512
# Below this a chunk says too little to be found by; it takes the next section in.
WORTH_TOKENS = 96
# So little before a heading is a page number or a running header: it belongs to what follows.
STRAY_TOKENS = 12
# A breadcrumb of more than one part in so many would crowd out the passage.
MAX_HEADING_SHARE = 8
SEPARATOR = " › "
# Names the rules above in a version's recipe: change it when chunks change.
RECIPE = "markdown-greedy-1"

_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.*?)[ \t]*#*[ \t]*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_CUTS = (re.compile(r"\n"), re.compile(r"(?<=[.!?…。！？])\s+"), re.compile(r"\s+"))


@dataclass(frozen=True)
class Page:
    """One page's text, from 1."""

    number: int
    markdown: str


@dataclass(frozen=True)
class Passage:
    """A chunk of a page; offsets are characters of the page's text, the end exclusive."""

    page: int
    start: int
    end: int
    text: str
    heading: str
    token_count: int

    @property
    def embedded_text(self) -> str:
        """What is embedded, counted and hashed."""
        return embedded_text(self.heading, self.text)

    @property
    def sha256(self) -> str:
        """Hash of what is embedded, hex."""
        return hashlib.sha256(self.embedded_text.encode()).hexdigest()


@dataclass(frozen=True)
class _Block:
    start: int
    end: int
    level: int  # of a heading; 0 for anything else
    title: str = ""


def embedded_text(heading: str, text: str) -> str:
    """Heading, a blank line, text; the text alone where there is no heading."""
    return f"{heading}\n\n{text}" if heading else text


def cut(pages: Iterable[Page], max_tokens: int = MAX_TOKENS) -> Iterator[Passage]:
    """Cuts pages in order; the headings of one page stand above the next page's text."""
    cutter = Cutter(max_tokens)
    for page in pages:
        yield from cutter.cut(page)


class Cutter:
    """Cuts a document page by page, and remembers the headings that are open."""

    def __init__(self, max_tokens: int = MAX_TOKENS) -> None:
        self._max_tokens = max_tokens
        self._trail: list[tuple[int, str]] = []

    def cut(self, page: Page) -> Iterator[Passage]:
        """The passages of the next page."""
        passages = list(_trimmed(page, _spans(page.markdown, self._trail, self._max_tokens)))
        counts = tokens.count([embedded_text(heading, text) for _, _, text, heading in passages])
        for (start, end, text, heading), count in zip(passages, counts, strict=True):
            yield Passage(page.number, start, end, text, heading, count)


def _spans(text: str, trail: list[tuple[int, str]], max_tokens: int) -> Iterator[tuple[int, int, str]]:
    """(start, end, heading) of each chunk of a page; `trail` holds the open headings and moves along."""
    blocks = _blocks(text)
    counts = tokens.count([text[block.start : block.end] for block in blocks])
    start, end, used, heading, room, opening, headed = 0, 0, 0, "", max_tokens, True, False
    for block, count in zip(blocks, counts, strict=True):
        full = used + count > room or (block.level > 0 and used >= WORTH_TOKENS)
        if used and full and not opening:
            yield start, end, heading
            used = 0
        if block.level:
            _enter(trail, block)
        if used == 0:
            start, opening, headed = block.start, True, False
        if opening:
            heading = _breadcrumb(trail, max_tokens // MAX_HEADING_SHARE)
            room = max_tokens - _heading_cost(heading)
            headed = headed or block.level > 0
            opening = block.level > 0 or (not headed and used + count <= STRAY_TOKENS)
        end, used = block.end, used + count
        if used > room:
            *whole, (start, end) = _pieces(text, start, end, room)
            yield from ((left, right, heading) for left, right in whole)
            used = tokens.count([text[start:end]])[0]
    if used:
        yield start, end, heading


def _trimmed(page: Page, spans: Iterable[tuple[int, int, str]]) -> Iterator[tuple[int, int, str, str]]:
    for start, end, heading in spans:
        text = page.markdown[start:end]
        left = start + len(text) - len(text.lstrip())
        if stripped := text.strip():
            yield left, left + len(stripped), stripped, heading


def _blocks(text: str) -> list[_Block]:
    """Headings, fences and paragraphs, in order, with the blank lines behind the latter."""
    blocks: list[_Block] = []
    start, offset, fence, closed = 0, 0, "", False
    for line in text.splitlines(keepends=True):
        heading = None if fence else _HEADING.match(line.rstrip("\r\n"))
        if offset > start and (heading or (closed and line.strip())):
            if text[start:offset].strip():
                blocks.append(_Block(start, offset, 0))
            start = offset
        if heading:
            blocks.append(_Block(offset, offset + len(line), len(heading[1]), heading[2]))
            start = offset + len(line)
        fence = _fence_after(line, fence)
        closed = not fence and not line.strip() and bool(text[start:offset].strip())
        offset += len(line)
    if offset > start:
        blocks.append(_Block(start, offset, 0))
    return blocks


def _fence_after(line: str, fence: str) -> str:
    """The fence that is open behind a line, empty where none is (CommonMark 4.5)."""
    marker = _FENCE.match(line)
    if not marker:
        return fence
    if not fence:
        return marker[1]
    return "" if marker[1].startswith(fence) and line.strip() == marker[1] else fence


def _enter(trail: list[tuple[int, str]], block: _Block) -> None:
    while trail and trail[-1][0] >= block.level:
        trail.pop()
    trail.append((block.level, block.title))


def _breadcrumb(trail: list[tuple[int, str]], limit: int) -> str:
    """Open headings, outermost first; the outer ones give way where they are too long together."""
    titles = [title for _, title in trail if title]
    while titles and tokens.count([SEPARATOR.join(titles)])[0] > limit:
        titles.pop(0)
    return SEPARATOR.join(titles)


def _heading_cost(heading: str) -> int:
    return tokens.count([heading + "\n\n"])[0] if heading else 0


def _pieces(text: str, start: int, end: int, room: int, cuts: int = 0) -> Iterator[tuple[int, int]]:
    """Cuts a block that is too long into pieces that fit, at the gentlest place that does."""
    if cuts == len(_CUTS):
        yield from _halves(text, start, end, room)
        return
    borders = [match.end() for match in _CUTS[cuts].finditer(text, start, end)]
    edges = [start, *(border for border in borders if start < border < end), end]
    parts = list(itertools.pairwise(edges))
    counts = tokens.count([text[left:right] for left, right in parts])
    open_start, used = start, 0
    for (left, right), count in zip(parts, counts, strict=True):
        if used and count <= room < used + count:
            yield open_start, left
            used = 0
        if used == 0:
            open_start = left
        used += count
        if count > room:
            *whole, (open_start, _) = _pieces(text, open_start, right, room, cuts + 1)
            yield from whole
            used = tokens.count([text[open_start:right]])[0]
    if used:
        yield open_start, end


def _halves(text: str, start: int, end: int, room: int) -> Iterator[tuple[int, int]]:
    if end - start <= 1 or tokens.count([text[start:end]])[0] <= room:
        yield start, end
        return
    middle = (start + end) // 2
    yield from _halves(text, start, middle, room)
    yield from _halves(text, middle, end, room)
