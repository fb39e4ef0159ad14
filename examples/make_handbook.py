"""Makes documents/brannock-sound-handbook.pdf from handbook.md, byte for byte the same each time.

handbook.md is Markdown with one line a paragraph: `#` and `##` headings, numbered and dashed lists, tables,
`!figure`, captions that begin with "Table N." or "Figure N.", and `<!-- page -->` where a page begins.
"""

from __future__ import annotations

import html
import io
import re
from itertools import groupby
from pathlib import Path

from reportlab.graphics.shapes import Drawing, Line, Rect, String
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    PageBreak,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
)

SOURCE = Path(__file__).with_name("handbook.md")
TARGET = SOURCE.parent / "documents" / "brannock-sound-handbook.pdf"
PAGE_MARK = "<!-- page -->"
INK, SEA, RULE = HexColor("#1d2b36"), HexColor("#c9dfe8"), HexColor("#9aa7b0")

BODY = ParagraphStyle("body", fontName="Times-Roman", fontSize=11, leading=15.5, spaceAfter=8, textColor=INK)
ITEM = ParagraphStyle("item", BODY, leftIndent=18, bulletIndent=2, bulletFontSize=11, spaceAfter=4)
CAPTION = ParagraphStyle("caption", BODY, fontName="Times-Italic", fontSize=9.5, leading=12, spaceAfter=12)
CELL = ParagraphStyle("cell", BODY, fontName="Helvetica", fontSize=9, leading=12, spaceAfter=0)
HEAD_CELL = ParagraphStyle("head cell", CELL, fontName="Helvetica-Bold")
HEADING = ParagraphStyle("heading", BODY, fontName="Helvetica-Bold", fontSize=20, leading=25, spaceAfter=12)
SUBHEADING = ParagraphStyle("subheading", HEADING, fontSize=14, leading=18, spaceBefore=6, spaceAfter=6)

# The first pattern that matches a line decides its style.
STYLES = (
    (re.compile(r"# (?P<text>.+)"), HEADING),
    (re.compile(r"## (?P<text>.+)"), SUBHEADING),
    (re.compile(r"(?P<bullet>\d+\.|-) (?P<text>.+)"), ITEM),
    (re.compile(r"(?P<text>(Table|Figure) \d+\. .+)"), CAPTION),
    (re.compile(r"(?P<text>.+)"), BODY),
)


def render(source: str) -> bytes:
    """The handbook as a PDF.

    Raises:
        ValueError: what stands between two page marks does not fit on one page.
    """
    buffer = io.BytesIO()
    # Uncompressed, since two builds of zlib need not agree on the bytes.
    document = BaseDocTemplate(
        buffer,
        pagesize=A4,
        title="Brannock Sound Tide Station: handbook",
        author="Brannock Sound Survey",
        creator=Path(__file__).name,
        invariant=1,
        pageCompression=0,
    )
    frame = Frame(28 * mm, 22 * mm, A4[0] - 56 * mm, A4[1] - 44 * mm, 0, 0, 0, 0)
    # At the page's end: readers of the text would else meet the number before the heading.
    document.addPageTemplates(PageTemplate(frames=[frame], onPageEnd=_footer))
    pages = source.split(PAGE_MARK)
    document.build([flowable for page in pages for flowable in (*_flowables(page), PageBreak())])
    if document.page != len(pages):
        raise ValueError(f"{len(pages)} pages are marked, but the text fills {document.page}")
    return buffer.getvalue()


def _flowables(page: str) -> list[Flowable]:
    lines = [line for line in page.splitlines() if line]
    blocks: list[Flowable] = []
    for is_table, group in groupby(lines, key=lambda line: line.startswith("|")):
        members = list(group)
        blocks += _table(members) if is_table else [_block(line) for line in members]
    return blocks


def _block(line: str) -> Flowable:
    if line == "!figure":
        return _stilling_well()
    match, style = next((match, style) for pattern, style in STYLES if (match := pattern.fullmatch(line)))
    bullet = match.groupdict().get("bullet")
    return Paragraph(html.escape(match["text"], quote=False), style, "•" if bullet == "-" else bullet)


def _table(lines: list[str]) -> list[Flowable]:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    cells = [
        [Paragraph(html.escape(text), CELL if index else HEAD_CELL) for text in row]
        for index, row in enumerate(rows)
    ]
    ruled = [("GRID", (0, 0), (-1, -1), 0.5, RULE), ("BACKGROUND", (0, 0), (-1, 0), SEA)]
    return [Table(cells, style=ruled, repeatRows=1), Spacer(0, 6)]


def _stilling_well() -> Drawing:
    """Figure 1, in points from the lower left corner."""
    pipe = {"strokeColor": INK, "strokeWidth": 1.5}
    drawing = Drawing(430, 190, hAlign="CENTER")
    for shape in (
        Rect(0, 10, 60, 165, fillColor=RULE, strokeColor=None),
        Rect(60, 10, 260, 95, fillColor=SEA, strokeColor=None),
        Line(100, 24, 100, 172, **pipe),
        Line(140, 24, 140, 34, **pipe),
        Line(140, 42, 140, 172, **pipe),
        Line(100, 24, 140, 24, **pipe),
        Line(120, 112, 120, 178, strokeColor=INK, strokeWidth=0.7),
        Rect(107, 98, 26, 14, fillColor=INK, strokeColor=None),
        Line(60, 150, 100, 150, **pipe),
        Line(140, 165, 215, 165, **pipe),
        Rect(207, 151, 16, 14, fillColor=INK, strokeColor=None),
    ):
        drawing.add(shape)
    for x, y, text in (
        (12, 90, "Quay"),
        (150, 35, "Inlet, 25 mm"),
        (150, 125, "Pipe, 300 mm"),
        (150, 98, "Float"),
        (232, 154, "Radar sensor"),
        (250, 88, "Open water"),
    ):
        drawing.add(String(x, y, text, fontName="Helvetica", fontSize=8.5, fillColor=INK))
    return drawing


def _footer(canvas: Canvas, document: BaseDocTemplate) -> None:
    canvas.setFont("Helvetica", 8)
    canvas.setFillColor(INK)
    canvas.drawCentredString(A4[0] / 2, 12 * mm, str(document.page))


if __name__ == "__main__":
    TARGET.write_bytes(render(SOURCE.read_text(encoding="utf-8")))
