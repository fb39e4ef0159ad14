"""Files that mean harm, of each kind but PDF: a reason or their text, and the next document is read."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from services.parser.documents.limits import Limits
from services.parser.documents.sandbox import Sandbox
from services.parser.pages import Mark
from tests import office_files as made
from tests.reading import pages, read, refused

# Below the usual, so that what grows without end is stopped sooner.
TIGHT = Limits(memory_bytes=1 << 28, cpu_seconds=2, cpu_seconds_per_megabyte=0)
HARMLESS = made.docx(made.paragraph("harmless"))
ENTITIES = "".join(f'<!ENTITY a{at} "{f"&a{at - 1};" * 10}">' for at in range(1, 10))
LAUGHS = f'<!DOCTYPE x [<!ENTITY a0 "lol">{ENTITIES}]>'
FETCHES = '<!DOCTYPE x [<!ENTITY a9 SYSTEM "file:///etc/passwd">]>'
DEPTH = 30_000

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox.open(TIGHT, 1) as sandbox:
        yield sandbox


def changed(archive: bytes, name: str, change: Callable[[bytes], bytes]) -> bytes:
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        members = {each: file.read(each) for each in file.namelist()}
    return made.archive({**members, name: change(members[name])})


def with_entities(archive: bytes, name: str, declarations: str) -> bytes:
    def change(content: bytes) -> bytes:
        return declarations.encode() + content.replace(b"harmless", b"&a9; text")

    return changed(archive, name, change)


def odt(text: str = "harmless") -> bytes:
    return made.opendocument("text", f"<text:p>{text}</text:p>")


def swollen(archive: bytes, name: str, size: int = 600_000_000) -> bytes:
    """The archive with a member that unpacks to so much, packed a thousandfold."""
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        out = io.BytesIO(made.archive({each: file.read(each) for each in file.namelist() if each != name}))
    blank = b" " * 10_000_000
    with (
        zipfile.ZipFile(out, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as file,
        file.open(name, "w") as member,
    ):
        for _ in range(size // len(blank)):
            member.write(blank)
    return out.getvalue()


def damaged(archive: bytes, name: str) -> bytes:
    """The checksum of a member is another's."""
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        checksum = zlib.crc32(file.read(name)).to_bytes(4, "little")
    return archive.replace(checksum, bytes(4))


