"""Makers of the lines that a page of a PDF holds."""

from __future__ import annotations

from services.parser.documents.pdf.layout import Layout
from services.parser.documents.pdf.lines import Line, Word
from services.parser.documents.pdf.titles import Title
from services.parser.pages import BlockKind, Page

LEFT = 72.0


def line(text: str, baseline: float, *, size: float = 10, bold: bool = False, left: float = LEFT) -> Line:
    """Words of half an em a letter, a third of an em apart."""
    words, x = [], left
    for part in text.split(" "):
        right = x + len(part) * size * 0.5
        words.append(Word(part, x, right, baseline, size, bold))
        x = right + size / 3
    return Line(words)


def row(*cells: tuple[float, str], baseline: float) -> Line:
    return Line([word for left, text in cells for word in line(text, baseline, left=left).words])


def body(first: float, *texts: str) -> list[Line]:
    return [line(text, first - 12 * number) for number, text in enumerate(texts)]


def read(*pages: list[Line], outline: dict[int, list[Title]] | None = None) -> list[Page]:
    layout = Layout(outline or {})
    for page in pages:
        layout.add_page(page)
    return list(layout.render())


def render(*pages: list[Line]) -> list[str]:
    return [page.markdown for page in read(*pages)]


def texts(page: Page, kind: BlockKind) -> list[str]:
    """Of the page's blocks of a kind."""
    return [page.markdown[block.start : block.end] for block in page.blocks if block.kind is kind]


PROSE = body(500, "The water rises twice a day and falls twice a day,", "and nobody has asked it to stop.")
PROSE_TEXT = "The water rises twice a day and falls twice a day, and nobody has asked it to stop."
