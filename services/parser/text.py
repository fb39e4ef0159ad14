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
_BOMS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_CONTROLS = {code: None for code in (*range(0x20), *range(0x7F, 0xA0)) if code not in (0x09, 0x0A, 0x0C, 0x85)}
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
    pages = [_page(number, body, limits) for number, body in enumerate(_bodies(text), start=1)]
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
    """Cuts at blank lines, never inside a fenced block: a heading-like line there is code."""
    lines: list[str] = []
    length, fenced = 0, False
    for line in stretch.split("\n"):
        if length >= PAGE_CHARS and not fenced and not line.strip():
            yield "\n".join(lines)
            lines, length = [], 0
            continue
        fenced ^= bool(_FENCE.match(line))
        lines.append(line)
        length += len(line) + 1
    if length or not stretch:
        yield "\n".join(lines)


def _page(number: int, body: str, limits: Limits) -> Page:
    whole = body.strip("\n").encode()
    kept = whole[: limits.page_text_bytes].decode(errors="ignore")
    return Page(number, kept, truncated=len(whole) > limits.page_text_bytes)
