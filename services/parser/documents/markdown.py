"""Markdown → pages."""

from __future__ import annotations

import html
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from services.parser.documents import commonmark, paging, text
from services.parser.documents.commonmark import CONTAINERS, Stretch
from services.parser.documents.document import Document
from services.parser.documents.paging import FORM_FEED
from services.parser.pages import Block, BlockKind, Page

# A list or quotation longer than this is taken apart into what it holds.
_MOST_BLOCK_CHARS = 2_000
# What is longer is a paragraph that somebody drew a line under.
_MOST_TITLE_CHARS = 300
_MOST_FRONT_CHARS = 64 * 1024
_FRONT = re.compile(r"(---|\+\+\+)[ \t]*\n")
_KEYS = re.compile(r"""(?:[ \t].*|\#.*|-(?:\ .*)?|["']?\w[^:=\n]*(?::|=)(?:\s.*)?|\[.*\]|[}\]],?|)""", re.X)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_TICKS = re.compile("`+")
_UNSEEN = ("<!--", "]:")
# What may hide text inside a paragraph, and what keeps that from hiding it.
_SPOT = re.compile(
    r"""\\.|`+|<!--|^[ \t>]*\[[^\]\n]{0,200}\]:[ \t]*(?:\#|<>)[ \t]+(?:\([^()]*\)|"[^"]*"|'[^']*')[ \t]*$""",
    re.MULTILINE,
)
_LITERAL = re.compile(r"\s*<(?:pre|script|style|textarea)\b", re.IGNORECASE)
_HTML_HEADING = re.compile(r"\s*<h([1-6])\b[^>]*>(.*)</h\1\s*>\s*", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^<>]*>")
_KINDS = {
    "fence": BlockKind.CODE,
    "code_block": BlockKind.CODE,
    "table": BlockKind.TABLE,
    "bullet_list_open": BlockKind.LIST,
    "ordered_list_open": BlockKind.LIST,
}


def read(document: Document) -> Iterator[Page]:
    """Pages of CommonMark's blocks. Front matter and comments stand in the page and in no chunk.

    Raises:
        Refused: TEXT_UNDECODABLE, FILE_TYPE_UNSUPPORTED (binary content).
    """
    whole = text.whole(document)
    return paging.pages(whole, blocks(whole), document.limits.pages)


def blocks(whole: str) -> Iterator[Block]:
    """CommonMark's blocks of a text, with front matter and comments."""
    front = _front_matter(whole)
    if front:
        yield Block(BlockKind.OMITTED, 0, front)
    # A form feed ends a line, and a page; offsets stay.
    source = whole.replace(FORM_FEED, "\n")
    labels = commonmark.definitions(source)
    for stretches in commonmark.blocks(source, front):
        for block in _of_top(source, stretches, labels):
            yield from _trimmed(source, block)


def _front_matter(whole: str) -> int:
    """Where front matter ends; 0 where there is none, but a rule and text below it."""
    opening = _FRONT.match(whole)
    if not opening:
        return 0
    lines = whole[opening.end() : _MOST_FRONT_CHARS].split("\n")
    ends = (opening[1], "...")
    last = next((at for at, line in enumerate(lines) if line.rstrip() in ends), -1)
    if last < 0 or not all(_KEYS.fullmatch(line) for line in lines[:last]):
        return 0
    return opening.end() + sum(len(line) + 1 for line in lines[:last]) + len(lines[last])


def _of_top(source: str, stretches: Sequence[Stretch], labels: commonmark.Labels) -> Iterator[Block]:
    top = stretches[0]
    if top.token.type == "heading_open" and len(top.content) <= _MOST_TITLE_CHARS:
        level = int(top.token.tag[1])
        title = commonmark.title(top.content, labels)
        yield from _parts(source, Block(BlockKind.HEADING, top.start, top.end, level, title))
    elif top.token.type == "html_block":
        yield from _html(source, top.start, top.end)
    elif top.token.type in CONTAINERS:
        yield from _contained(source, stretches)
    else:
        yield from _parts(source, _plain(source, top, BlockKind.TEXT))


def _plain(source: str, stretch: Stretch, kind: BlockKind) -> Block:
    kind = _KINDS.get(stretch.token.type, kind)
    lines = {BlockKind.TABLE: 2, BlockKind.CODE: int(stretch.token.type == "fence")}.get(kind, 0)
    end = stretch.start
    for _ in range(lines):
        end = source.find("\n", end, stretch.end) + 1 or stretch.end
    return Block(kind, stretch.start, stretch.end, lead=source[stretch.start : end].rstrip("\n"))


