"""Document → pages, in the child: recognises the format, has it read, and keeps every page in bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from services.parser.documents import formats, markdown, text
from services.parser.documents.document import Document, Refused
from services.parser.documents.formats import Reader
from services.parser.documents.limits import Limits
from services.parser.documents.pdf import reader as pdf
from services.parser.pages import Mark, Page

_READERS: dict[Reader, Callable[[Document], Iterator[Page]]] = {
    Reader.PDF: pdf.read,
    Reader.MARKDOWN: markdown.read,
    Reader.TEXT: text.read,
}


def answers(
    document: Document, *, count_only: bool, allow_cpu: Callable[[int], None]
) -> Iterator[dict[str, Any]]:
    """What the child says: {"pages"} where a format counts them, pages…, then {"done"}, or {"refused"}.

    Args:
        document: What is read.
        count_only: Stop after {"pages"}; a format without a count of its own is read all the same.
        allow_cpu: Is told how many pages there are, before any is read.
    """
    try:
        yield from _answers(document, count_only, allow_cpu)
    except Refused as refused:
        yield {"refused": refused.reason, "metadata": refused.metadata}
    except MemoryError:
        yield {"refused": "DOCUMENT_TOO_LARGE", "metadata": {}}
    except Exception as error:  # our bug; the text of the error may be the document's, so it stays here
        yield {"crashed": _place(error)}


def _answers(
    document: Document, count_only: bool, allow_cpu: Callable[[int], None]
) -> Iterator[dict[str, Any]]:
    if not document.size:
        raise Refused("DOCUMENT_EMPTY")
    found = formats.recognise(document.filename, document.head(formats.HEAD_BYTES))
    if found.reader is Reader.PDF:
        pages = pdf.count(document)
        if pages > document.limits.pages:
            raise Refused("DOCUMENT_TOO_LARGE")
        allow_cpu(pages)
        yield {"pages": pages}
        if count_only:
            return
    for page in _bounded(_READERS[found.reader](document), document.limits):
        yield page.row()
    yield {"done": found.name, "encoding": document.encoding, "left_out": document.left_out}


def _bounded(pages: Iterator[Page], limits: Limits) -> Iterator[Page]:
    """Pages whose text is cut where it is too long. Raises Refused DOCUMENT_TOO_LARGE."""
    room = limits.output_bytes
    for number, page in enumerate(pages, start=1):
        kept = _cut(page, limits.page_text_bytes)
        room -= len(kept.markdown)
        if number > limits.pages or room < 0:
            raise Refused("DOCUMENT_TOO_LARGE")
        yield kept


def _cut(page: Page, most_bytes: int) -> Page:
    whole = page.markdown.encode(errors="replace")
    if len(whole) <= most_bytes:
        return page
    text = whole[:most_bytes].decode(errors="ignore")
    blocks = tuple(
        replace(block, end=min(block.end, len(text))) for block in page.blocks if block.start < len(text)
    )
    return replace(page, markdown=text, blocks=blocks).marked(Mark.CUT)


def _place(error: Exception) -> str:
    """An exception's type, and where in our code it was raised: "StopIteration layout.py:144"."""
    place = ""
    step = error.__traceback__
    while step is not None:
        file = step.tb_frame.f_code.co_filename.rpartition("/")[2]
        place = f"{file}:{step.tb_lineno}"
        step = step.tb_next
    return f"{type(error).__name__} {place}"
