"""Markdown and plain text: bytes → pages. Pure; runs in a thread, under the source limit."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

from services.parser.limits import Limits
from services.parser.pages import Page
from services.parser.refusals import refusal

# What fits on a printed page in a common typeface, so that a page number tells a reader where to look
# and a page costs what a page of a PDF costs.
PAGE_CHARS = 3_000
# Where no blank line comes; in four-byte characters still below the text limit of a page.
MOST_PAGE_CHARS = 4 * PAGE_CHARS
_BOMS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_CONTROLS = {
    code: None for code in (*range(0x20), *range(0x7F, 0xA0)) if code not in (0x09, 0x0A, 0x0C, 0x85)
}
_FENCE = re.compile(r"\s{0,3}(```|~~~)")


def parse(content: bytes, limits: Limits) -> list[Page]:
    """Pages by form feed, and within long stretches at the first blank line after PAGE_CHARS.

    Raises:
        InvalidRequest: TEXT_NOT_UTF8, FILE_TYPE_UNSUPPORTED (binary content), DOCUMENT_EMPTY.
        Quota: DOCUMENT_TOO_LARGE.
    """
    text = decode(content)
    if not text.strip():
        raise refusal("DOCUMENT_EMPTY")
    pages = [Page(number, body.rstrip("\n")) for number, body in enumerate(_bodies(text), start=1)]
    if len(pages) > limits.pages:
        raise refusal("DOCUMENT_TOO_LARGE", f"The text fills {len(pages):,} pages.")
    return pages


def decode(content: bytes) -> str:
    """Text with line feeds alone and without other controls. UTF-8, or UTF-16 with a byte order mark."""
    bom, encoding = next(((b, e) for b, e in _BOMS.items() if content.startswith(b)), (b"", "utf-8"))
    if encoding == "utf-8" and b"\0" in content:
        raise refusal("FILE_TYPE_UNSUPPORTED", "The content is binary, whatever the name says.")
    try:
        text = content[len(bom) :].decode(encoding)
    except UnicodeDecodeError as error:
        at = error.start + len(bom)
        raise refusal("TEXT_NOT_UTF8", f"Byte {at:,} is not valid.", byte_offset=str(at)) from None
    return text.replace("\r\n", "\n").replace("\r", "\n").translate(_CONTROLS)


def _bodies(text: str) -> Iterator[str]:
    for stretch in text.rstrip("\f").split("\f"):
        yield from _pieces(stretch)


def _pieces(stretch: str) -> Iterator[str]:
    """Cuts at blank lines, not inside a fenced block (a heading there is code) unless that has no end."""
    lines: list[str] = []
    length, fenced = 0, False
    for line in _short_lines(stretch):
        blank = not line.strip()
        if (length >= PAGE_CHARS and blank and not fenced) or length + len(line) > MOST_PAGE_CHARS:
            yield "\n".join(lines)
            lines, length = [], 0
        if blank and not lines:
            continue
        fenced ^= bool(_FENCE.match(line))
        lines.append(line)
        length += len(line) + 1
    if lines or not stretch.strip():
        yield "\n".join(lines)


def _short_lines(stretch: str) -> Iterator[str]:
    for line in stretch.split("\n"):
        yield from (line[at : at + MOST_PAGE_CHARS] for at in range(0, len(line) or 1, MOST_PAGE_CHARS))