def _contained(source: str, stretches: Sequence[Stretch]) -> Iterator[Block]:
    """A list or quotation as one block, or as what it holds where it is long or holds a comment."""
    top = stretches[0]
    kind = _KINDS.get(top.token.type, BlockKind.TEXT)
    comments = [each.start for each in stretches if _hides(source, each)]
    found: list[Block] = []
    taken = top.start
    for each in stretches:
        divided = each.token.type in CONTAINERS and (
            each.end - each.start > _MOST_BLOCK_CHARS or any(each.start <= at < each.end for at in comments)
        )
        if each.start < taken or divided:
            continue
        if each.token.type == "html_block":
            found += _html(source, each.start, each.end)
        elif each.token.type in CONTAINERS:
            found.append(_plain(source, each, kind))
        else:
            found += _parts(source, _plain(source, each, kind))
        taken = each.end
    found = found or [_plain(source, top, kind)]  # nested deeper than is read
    # Between two of them stand marks of the container alone; they belong to the one before.
    ends = [*(block.start for block in found[1:]), top.end]
    for at, (block, end) in enumerate(zip(found, ends, strict=True)):
        yield replace(block, start=block.start if at else top.start, end=end)


def _hides(source: str, stretch: Stretch) -> bool:
    """Whether a block that holds no other may hold a comment."""
    kind = stretch.token.type
    if kind in CONTAINERS or _KINDS.get(kind) is BlockKind.CODE:
        return False
    return kind == "html_block" or any(_comments(source[stretch.start : stretch.end]))


def _html(source: str, start: int, end: int) -> Iterator[Block]:
    content = source[start:end]
    if _LITERAL.match(content):
        yield Block(BlockKind.CODE, start, end)
        return
    heading = _HTML_HEADING.fullmatch(content) if len(content) <= 8 * _MOST_TITLE_CHARS else None
    title = " ".join(html.unescape(_TAG.sub("", heading[2])).split()) if heading else ""
    if heading and title:
        yield Block(BlockKind.HEADING, start, end, int(heading[1]), title)
        return
    at = start
    # Up to the last end of a comment, so that one without an end is not looked for again and again.
    for found in _COMMENT.finditer(source, start, start + content.rfind("-->") + 3):
        yield Block(BlockKind.TEXT, at, found.start())
        yield Block(BlockKind.OMITTED, *found.span())
        at = found.end()
    yield Block(BlockKind.TEXT, at, end)


def _parts(source: str, block: Block) -> Iterator[Block]:
    """A block around the comments inside its lines. A later part of a table has its header as lead."""
    if block.kind in (BlockKind.CODE, BlockKind.OMITTED):
        yield block
        return
    at, lead = block.start, _COMMENT.sub("", block.lead)
    later = BlockKind.TEXT if block.kind is BlockKind.HEADING else block.kind
    for start, end in _comments(source[block.start : block.end]):
        yield _part(block, at, block.start + start, later, lead)
        yield Block(BlockKind.OMITTED, block.start + start, block.start + end)
        at = block.start + end
    yield _part(block, at, block.end, later, lead)


def _part(block: Block, start: int, end: int, later: BlockKind, lead: str) -> Block:
    if start == block.start:
        return replace(block, end=end, lead=lead)
    return Block(later, start, end, lead=lead, continued=bool(lead))


def _comments(text: str) -> Iterator[tuple[int, int]]:
    """Where comments are, `<!-- -->` and `[//]: # ()`, but for those in code spans."""
    if not any(sign in text for sign in _UNSEEN):
        return
    ticks: dict[int, list[int]] = defaultdict(list)
    for run in _TICKS.finditer(text):
        ticks[len(run[0])].append(run.start())
    at, last = 0, text.rfind("-->")
    while spot := _SPOT.search(text, at):
        at = spot.end()
        if spot[0].startswith("`"):
            same = ticks[len(spot[0])]
            closing = bisect_left(same, at)
            at = same[closing] + len(spot[0]) if closing < len(same) else at
        elif spot[0] == "<!--" and spot.start() + 2 <= last:
            at = text.find("-->", spot.start() + 2) + 3
            yield spot.start(), at
        elif spot[0] != "<!--" and not spot[0].startswith("\\"):
            yield spot.span()


def _trimmed(source: str, block: Block) -> Iterator[Block]:
    part = source[block.start : block.end]
    if body := part.rstrip():
        indent = len(body) - len(body.lstrip())
        start = block.start + body.rfind("\n", 0, indent) + 1
        yield replace(block, start=start, end=block.start + len(body))
