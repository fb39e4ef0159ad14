"""Plain text and source code → pages."""

from __future__ import annotations

import re
from collections.abc import Iterator

from services.parser.documents import decoding, paging
from services.parser.documents.document import Document
from services.parser.documents.plain import plain
from services.parser.pages import Block, BlockKind, Page

_GAP = re.compile(r"\f|\n[^\S\f]*\n")
_RULE = r"([=~^\"#*+-])\%d{2,}"
_UNDERLINED = re.compile(rf"(\S[^\n]*)\n{_RULE % 2}[ \t]*(?:\n|\Z)")
_FRAMED = re.compile(rf"{_RULE % 1}[ \t]*\n([^\n]*\S[^\n]*)\n\1{{3,}}[ \t]*(?:\n|\Z)")
_MARKED = re.compile(r"(#{1,6})[ \t]+(\S[^\n]*?)(?:[ \t]+#+)?")
# A title has a word, and no columns: what stands above a rule with columns is a table's head, or a sum.
_NO_TITLE = re.compile(r"[\W_]*|.*(?:\t|\||\S {2,}\S).*")
_MOST_TITLE_CHARS, _MOST_LEVEL = 200, 6
# Python's and Emacs' way to say it, in one of the first two lines (PEP 263).
_CODING = re.compile(rb"(?:[^\n]*\n)?[^\n]*?(?:#|-\*-)[^\n]*?coding[:=][ \t]*([-\w.]+)")


def read(document: Document) -> Iterator[Page]:
    """Pages of paragraphs. A title is underlined, or a line alone that begins with "# ".

    Raises:
        Refused: TEXT_UNDECODABLE, FILE_TYPE_UNSUPPORTED (binary content).
    """
    text = whole(document)
    return paging.pages(text, paragraphs(text), document.limits.pages)


def read_code(document: Document) -> Iterator[Page]:
    """Pages of definitions: what no blank line divides, and what is indented below it. Raises: see read."""
    text = whole(document)
    blocks = (Block(BlockKind.CODE, start, end) for start, end in _runs(text, at_margin=True))
    return paging.pages(text, blocks, document.limits.pages)


def whole(document: Document) -> str:
    """All of a document's text, in the form in which it is kept. Raises: see read."""
    said = _CODING.match(document.head(400))
    return "".join(plain(decoding.texts(document, said[1].decode() if said else "")))


def _runs(text: str, *, at_margin: bool = False) -> Iterator[tuple[int, int]]:
    """Where what blank lines divide begins and ends; `at_margin`: those alone before a line at the margin."""
    begun = 0
    for found in _GAP.finditer(text):
        if at_margin and text[found.end() : found.end() + 1] in (" ", "\t"):
            continue
        yield from _trimmed(text, begun, found.start())
        begun = found.end()
    yield from _trimmed(text, begun, len(text))


def _trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    if body := text[start:end].rstrip():
        indent = len(body) - len(body.lstrip())
        yield start + body.rfind("\n", 0, indent) + 1, start + len(body)


def paragraphs(text: str) -> Iterator[Block]:
    styles: list[str] = []
    for start, end in _runs(text):
        head = text[start : min(end, start + 4 * _MOST_TITLE_CHARS)]
        level, title, used = _title(head, styles, alone=end - start <= len(head))
        if not used:
            yield Block(BlockKind.TEXT, start, end)
        else:
            yield Block(BlockKind.HEADING, start, start + len(head[:used].rstrip()), level, title)
            yield from (Block(BlockKind.TEXT, *rest) for rest in _trimmed(text, start + used, end))


def _title(head: str, styles: list[str], *, alone: bool) -> tuple[int, str, int]:
    """Level and text of the title that a paragraph begins with, and how many characters it takes."""
    if alone and (marked := _MARKED.fullmatch(head)) and len(marked[2]) <= _MOST_TITLE_CHARS:
        return len(marked[1]), marked[2], len(head)
    title, rule, used = "", "", 0
    if framed := _FRAMED.match(head):
        title, rule, used = framed[2].strip(), framed[0].splitlines()[-1].rstrip(), framed.end()
    elif under := _UNDERLINED.match(head):
        title, rule, used = under[1].rstrip(), under[0].splitlines()[1].rstrip(), under.end()
    if not title or len(title) > min(len(rule), _MOST_TITLE_CHARS) or _NO_TITLE.fullmatch(title):
        return 0, "", 0
    style = rule[0] * (2 if framed else 1)
    if style not in styles:
        styles.append(style)
    return min(styles.index(style) + 1, _MOST_LEVEL), title, used
