"""What the engine of Office's formats would lose is written another way before it reads a file."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from services.parser.documents.limits import DEFAULT_LIMITS
from services.parser.documents.sandbox import Sandbox
from tests import office_files as made
from tests.reading import pages

pytestmark = pytest.mark.asyncio(loop_scope="module")

SHEET = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
DRAWING = (
    'xmlns:xdr="http://schemas.openxmlformats.org/drawingml/2006/spreadsheetDrawing" '
    'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox.open(DEFAULT_LIMITS, 1) as sandbox:
        yield sandbox


async def test_a_word_with_a_reading_set_above_it_is_a_word(sandbox: Sandbox) -> None:
    reading = f"<w:rt>{made.run('とうきょう')}</w:rt><w:rubyBase>{made.run('東京')}</w:rubyBase>"
    ruby = f"<w:r><w:ruby><w:rubyPr/>{reading}</w:ruby></w:r>"
    body = f"<w:p>{made.run('駅は')}{ruby}{made.run('です')}</w:p>"
    (page,) = await pages(sandbox, made.docx(body), "a.docx")
    assert page.markdown == "駅は東京です"


async def test_a_sign_that_word_draws_in_one_of_two_ways_is_a_sign(sandbox: Sandbox) -> None:
    choice = '<mc:Choice Requires="w16se"><w16se:symEx w16se:font="Apple" w16se:char="1F600"/></mc:Choice>'
    sign = f"<mc:AlternateContent>{choice}<mc:Fallback><w:t>😀</w:t></mc:Fallback></mc:AlternateContent>"
    body = f"<w:p>{made.run('open ')}<w:r>{sign}</w:r>{made.run(' now')}</w:p>"
    (page,) = await pages(sandbox, made.docx(body), "a.docx")
    assert page.markdown == "open 😀 now"


async def test_words_of_a_workbook_s_comments_and_shapes_stand_apart(sandbox: Sandbox) -> None:
    runs = (
        "<r><t>Author:</t></r><r><rPr><b/></rPr><t xml:space='preserve'>\nclosed </t></r><r><t>today</t></r>"
    )
    lines = ("<a:t>this is</a:t></a:r><a:r><a:t> a box</a:t>", "<a:t>two</a:t>")
    body = "".join(f"<a:p><a:r>{line}</a:r></a:p>" for line in lines)
    shape = f"<xdr:sp><xdr:txBody><a:bodyPr/>{body}</xdr:txBody></xdr:sp>"
    anchor = f"<xdr:twoCellAnchor>{shape}</xdr:twoCellAnchor>"
    book = made.xlsx({"Locks": made.sheet_row(1, "4")})
    file = made.with_members(
        book,
        {
            "xl/worksheets/_rels/sheet1.xml.rels": made.relations(
                {"comments": "../comments1.xml", "drawing": "../drawings/drawing1.xml"}
            ),
            "xl/comments1.xml": f"<comments {SHEET}><authors><author>A</author></authors><commentList>"
            f'<comment ref="A1" authorId="0"><text>{runs}</text></comment></commentList></comments>',
            "xl/drawings/drawing1.xml": f"<xdr:wsDr {DRAWING}>{anchor}</xdr:wsDr>",
        },
    )
    (page,) = await pages(sandbox, file, "a.xlsx")
    assert "Author: closed today" in page.markdown.replace("\n", " ")
    assert "this is a box\ntwo" in page.markdown


async def test_a_package_whose_types_are_set_on_several_lines_is_read(sandbox: Sandbox) -> None:
    file = made.docx(made.paragraph("Lane 4"))
    types = made.member(file, "[Content_Types].xml").replace(b"ContentType=", b"ContentType=\n ")
    (page,) = await pages(sandbox, made.with_members(file, {"[Content_Types].xml": types}), "a.docx")
    assert page.markdown == "Lane 4"
