"""Pages to chunks of at most 512 tokens, each inside one page.

A page comes with its blocks, as the parser read them: nothing here knows Markdown. A heading begins a new
chunk once the one before is worth having. What is longer than a chunk is cut into parts of about equal
size, at blocks where that does, else inside one (`pieces`). Tokens are cl100k whatever the embedder is.
Own code and not semantic-text-splitter: that was 80 % of the whole job's CPU (docs/decisions/0002).
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from services.orchestrator.chunks import pieces
from waybill import tokens

MAX_TOKENS = 512
# Below this a chunk says too little to be found by; it takes the next section in.
WORTH_TOKENS = 128
# So little before a heading is a page number or a running header: it belongs to what follows.
STRAY_TOKENS = 12
# Below this it goes with the next section though that has no room for it as a whole.
LONE_TOKENS = 48
# A chunk ends at a block's end if it has this part of its share then.
NEAR = 0.7
# What parts a block from the next.
BLANK_LINE_TOKENS = 1
# A block up to this long is not cut where a section is.
UNIT_TOKENS = 64
# A breadcrumb of more than one part in so many would crowd out the passage.
MAX_HEADING_SHARE = 8
SEPARATOR = " › "
# Names the rules of this module in a version's recipe: change it when chunks change.
_RULES = "blocks-1"

Trail = tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class ChunkSizes:
    """How long chunks are.

    Attributes:
        max_tokens: Most tokens of what is embedded, heading and all.
        overlap_tokens: Most tokens of a chunk's end that the next chunk of the same section begins with.
    """

    max_tokens: int = MAX_TOKENS
    overlap_tokens: int = 0

    @property
    def recipe(self) -> str:
        """Names sizes and rules: versions of one recipe have the same chunks of the same pages."""
        return f"{_RULES}/{self.max_tokens}/{self.overlap_tokens}"


DEFAULT_SIZES = ChunkSizes()


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of a page; ParseJob.result_key in the contract says what the fields mean."""

    kind: str
    start: int
    end: int
    level: int = 0
    title: str = ""
    lead: str = ""
    continued: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """One page's text, from 1, and what it consists of; it is one block where a parser told none."""

    number: int
    markdown: str
    told: Sequence[Block] = ()

    @property
    def blocks(self) -> Sequence[Block]:
        """What it consists of."""
        return self.told or [Block("text", 0, len(self.markdown))]


@dataclass(frozen=True, slots=True)
class Passage:
    """A chunk of a page; offsets are characters of the page's text, the end exclusive."""

    page: int
    start: int
    end: int
    text: str
    heading: str
    lead: str
    token_count: int = 0

    @property
    def embedded_text(self) -> str:
        """What is embedded, counted and hashed."""
        return embedded_text(self.heading, self.lead, self.text)

    @property
    def sha256(self) -> str:
        """Hash of what is embedded, hex."""
        return hashlib.sha256(self.embedded_text.encode()).hexdigest()

    def halves(self) -> list[Passage]:
        """Two passages, cut at a space where there is one before the middle."""
        middle = len(self.text) // 2
        at = self.text.rfind(" ", 1, middle) + 1 or middle
        return [
            replace(self, end=self.start + at, text=self.text[:at]),
            replace(self, start=self.start + at, text=self.text[at:]),
        ]


@dataclass(frozen=True, slots=True)
class _Part:
    """A block, or a piece of one.

    Attributes:
        trail: The headings that are open behind its beginning, outermost first.
        lead: What it needs before it; empty where its block begins.
    """

    block: Block
    start: int
    end: int
    count: int
    trail: Trail
    lead: str = ""

    @property
    def is_heading(self) -> bool:
        return self.block.kind == "heading"

    @property
    def opens_block(self) -> bool:
        return self.start == self.block.start

    def is_said(self, trail: Trail, titles: Sequence[str]) -> bool:
        """Whether it is a heading that the breadcrumb of `trail`, which shows these titles, has."""
        return self.is_heading and self.trail == trail[: len(self.trail)] and self.block.title in titles


@dataclass(frozen=True, slots=True)
class _Bare:
    """Headings that end a page, with nothing below them yet."""

    passage: Passage
    trails: Sequence[Trail]

    def stands_above(self, trail: Trail) -> bool:
        """Whether a text with this trail names them all in its breadcrumb."""
        return all(own == trail[: len(own)] for own in self.trails)


