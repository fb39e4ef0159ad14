"""Document → pages, in the child: has it recognised and read, and keeps every page in bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from services.parser.documents import (
    books,
    mail,
    markdown,
    notebook,
    office,
    opendocument,
    outlook,
    recognition,
    records,
    restructured,
    rich,
    sheets,
    tables,
    text,
    trees,
    web,
)
from services.parser.documents.document import Document, Refused, place
from services.parser.documents.formats import PDF, Format, Reader
from services.parser.documents.limits import Limits
from services.parser.documents.pdf import reader as pdf
from services.parser.pages import Mark, Page

_READERS: dict[Reader, Callable[[Document], Iterator[Page]]] = {
    Reader.PDF: pdf.read,
    Reader.DOCX: office.read_docx,
    Reader.DOC: office.read_doc,
    Reader.PPTX: office.read_pptx,
    Reader.PPT: office.read_ppt,
    Reader.XLSX: sheets.read_xlsx,
    Reader.XLS: sheets.read_xls,
    Reader.OPENDOCUMENT: opendocument.read,
    Reader.RTF: rich.read,
    Reader.EPUB: books.read,
    Reader.HTML: web.read,
    Reader.MAIL: mail.read,
    Reader.OUTLOOK: outlook.read,
    Reader.NOTEBOOK: notebook.read,
    Reader.TABLE: tables.read,
    Reader.JSON: records.read,
    Reader.JSON_LINES: records.read_lines,
    Reader.XML: trees.read,
    Reader.RST: restructured.read,
    Reader.MARKDOWN: markdown.read,
    Reader.CODE: text.read_code,
    Reader.TEXT: text.read,
}

# Pages whose structure failed that are told to the log.
_MOST_FAILURES = 20


def answers(
    document: Document, *, count_only: bool, allow_cpu: Callable[[int], None]
) -> Iterator[dict[str, Any]]:
    """What the child says: {"pages"} where a format counts them, pages…, then {"done"}, or {"refused"}.

    Args:
        document: What is read.
        count_only: Stop after {"pages"}; a format without a count of its own is read all the same.
        allow_cpu: Is told how many seconds the document may take, before any page is read.
    """
    try:
        yield from _answers(document, count_only, allow_cpu)
    except Refused as refused:
        yield {"refused": refused.reason, "metadata": refused.metadata}
    except MemoryError:
        yield {"refused": "DOCUMENT_TOO_LARGE", "metadata": {}}
    except GeneratorExit:
        raise
    # Our bug, or an engine's panic, which is no Exception. Its text may be the document's and stays here.
    except BaseException as error:
        yield {"crashed": place(error)}


def _answers(
    document: Document, count_only: bool, allow_cpu: Callable[[int], None]
) -> Iterator[dict[str, Any]]:
    if not document.size:
        raise Refused("DOCUMENT_EMPTY")
    limits = document.limits
    allow_cpu(limits.cpu_seconds_for(size=document.size))
    found, pages = _recognised(document)
    if pages:
        if pages > limits.pages:
            raise Refused("DOCUMENT_TOO_LARGE")
        allow_cpu(limits.cpu_seconds_for(pages=pages))
        yield {"pages": pages}
        if count_only:
            return
    for page in _bounded(_READERS[found.reader](document), limits):
        yield page.row()
    yield {
        "done": found.name,
        "encoding": document.encoding,
        "left_out": document.left_out,
        "failures": document.failures[:_MOST_FAILURES],
    }


def _recognised(document: Document) -> tuple[Format, int]:
    """What a document is, and its pages where the format counts them: 0 elsewhere."""
    found = recognition.recognise(document)
    if found is not PDF:
        return found, 0
    try:
        return found, pdf.count(document)
    except Refused as refused:
        if refused.reason != "PDF_IS_BROKEN" or not recognition.may_be_text(document):
            raise
    return recognition.as_text(document), 0


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
