"""What PDFs say of their own structure: outlines and tags, read from whole files; real pages, shaken."""

from __future__ import annotations

import io
import math
from collections import Counter
from functools import cache
from pathlib import Path
from random import Random

import pypdfium2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reportlab.pdfgen.canvas import Canvas

from services.parser.documents.pdf import outline, tags
from services.parser.documents.pdf.layout import Layout
from services.parser.documents.pdf.lines import Line
from services.parser.documents.pdf.page import PageReader
from services.parser.documents.pdf.titles import Title

_HANDBOOK = Path(__file__).parents[2] / "examples/documents/brannock-sound-handbook.pdf"
_PLACES = ("left", "right", "baseline", "size")


def with_outline() -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out, invariant=1)
    for page, (title, level, top) in enumerate([("Tides", 0, 700), ("Ebb – \u05d0", 1, None)], start=1):
        canvas.drawString(72, 690, title)
        canvas.bookmarkPage(str(page), fit="FitH" if top else "Fit", top=top)
        canvas.addOutlineEntry(title, str(page), level)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def pdf(*objects: bytes) -> pypdfium2.PdfDocument:
    """Of numbered objects, from 1, the first the catalog; PDFium finds them without a table of places."""
    numbered = (b"%d 0 obj\n%s\nendobj\n" % each for each in enumerate(objects, start=1))
    return pypdfium2.PdfDocument(b"%PDF-1.7\n" + b"".join(numbered) + b"trailer << /Root 1 0 R >>\n%%EOF\n")


def test_an_outline_gives_titles_by_page_with_level_and_place() -> None:
    found = outline.read(pypdfium2.PdfDocument(with_outline()))
    assert found == {1: [Title("Tides", 1, 700.0)], 2: [Title("Ebb – \u05d0", 2, None)]}


def test_an_outline_that_leads_back_to_itself_ends() -> None:
    looped = pdf(
        b"<< /Type /Catalog /Pages 2 0 R /Outlines 4 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] >>",
        b"<< /First 5 0 R /Last 6 0 R >>",
        b"<< /Title (One) /Parent 4 0 R /Next 6 0 R /First 5 0 R /Dest [3 0 R /XYZ 0 150 0] >>",
        b"<< /Title (Two) /Parent 4 0 R /Next 5 0 R /Dest [3 0 R /XYZ] >>",
    )
    assert {title.text for title in outline.read(looped)[1]} <= {"One", "Two"}


def tagged(kind: bytes, deepest: bytes = b"[7 << /Type /MCR /Pg 3 0 R /MCID 8 >>]") -> pypdfium2.PdfDocument:
    """A page whose marked content 7 and 8 is of a kind, and 9 a paragraph's."""
    return pdf(
        b"<< /Type /Catalog /Pages 2 0 R /MarkInfo << /Marked true >> /StructTreeRoot 4 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 200] /StructParents 0 >>",
        b"<< /Type /StructTreeRoot /K [5 0 R] /RoleMap << /Chapter /H2 >>"
        b" /ParentTree << /Nums [0 [null null null null null null null 6 0 R 6 0 R 7 0 R]] >> >>",
        b"<< /Type /StructElem /S /Sect /P 4 0 R /K [6 0 R 7 0 R] >>",
        b"<< /Type /StructElem /S /" + kind + b" /P 5 0 R /Pg 3 0 R /K " + deepest + b" >>",
        b"<< /Type /StructElem /S /P /P 5 0 R /Pg 3 0 R /K [9] >>",
    )


@pytest.mark.parametrize(("kind", "level"), [(b"H1", 1), (b"H3", 3), (b"Chapter", 2), (b"Title", 1)])
def test_tags_give_the_level_of_marked_content_that_is_a_heading(kind: bytes, level: int) -> None:
    found = tags.headings(tagged(kind)[0])
    assert {mcid: tag.level for mcid, tag in found.items()} == {7: level, 8: level}
    assert len({tag.element for tag in found.values()}) == 1


def test_tags_of_no_heading_and_pages_without_tags_give_nothing() -> None:
    assert tags.headings(tagged(b"P")[0]) == {}
    assert tags.headings(pypdfium2.PdfDocument(with_outline())[0]) == {}


@cache
def handbook() -> list[list[Line]]:
    """The lines of a real document's pages, as the layout gets them."""
    document = pypdfium2.PdfDocument(_HANDBOOK)
    reader = PageReader(document, 65_536)
    return [reader.read(number).lines for number in range(1, len(document) + 1)]


def shaken(lines: list[Line], how: str, random: Random) -> list[Line]:
    """A page with its lines in any order, its x axis turned round, its axes changed, or places lost."""
    match how:
        case "shuffled":
            return random.sample(lines, len(lines))
        case "mirrored":
            changes = [lambda word: word._replace(left=600 - word.right, right=600 - word.left)]
        case "turned":
            changes = [
                lambda word: word._replace(left=word.baseline, right=word.baseline, baseline=word.left)
            ]
        case _:
            changes = [lambda word: word, lambda word: word._replace(**{random.choice(_PLACES): math.nan})]
    return [Line([random.choice(changes)(word) for word in line.words]) for line in lines]


@settings(max_examples=60)
@given(st.sampled_from(["shuffled", "mirrored", "turned", "lost"]), st.integers(0, 1 << 30))
def test_a_real_page_keeps_its_letters_whatever_happens_to_their_places(how: str, seed: int) -> None:
    random = Random(seed)
    pages = [shaken(lines, how, random) for lines in random.sample(handbook(), 4)]
    layout = Layout()
    for lines in pages:
        layout.add_page(lines)
    for page, lines in zip(layout.render(), pages, strict=True):
        assert Counter(filter(str.isalnum, page.markdown)) == Counter(
            char for line in lines for char in line.text if char.isalnum()
        )
