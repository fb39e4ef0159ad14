"""A file is what its content is, whatever its name says; what is not read says why."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from services.parser.documents import formats, ole
from services.parser.documents.formats import FORMATS
from services.parser.documents.limits import DEFAULT_LIMITS
from services.parser.documents.sandbox import Sandbox
from tests import office_files as made
from tests.ole_files import compound, locked, locked_xls
from tests.reading import read, refused


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox.open(DEFAULT_LIMITS, 1) as sandbox:
        yield sandbox


pytestmark = pytest.mark.asyncio(loop_scope="module")


RTF, DOCX = rb"{\rtf1 x}", made.docx(made.paragraph("x"))


@pytest.mark.parametrize(
    ("filename", "content", "found"),
    [
        ("a.txt", b"<!doctype html><html><p>x</p>", "text"),
        ("a.md", b"# About\n\n%PDF-1.7 begins a PDF.", "markdown"),
        ("README", b"%PDF-1.7 is how a PDF begins.", "text"),
        ("page", b"<!-- saved --><!DOCTYPE html><html><p>x</p>", "html"),
        ("a.doc", RTF, "rtf"),
        ("a.xls", b"<html><table><tr><td>x</td></tr></table></html>", "html"),
        ("a.pdf", DOCX, "docx"),
        ("a.docx", RTF, "rtf"),
        ("data", b'<?xml version="1.0"?><a>x</a>', "xml"),
        ("letter", b"From: a@example.org\nMessage-ID: <1@example.org>\n\nHello", "eml"),
        ("MAKEFILE.TXT", b"MZ is no program here", "text"),
        ("run.PY", b"print()\n", "code"),
    ],
)
async def test_a_file_is_what_its_content_is(
    sandbox: Sandbox, filename: str, content: bytes, found: str
) -> None:
    _, reading = await read(sandbox, content, filename)
    assert reading.format == found


EVERYBODYS = "VelvetSweatshop"
HERONS = made.xlsx({"Locks": "".join(made.sheet_row(row, f"grey heron {row}") for row in range(1, 1_000))})
OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
WORKBOOK = {"Workbook": b"\0" * 4096}
SLIDES = {"PowerPoint Document": b"\0" * 4096}


@pytest.mark.parametrize(
    ("filename", "content", "reason", "says"),
    [
        ("a.zip", made.archive({"a.txt": "x"}), "FILE_TYPE_UNSUPPORTED", "a ZIP archive"),
        ("a.docx", b"\x89PNG\r\n\x1a\n\0\0", "FILE_TYPE_UNSUPPORTED", "an image"),
        ("a", b"\x7fELF\2\1\1\0", "FILE_TYPE_UNSUPPORTED", "a program"),
        ("a.gz", b"\x1f\x8b\x08\0", "FILE_TYPE_UNSUPPORTED", "a gzip archive"),
        ("a", compound({"Quill": b""}), "FILE_TYPE_UNSUPPORTED", "an OLE file of another program"),
        ("a.doc", OLE + b"\0" * 2_000, "FILE_IS_BROKEN", "cannot be opened"),
        ("a.vsd", compound({"VisioDocument": b""}), "FILE_TYPE_UNSUPPORTED", "a Visio file"),
        ("a.ppt", compound({"PP40": b""}), "FILE_TYPE_UNSUPPORTED", "a PowerPoint 95 file"),
        (
            "a.ppt",
            compound({**SLIDES, "Current User": b"\x0b\0\0\0Daniel Noll"}),
            "FILE_TYPE_UNSUPPORTED",
            "a PowerPoint 95 file",
        ),
        ("a.xls", b"\t\4\6\0\0\0\x10\0" * 9, "FILE_TYPE_UNSUPPORTED", "an Excel 4 file"),
        ("a.doc", b"\xdb\xa5-\0" * 9, "FILE_TYPE_UNSUPPORTED", "a Word 2 file"),
        ("a.xlsx", locked(HERONS, "another"), "FILE_IS_PROTECTED", "password"),
        ("a.xls", locked_xls("grey heron", "another"), "FILE_IS_PROTECTED", "password"),
        ("a.odt", made.opendocument("text", "", encrypted=True), "FILE_IS_PROTECTED", "password"),
        ("a.docx", b"\0\1\2\3" * 100, "FILE_IS_BROKEN", "cannot be opened"),
        ("a.docx", DOCX[:200], "FILE_IS_BROKEN", "cannot be opened"),
        ("a.pdf", b"\0\1\2\3" * 100, "PDF_IS_BROKEN", "cannot be opened"),
        ("a.docx", b"", "DOCUMENT_EMPTY", "no text"),
    ],
)
async def test_what_is_not_read_says_why(
    sandbox: Sandbox, filename: str, content: bytes, reason: str, says: str
) -> None:
    error = await refused(sandbox, content, filename)
    assert error.reason == reason
    assert says in error.message


async def test_each_suffix_belongs_to_one_format_and_each_format_has_its_name() -> None:
    suffixes = [suffix for each in FORMATS for suffix in each.suffixes]
    assert len(set(suffixes)) == len(suffixes)
    assert len({each.name for each in FORMATS}) == len(FORMATS)


@pytest.mark.parametrize(
    ("filename", "content", "found"),
    [
        ("a.xlsx", locked(HERONS, EVERYBODYS), "xlsx"),
        ("a.xls", locked_xls("grey heron", EVERYBODYS), "xls"),
    ],
)
async def test_a_workbook_that_excel_opens_without_a_password_is_read(
    sandbox: Sandbox, filename: str, content: bytes, found: str
) -> None:
    (page,), reading = await read(sandbox, content, filename)
    assert reading.format == found
    assert "grey heron" in page.markdown


async def test_an_ole_file_is_what_its_own_streams_are_and_no_object_in_it() -> None:
    assert ole.kind(compound(WORKBOOK, folder="MBD0", inner=b"\0" * 4096)) is formats.XLS
    assert ole.kind(compound({"WORKBOOK": b"\0" * 4096})) is formats.XLS
