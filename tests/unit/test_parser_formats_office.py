"""Office documents and books give their text, headings, tables, lists, notes; a slide, a sheet is a page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from io import BytesIO
from zipfile import ZipFile

import pytest
import pytest_asyncio

from services.parser.documents.limits import DEFAULT_LIMITS
from services.parser.documents.sandbox import Sandbox
from services.parser.pages import BlockKind
from tests import office_files as made
from tests.reading import of_kind, outline, pages, read


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox.open(DEFAULT_LIMITS, 1) as sandbox:
        yield sandbox


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_word_document_has_headings_by_style_in_any_language(sandbox: Sandbox) -> None:
    style = '<w:style w:type="paragraph" w:styleId="berschrift2"><w:name w:val="heading 2"/></w:style>'
    body = made.paragraph("Lanes", "berschrift2") + made.paragraph("Deep", more='<w:outlineLvl w:val="2"/>')
    (page,) = await pages(sandbox, made.docx(body, styles=style), "a.docx")
    assert outline(page) == [(2, "Lanes"), (3, "Deep")]


async def test_a_word_document_keeps_what_stands_beside_its_text(sandbox: Sandbox) -> None:
    note = '<w:r><w:footnoteReference w:id="2"/></w:r><w:r><w:commentReference w:id="0"/></w:r>'
    content = made.docx(
        f"<w:p>{made.run('Opened in May')}{note}</w:p>",
        footnotes=f'<w:footnote w:id="2">{made.paragraph("By the master.")}</w:footnote>',
        comments=f'<w:comment w:id="0" w:author="Ann">{made.paragraph("Is that so?")}</w:comment>',
        header=made.paragraph("Pump station 4"),
    )
    (page,) = await pages(sandbox, content, "a.docx")
    assert of_kind(page, BlockKind.TEXT) == [
        "Opened in May[^2]", "[^2]: By the master.", "Comment (Ann): Is that so?"
    ]  # fmt: skip
    assert of_kind(page, BlockKind.OMITTED) == ["Pump station 4"]


async def test_tracked_changes_are_read_as_accepted(sandbox: Sandbox) -> None:
    deleted = '<w:del w:id="2"><w:r><w:delText>old </w:delText></w:r></w:del>'
    change = f'<w:ins w:id="1">{made.run("new ")}</w:ins>{deleted}'
    moved = f"<w:moveFrom>{made.run('here ')}</w:moveFrom><w:moveTo>{made.run('there ')}</w:moveTo>"
    (page,) = await pages(sandbox, made.docx(f"<w:p>{change}{moved}{made.run('text')}</w:p>"), "a.docx")
    assert page.markdown == "new there text"


async def test_an_exponent_does_not_join_the_figure_before_it(sandbox: Sandbox) -> None:
    raised = '<w:r><w:rPr><w:vertAlign w:val="superscript"/></w:rPr><w:t>{}</w:t></w:r>'
    body = f"<w:p>{made.run('10')}{raised.format(6)}{made.run(' on the 1')}{raised.format('st')}</w:p>"
    (page,) = await pages(sandbox, made.docx(body), "a.docx")
    assert page.markdown == "10^6 on the 1st"


async def test_text_is_not_taken_for_markup_and_tabs_part_words(sandbox: Sandbox) -> None:
    body = (
        made.paragraph("5 * 3 and &lt;tag&gt; [x]") + "<w:p><w:r><w:t>a</w:t><w:tab/><w:t>b</w:t></w:r></w:p>"
    )
    (page,) = await pages(sandbox, made.docx(body), "a.docx")
    assert page.markdown == "5 * 3 and <tag> [x]\n\na\tb"


async def test_a_merged_cell_is_read_once_and_its_table_has_its_header(sandbox: Sandbox) -> None:
    rows = made.row("Part *", "Price | each") + made.row("for all valves", span=2) + made.row("V-1", "4")
    (page,) = await pages(sandbox, made.docx(f"<w:tbl>{rows}</w:tbl>"), "a.docx")
    (table,) = page.blocks
    assert table.lead == "| Part * | Price \\| each |\n| --- | --- |"
    assert page.markdown == f"{table.lead}\n| for all valves |  |\n| V-1 | 4 |"


async def test_a_slide_is_a_page_with_its_notes(sandbox: Sandbox) -> None:
    content = made.pptx(("Rain", "81 mm in April", "Say it slowly"), ("", "", ""), ("Money", "None", ""))
    first, blank, last = await pages(sandbox, content, "a.pptx")
    assert outline(first) == [(2, "Rain"), (3, "Notes")]
    assert of_kind(first, BlockKind.TEXT) == ["81 mm in April", "Say it slowly"]
    assert (blank.page, blank.markdown) == (2, "")
    assert (last.page, outline(last)) == (3, [(2, "Money")])


async def test_a_sheet_is_a_page_with_its_title_and_values_as_they_are_shown(sandbox: Sandbox) -> None:
    formats = '<cellXfs count="3"><xf numFmtId="0"/><xf numFmtId="10"/><xf numFmtId="21"/></cellXfs>'
    rain = (
        made.sheet_row(1, "Month", "Rain")
        + made.sheet_row(2, "0.125", "=40+41:81")
        + made.sheet_row(3, "x", "=1+2")
    )
    share = made.sheet_row(1, "0.125", style=1) + made.sheet_row(2, "0.3784722222222222", "at", style=2)
    content = made.xlsx({"Rain": rain, "Share": share}, formats)
    first, second = await pages(sandbox, content, "a.xlsx")
    assert first.markdown == "## Rain\n\n| Month | Rain |\n| --- | --- |\n| 0.125 | 81 |\n| x | =1+2 |"
    assert second.markdown == "## Share\n\n| 12.50% |  |\n| --- | --- |\n| 09:05:00 | at |"


async def test_a_sheet_of_more_rows_than_the_engine_shows_as_a_tree_is_whole(sandbox: Sandbox) -> None:
    rows = "".join(made.sheet_row(at, f"name {at}", str(at)) for at in range(1, 12_001))
    first, *others = await pages(sandbox, made.xlsx({"Long": rows}), "a.xlsx")
    assert outline(first) == [(2, "Long")]
    assert all(
        page.blocks[0].continued and page.blocks[0].lead.startswith("| name 1 | 1 |") for page in others
    )
    assert others[-1].markdown.endswith("| name 12000 | 12000 |")


@pytest.mark.parametrize(
    ("kind", "suffix"), [("text", "odt"), ("spreadsheet", "ods"), ("presentation", "odp")]
)
async def test_an_opendocument_file_is_told_by_its_own_name(sandbox: Sandbox, kind: str, suffix: str) -> None:
    _, reading = await read(sandbox, made.opendocument(kind, ""), "renamed.zip")
    assert reading.format == suffix


async def test_an_opendocument_text_has_headings_lists_tables_and_notes(sandbox: Sandbox) -> None:
    cells = "".join(f"<table:table-cell><text:p>{text}</text:p></table:table-cell>" for text in ("a", "b"))
    note = (
        "<text:note-citation>1</text:note-citation><text:note-body><text:p>Below.</text:p></text:note-body>"
    )
    points = "".join(
        f"<text:list-item><text:p>{text}</text:p></text:list-item>" for text in ("first", "second")
    )
    body = (
        "<text:tracked-changes><text:p>deleted</text:p></text:tracked-changes>"
        '<text:h text:outline-level="2">Lanes</text:h>'
        f"<text:p>One<text:tab/>two<text:note>{note}</text:note></text:p><text:list>{points}</text:list>"
        f"<table:table><table:table-row>{cells}</table:table-row></table:table>"
    )
    header = "<style:header><text:p>Pump station 4</text:p></style:header>"
    (page,) = await pages(sandbox, made.opendocument("text", body, styles=header), "a.odt")
    assert page.markdown == (
        "## Lanes\n\nOne\ttwo[^1]\n\n- first\n- second\n\n| a | b |\n| --- | --- |\n\n[^1]: Below."
        "\n\nPump station 4"
    )
    assert of_kind(page, BlockKind.OMITTED) == ["Pump station 4"]


async def test_an_opendocument_sheet_and_slide_are_pages(sandbox: Sandbox) -> None:
    cell = '<table:table-cell table:number-columns-repeated="{}">{}</table:table-cell>'
    cells = cell.format(2, "") + cell.format(1, "<text:p>4,50 €</text:p>") + cell.format(16_000, "")
    table = f'<table:table table:name="Fees"><table:table-row>{cells}</table:table-row></table:table>'
    (sheet,) = await pages(sandbox, made.opendocument("spreadsheet", table), "a.ods")
    assert sheet.markdown == "## Fees\n\n| 4,50 € |\n| --- |"
    slide = (
        '<draw:page><draw:frame presentation:class="title"><text:p>{0}</text:p></draw:frame>'
        "<presentation:notes><text:p>Say {0}</text:p></presentation:notes></draw:page>"
    )
    slides = await pages(
        sandbox, made.opendocument("presentation", slide.format("A") + slide.format("B")), "a.odp"
    )
    assert [page.markdown for page in slides] == ["## A\n\nNote: Say A", "## B\n\nNote: Say B"]


async def test_a_chapter_of_a_book_is_a_page_in_the_order_of_reading(sandbox: Sandbox) -> None:
    chapters = {"b.xhtml": "<h1>Second</h1>", "a.xhtml": "<h1>First</h1><p>Once.</p>"}
    first, second = await pages(sandbox, made.epub(chapters, spine=["a.xhtml", "b.xhtml"]), "a.epub")
    assert (first.markdown, second.markdown) == ("# First\n\nOnce.", "# Second")


async def test_a_book_that_was_packed_with_its_folder_is_a_book(sandbox: Sandbox) -> None:
    with ZipFile(BytesIO(made.epub({"a.xhtml": "<h1>First</h1>"}))) as book:
        members = {f"epub/{name}": book.read(name) for name in book.namelist() if name != "mimetype"}
    (page,) = await pages(sandbox, made.archive(members), "a.epub")
    assert page.markdown == "# First"
