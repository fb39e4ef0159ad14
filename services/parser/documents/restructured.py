"""reStructuredText → pages: titles by their underlines, literal blocks as code, the rest as paragraphs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from services.parser.documents import decoding, flow
from services.parser.documents.document import Document
from services.parser.documents.flow import Piece
from services.parser.pages import BlockKind, Page

_ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1+")
_ITEM = re.compile(r"([-*+•]|\d{1,4}[.)]|#\.) +(?=\S)")
_DIRECTIVE = re.compile(r"\.\. +(?:code-block|code|sourcecode|highlight)::(?: +(\S+))?")
_COMMENT = re.compile(r"\.\.( |$)(?!\S+::|_|\[|\|)")
_REFERENCE = re.compile(r"`([^`]+)`_{0,2}|(?<=\w)()__?(?!\w)")
_ROLE = re.compile(r":[\w:.+-]+:`([^`<]+?)(?: *<[^`<>]*>)?`")


def read(document: Document) -> Iterator[Page]:
    """Raises Refused: TEXT_UNDECODABLE, FILE_TYPE_UNSUPPORTED."""
    text = flow.clean("".join(decoding.texts(document)))
    return flow.running(_pieces(text.expandtabs(8).split("\n")))


def _pieces(lines: list[str]) -> Iterator[Piece]:
    styles: list[tuple[str, bool]] = []
    at, language, literal = 0, "", False
    while at < len(lines):
        end = _end_of_block(lines, at)
        block = lines[at:end]
        if title := _title(block):
            text, style, used = title
            if style not in styles:
                styles.append(style)
            yield from flow.heading(styles.index(style) + 1, _REFERENCE.sub(r"\1\2", _shown(text)))
            end = at + used
        elif literal and block and block[0].startswith(" "):
            end = _end_of_indented(lines, at)
            yield from flow.code(_dedented(lines[at:end]), language)
            literal = False
        elif block:
            found = _DIRECTIVE.match(block[0])
            literal = bool(found) or block[-1].rstrip().endswith("::")
            language = (found[1] or "") if found else ""
            if not found:
                yield from _block(block)
        at = max(end, at + 1)


def _block(block: list[str]) -> Iterator[Piece]:
    if _COMMENT.match(block[0]):
        yield from flow.paragraph("\n".join(block), BlockKind.OMITTED)
    elif found := _ITEM.match(block[0].lstrip()):
        depth = (len(block[0]) - len(block[0].lstrip())) // 2
        for text in _items(block):
            marker = found[1] if found[1][0].isdigit() else "-"
            yield from flow.item(depth, _shown(text), marker)
    else:
        yield from flow.paragraph(_shown(_dedented(block)))


def _items(block: list[str]) -> Iterator[str]:
    held: list[str] = []
    for line in block:
        if held and _ITEM.match(line.lstrip()):
            yield "\n".join(held)
            held = []
        held.append(line.strip() if held else _ITEM.sub("", line.lstrip(), count=1))
    yield "\n".join(held)


def _title(block: list[str]) -> tuple[str, tuple[str, bool], int] | None:
    """A title, how it is adorned, and how many lines it takes."""
    if len(block) > 2 and _rule(block[0]) and _rule(block[2]) == _rule(block[0]) and block[1].strip():
        return block[1].strip(), (block[0][0], True), 3
    if len(block) < 2 or block[0].startswith(" ") or _rule(block[0]) or not _rule(block[1]):
        return None
    long_enough = len(block[1].rstrip()) >= min(len(block[0].rstrip()), 4)
    return (block[0].strip(), (block[1][0], False), 2) if long_enough else None


def _rule(line: str) -> str:
    found = _ADORNMENT.fullmatch(line.rstrip())
    return found[1] if found else ""


def _end_of_block(lines: list[str], at: int) -> int:
    while at < len(lines) and lines[at].strip():
        at += 1
    return at


def _end_of_indented(lines: list[str], at: int) -> int:
    while at < len(lines) and (not lines[at].strip() or lines[at].startswith(" ")):
        at += 1
    return at


def _dedented(lines: list[str]) -> str:
    indent = min((len(line) - len(line.lstrip()) for line in lines if line.strip()), default=0)
    return "\n".join(line[indent:] for line in lines)


def _shown(text: str) -> str:
    return _ROLE.sub(r"\1", text).replace("``", "`")