def embedded_text(heading: str, lead: str, text: str) -> str:
    """What is embedded of a chunk: heading, a blank line, lead, text."""
    body = f"{lead}\n{text}" if lead else text
    return f"{heading}\n\n{body}" if heading else body


def cut(pages: Iterable[Page], sizes: ChunkSizes = DEFAULT_SIZES) -> Iterator[Passage]:
    """Cuts pages in order; the headings of one page stand above the next page's text."""
    cutter = Cutter(sizes)
    for page in pages:
        yield from cutter.cut(page)
    yield from cutter.rest()


class Cutter:
    """Cuts a document page by page, and remembers the headings that are open."""

    def __init__(self, sizes: ChunkSizes = DEFAULT_SIZES) -> None:
        self._max_tokens = sizes.max_tokens
        self._overlap_tokens = sizes.overlap_tokens
        self._trail: Trail = ()
        self._bare: _Bare | None = None

    def cut(self, page: Page) -> list[Passage]:
        """The passages of the next page."""
        sections = self._worthy(_sections(self._parts(page)))
        chunks = [chunk for section in sections for chunk in self._chunks(page, section)]
        return self._counted([passage for chunk in chunks for passage in self._passages(page, chunk)])

    def rest(self) -> list[Passage]:
        """What is left when no more pages come: a heading below which nothing stands."""
        bare, self._bare = self._bare, None
        return self._counted([bare.passage]) if bare else []

    def _counted(self, passages: Sequence[Passage]) -> list[Passage]:
        """Passages with their token counts: of some texts the whole has more than its parts together."""
        counts = tokens.count([passage.embedded_text for passage in passages])
        counted: list[Passage] = []
        for passage, count in zip(passages, counts, strict=True):
            if count <= self._max_tokens or len(passage.text) < 2:
                counted.append(replace(passage, token_count=count))
            else:
                counted += self._counted(passage.halves())
        return counted

    def _parts(self, page: Page) -> Iterator[_Part]:
        blocks = page.blocks
        counts = tokens.count([page.markdown[block.start : block.end] for block in blocks])
        for block, count in zip(blocks, counts, strict=True):
            if block.kind == "heading":
                above = [heading for heading in self._trail if heading[0] < block.level]
                self._trail = (*above, (block.level, block.title))
            lead = self._lead(block) if block.continued else ""
            yield _Part(block, block.start, block.end, count + BLANK_LINE_TOKENS, self._trail, lead)

    def _lead(self, block: Block) -> str:
        """A block's lead, unless that would fill the chunk."""
        return block.lead if _tokens_of(block.lead) * 2 <= self._max_tokens else ""

    def _worthy(self, sections: Iterable[Sequence[_Part]]) -> Iterator[Sequence[_Part]]:
        """Sections; a small one with those behind it, as long as they have room together."""
        merged: list[_Part] = []
        for section in sections:
            if merged and not (section and self._go_together(merged, section)):
                yield merged
                merged = []
            merged.extend(section)
        if merged:
            yield merged

    def _go_together(self, before: Sequence[_Part], section: Sequence[_Part]) -> bool:
        said = sum(part.count for part in before if not part.is_heading)
        if said < LONE_TOKENS:
            return True
        both = [*before, *section]
        return said < WORTH_TOKENS and sum(part.count for part in both) <= self._room(both)

    def _chunks(self, page: Page, section: Sequence[_Part]) -> Iterator[Sequence[_Part]]:
        """The section, or shares of it where it is longer than a chunk."""
        if sum(part.count for part in section) <= self._room(section):
            yield section
            return
        parts = [piece for part in section for piece in self._pieces(page, part)]
        repeated = 0
        while len(parts) > repeated:
            size = max(_fitting(parts, self._room(parts)), repeated + 1)
            yield parts[:size]
            repeated = self._repeated(parts[:size])
            parts = parts[size - repeated :]

    def _repeated(self, chunk: Sequence[_Part]) -> int:
        """How many parts at a chunk's end the next one begins with."""
        sums = itertools.accumulate(part.count for part in reversed(chunk[1:]))
        return sum(1 for _ in itertools.takewhile(self._overlap_tokens.__ge__, sums))

    def _pieces(self, page: Page, part: _Part) -> Iterator[_Part]:
        """A part in pieces that any chunk has room for."""
        if part.count <= UNIT_TOKENS or part.is_heading:
            yield part
            return
        lead = self._lead(part.block)
        room = self._room([replace(part, lead=lead)]) - BLANK_LINE_TOKENS
        for start, end, count in pieces.pieces(page.markdown, part.start, part.end, part.block.kind, room):
            needed = part.lead if start == part.start else lead
            yield _Part(part.block, start, end, count, part.trail, needed)

    def _room(self, parts: Sequence[_Part]) -> int:
        """Tokens that a chunk which begins with these parts has for text."""
        first = next((part for part in parts if not part.is_heading), parts[-1])
        _, heading_tokens = _breadcrumb(first.trail, self._max_tokens // MAX_HEADING_SHARE)
        return self._max_tokens - heading_tokens - _tokens_of(parts[0].lead)

    def _passages(self, page: Page, chunk: Sequence[_Part]) -> Iterator[Passage]:
        """A chunk's passage. Headings that its breadcrumb has are not said again at its beginning.

        Headings without a text below them wait: those of the next page's text have them in its breadcrumb.
        """
        body = [part for part in chunk if not part.is_heading]
        trail = _common_trail(chunk) if body else chunk[0].trail[:-1]
        if self._bare and not self._bare.stands_above((body or chunk)[0].trail):
            yield self._bare.passage
        self._bare = None
        heading, _ = _breadcrumb(trail, self._max_tokens // MAX_HEADING_SHARE)
        said = heading.split(SEPARATOR)
        rest = list(itertools.dropwhile(lambda part: part.is_said(trail, said), chunk))
        passage = _passage(page, rest, heading)
        if passage and body:
            yield passage
        elif passage:
            self._bare = _Bare(passage, [part.trail for part in chunk])


def _passage(page: Page, parts: Sequence[_Part], heading: str) -> Passage | None:
    text = page.markdown[parts[0].start : parts[-1].end]
    start = parts[0].start + len(text) - len(text.lstrip())
    text = text.strip()
    return Passage(page.number, start, start + len(text), text, heading, parts[0].lead) if text else None


def _sections(parts: Iterable[_Part]) -> Iterator[Sequence[_Part]]:
    """Headings with what stands below them; an empty one where something stands that is in no chunk."""
    section: list[_Part] = []
    for part in parts:
        omitted = part.block.kind == "omitted"
        if section and (omitted or (part.is_heading and not section[-1].is_heading)):
            yield section
            section = []
        if omitted:
            yield []
        else:
            section.append(part)
    if section:
        yield section


def _fitting(parts: Sequence[_Part], room: int) -> int:
    """How many parts make the next chunk: about an equal share, up to a block's end where one is near."""
    total = sum(part.count for part in parts)
    if total <= room:
        return len(parts)
    share = total / math.ceil(total / room)
    ranked: list[tuple[bool, bool, float, int]] = []
    used, size = 0, 1
    for size, (part, following) in enumerate(itertools.pairwise(parts), start=1):
        used += part.count
        if used > room:
            break
        if used > NEAR * share:
            ranked.append((part.is_heading, not following.opens_block, abs(used - share), size))
    return min(ranked)[-1] if ranked else max(size - 1, 1)


def _common_trail(chunk: Sequence[_Part]) -> Trail:
    """The headings that all of a chunk's text stands under, but a page number above the first of them."""
    stray = len(chunk) > 2 and chunk[0].count <= STRAY_TOKENS and chunk[1].is_heading
    trails = [part.trail for part in chunk[stray:] if not part.is_heading] or [chunk[0].trail]
    same = itertools.takewhile(lambda level: len(set(level)) == 1, zip(*trails, strict=False))
    return tuple(level[0] for level in same)


@lru_cache(maxsize=64)
def _breadcrumb(trail: Trail, limit: int) -> tuple[str, int]:
    """Open headings, outermost first, and their tokens; the outer ones give way where they are too long."""
    titles = [title for _, title in trail if title]
    while titles and _tokens_of(SEPARATOR.join(titles)) > limit:
        titles.pop(0)
    heading = SEPARATOR.join(titles)
    return heading, _tokens_of(heading and f"{heading}\n\n")


def _tokens_of(text: str) -> int:
    return tokens.count([text])[0] if text else 0