def locked(archive: bytes) -> bytes:
    """Each member says that it is encrypted."""
    return archive.replace(b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01")


def many_paragraphs(times: int = 500_000) -> bytes:
    return changed(HARMLESS, "word/document.xml", lambda content: content.replace(
        b"<w:body>", b"<w:body>" + made.paragraph("words of a paragraph").encode() * times
    ))  # fmt: skip


def nested_word_tables(depth: int = 10_000) -> bytes:
    begin, end = "<w:tbl><w:tr><w:tc>" * depth, "</w:tc></w:tr></w:tbl>" * depth
    return made.docx(begin + made.paragraph("deep") + end)


def repeated_cells() -> bytes:
    cell = '<table:table-cell table:number-columns-repeated="16384"><text:p>x</text:p></table:table-cell>'
    row = f'<table:table-row table:number-rows-repeated="1048576">{cell}</table:table-row>'
    return made.opendocument("spreadsheet", f'<table:table table:name="x">{row * 3_000}</table:table>')


@pytest.mark.parametrize(
    ("filename", "make", "reason"),
    [
        ("a.docx", lambda: swollen(HARMLESS, "word/document.xml"), "DOCUMENT_TOO_LARGE"),
        ("a.odt", lambda: swollen(odt(), "content.xml"), "DOCUMENT_TOO_LARGE"),
        ("a.docx", many_paragraphs, "DOCUMENT_TOO_LARGE"),
        ("a.ods", repeated_cells, "DOCUMENT_TOO_LARGE"),
        ("a.xml", lambda: f"{LAUGHS}<x>&a9;</x>".encode(), "DOCUMENT_TOO_LARGE"),
        ("a.odt", lambda: with_entities(odt(), "content.xml", LAUGHS), "DOCUMENT_TOO_LARGE"),
        ("a.html", lambda: b"<!--" * 300_000, "DOCUMENT_TOO_LARGE"),
        ("a.eml", lambda: b"From: a\n" + b"Content-Type: message/rfc822\n\n" * 3_000, "FILE_IS_BROKEN"),
        ("a.ipynb", lambda: b"[" * DEPTH, "FILE_IS_BROKEN"),
        ("a.odt", lambda: damaged(odt("x" * 1_000), "content.xml"), "FILE_IS_BROKEN"),
        ("a.docx", lambda: HARMLESS[: len(HARMLESS) // 2], "FILE_IS_BROKEN"),
        ("a.epub", lambda: made.epub({"a": "x"})[:-50], "FILE_IS_BROKEN"),
        ("a.epub", lambda: made.epub({"a": "x"}, spine=["b"]), "FILE_IS_BROKEN"),
        (
            "a.epub",
            lambda: made.epub({"a": "x"}, encryption='<e><CipherReference URI="book/a"/></e>'),
            "FILE_IS_PROTECTED",
        ),
        ("a.odt", lambda: locked(odt()), "FILE_IS_PROTECTED"),
        ("a.docx", lambda: locked(HARMLESS), "FILE_IS_PROTECTED"),
        (
            "a.zip",
            lambda: made.archive({"inner.zip": made.archive({"inner.zip": HARMLESS})}),
            "FILE_TYPE_UNSUPPORTED",
        ),
    ],
)
async def test_a_hostile_file_gets_its_reason_and_the_next_document_is_read(
    sandbox: Sandbox, filename: str, make: Callable[[], bytes], reason: str
) -> None:
    assert (await refused(sandbox, make(), filename)).reason == reason
    (page,) = await pages(sandbox, HARMLESS, "a.docx")
    assert page.markdown == "harmless"


@pytest.mark.parametrize(
    ("filename", "content"),
    [
        ("a.html", b"<div>" * DEPTH + b"deep" + b"</div>" * DEPTH),
        ("a.html", b"<ul><li>" * DEPTH + b"deep"),
        ("a.html", b"<table><tr><td>" * DEPTH + b"deep"),
        ("a.xml", b"<a>" * DEPTH + b"deep" + b"</a>" * DEPTH),
        ("a.odt", odt("<text:span>" * DEPTH + "deep" + "</text:span>" * DEPTH)),
        ("a.rtf", rb"{\rtf1 " + b"{" * DEPTH + b"deep" + b"}" * DEPTH),
        ("a.json", b"[" * DEPTH + b'"deep"' + b"]" * DEPTH),
        ("a.jsonl", b"[" * DEPTH + b'"deep"' + b"]" * DEPTH),
    ],
)
async def test_text_is_read_however_deep_it_stands(sandbox: Sandbox, filename: str, content: bytes) -> None:
    assert "deep" in "".join(page.markdown for page in await pages(sandbox, content, filename))


async def test_what_the_engine_leaves_out_for_its_depth_is_told(sandbox: Sandbox) -> None:
    (page,) = await pages(sandbox, nested_word_tables(), "a.docx")
    assert page.marks == (Mark.CUT,)


@pytest.mark.parametrize(
    ("filename", "content"),
    [
        ("a.xml", f"{FETCHES}<x>&a9; text</x>".encode()),
        ("a.odt", with_entities(odt(), "content.xml", FETCHES)),
        ("a.docx", with_entities(HARMLESS, "word/document.xml", FETCHES)),
    ],
)
async def test_no_external_entity_is_fetched(sandbox: Sandbox, filename: str, content: bytes) -> None:
    (page,) = await pages(sandbox, content, filename)
    assert page.markdown.endswith(" text")
    assert "root:" not in page.markdown


async def test_a_field_and_a_formula_that_start_programs_are_only_text(sandbox: Sandbox) -> None:
    begin, split, end = (
        f'<w:r><w:fldChar w:fldCharType="{kind}"/></w:r>' for kind in ("begin", "separate", "end")
    )
    code = "<w:r><w:instrText>DDEAUTO c:\\\\cmd.exe</w:instrText></w:r>"
    (page,) = await pages(
        sandbox, made.docx(f"<w:p>{begin}{code}{split}{made.run('shown')}{end}</w:p>"), "a.docx"
    )
    assert page.markdown == "shown"
    (page,) = await pages(sandbox, b"a,b\n=cmd|'/C calc'!A0,1\n", "a.csv")
    assert page.markdown.endswith("| =cmd\\|'/C calc'!A0 | 1 |")


async def test_a_member_s_name_leads_to_no_file(sandbox: Sandbox) -> None:
    book = made.epub(
        {"../../../../etc/passwd": "x", "a": "<p>chapter</p>"}, spine=["../../../../etc/passwd", "a"]
    )
    pages_read, _ = await read(sandbox, book, "a.epub")
    assert pages_read[-1].markdown == "chapter"
    assert not any("root:" in page.markdown for page in pages_read)


async def test_cells_that_cover_more_than_there_is_make_no_text(sandbox: Sandbox) -> None:
    rows = made.row("a", "b", span=100_000_000) * 20
    (page,) = await pages(sandbox, made.docx(f"<w:tbl>{rows}</w:tbl>"), "a.docx")
    assert page.markdown == "\n".join(["| a | b |", "| --- | --- |", *["| a | b |"] * 19])
    far = '<row r="1048576"><c r="XFD1048576" t="inlineStr"><is><t>far</t></is></c></row>'
    (page,) = await pages(sandbox, made.xlsx({"x": made.sheet_row(1, "1") + far}), "a.xlsx")
    assert page.markdown == "## x\n\n| 1 |  |\n| --- | --- |\n|  | far |"


@pytest.mark.parametrize("begin", [b"<![", b"<!", b"<?", b"<![if !vml]>", b"</", b"&#x", b"&#99999999999;"])
async def test_markup_that_goes_wrong_does_not_end_a_web_page(sandbox: Sandbox, begin: bytes) -> None:
    (page,) = await pages(sandbox, b"<p>before</p>" + begin + b"<p>after</p>", "a.html")
    assert page.markdown.startswith("before")
