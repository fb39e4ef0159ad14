"""Markdown and plain text: bytes → pages, piece by piece. Pure; runs in a thread, under the source limit."""

from __future__ import annotations

import codecs
import io
import itertools
import re
from collections.abc import Iterable, Iterator

from services.parser.documents.document import Document, Refused
from services.parser.pages import Block, BlockKind, Page

# What fits on a printed page in a common typeface, so that a page number tells a reader where to look
# and a page costs what a page of a PDF costs.
PAGE_CHARS = 3_000
# Where no blank line comes; in four-byte characters still below the text limit of a page.
MOST_PAGE_CHARS = 4 * PAGE_CHARS
_BOMS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_CONTROLS = {
    code: None for code in (*range(0x20), *range(0x7F, 0xA0)) if code not in (0x09, 0x0A, 0x0C, 0x85)
}
FORM_FEED = "\f"
_ENDS = re.compile(r"([\n\f])")
_FENCE = re.compile(r"\s{0,3}(```|~~~)")


def read(document: Document) -> Iterator[Page]:
    """Pages by form feed, and within long stretches at the first blank line after PAGE_CHARS.

    Raises:
        Refused: TEXT_UNDECODABLE, FILE_TYPE_UNSUPPORTED (binary content).
    """
    document.encoding = "utf-8"
    for number, body in enumerate(_bodies(_lines(decode(document.pieces()))), start=1):
        text = body.rstrip("\n")
        yield Page(number, text, (Block(BlockKind.TEXT, 0, len(text)),) if text else ())


def decode(pieces: Iterable[bytes]) -> Iterator[str]:
    """Text with line feeds alone and without other controls. UTF-8, or UTF-16 with a byte order mark."""
    pieces = iter(pieces)
    first = next(pieces, b"")
    bom, encoding = next(((b, e) for b, e in _BOMS.items() if first.startswith(b)), (b"", "utf-8"))
    decoder = codecs.getincrementaldecoder(encoding)()
    newlines = io.IncrementalNewlineDecoder(decoder, translate=True)
    offset = len(bom)
    for piece in itertools.chain([first[offset:]], pieces, [b""]):
        if encoding == "utf-8" and b"\0" in piece:
            raise Refused("FILE_TYPE_UNSUPPORTED")
        begun, _ = decoder.getstate()
        try:
            yield newlines.decode(piece, final=not piece).translate(_CONTROLS)
        except UnicodeDecodeError as error:
            at = offset - len(begun) + error.start
            raise Refused("TEXT_UNDECODABLE", byte_offset=str(at)) from None
        offset += len(piece)


def _lines(texts: Iterable[str]) -> Iterator[str]:
    """Lines of at most MOST_PAGE_CHARS, and form feeds between them."""
    rest = ""
    for text in texts:
        *whole, rest = _ENDS.split(rest + text)
        for line, end in zip(whole[::2], whole[1::2], strict=True):
            yield from _short_lines(line)
            if end == FORM_FEED:
                yield end
        if len(rest) > MOST_PAGE_CHARS:
            *short, rest = _short_lines(rest)
            yield from short
    yield from _short_lines(rest)


def _bodies(lines: Iterable[str]) -> Iterator[str]:
    """Pages of the stretches between form feeds; those at the end that have nothing in them are none."""
    empty = 0
    for is_feed, group in itertools.groupby(lines, FORM_FEED.__eq__):
        if is_feed:
            continue
        stretch = iter(group)
        begin = list(itertools.islice(stretch, 2))
        if begin == [""]:
            empty += 1
            continue
        yield from itertools.repeat("", empty)
        empty = 0
        yield from _pieces(itertools.chain(begin, stretch))


def _pieces(stretch: Iterable[str]) -> Iterator[str]:
    """Cuts at blank lines, not inside a fenced block (a heading there is code) unless that has no end."""
    lines: list[str] = []
    length, fenced, white = 0, False, True
    for line in stretch:
        blank = not line.strip()
        white = white and blank
        if (length >= PAGE_CHARS and blank and not fenced) or length + len(line) > MOST_PAGE_CHARS:
            yield "\n".join(lines)
            lines, length = [], 0
        if blank and not lines:
            continue
        fenced ^= bool(_FENCE.match(line))
        lines.append(line)
        length += len(line) + 1
    if lines or white:
        yield "\n".join(lines)


def _short_lines(line: str) -> Iterator[str]:
    return (line[at : at + MOST_PAGE_CHARS] for at in range(0, len(line) or 1, MOST_PAGE_CHARS))
