"""Markdown and plain text become pages; what is no text is refused with its reason."""

from __future__ import annotations

import codecs
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from services.parser.filetypes import FileType

from services.parser import filetypes, pages, text
from services.parser.documents.limits import DEFAULT_LIMITS, Limits
from services.parser.pages import Artifact, Page
from waybill.runtime.errors import InvalidRequest, Quota, ServiceError


def parse(content: bytes, limits: Limits = DEFAULT_LIMITS) -> list[Page]:
    return list(text.parse([content], limits))


def reason_of(content: bytes, limits: Limits = DEFAULT_LIMITS) -> str:
    with pytest.raises(ServiceError) as caught:
        parse(content, limits)
    return caught.value.reason


def bodies(content: str) -> list[str]:
    return [page.markdown for page in parse(content.encode())]


def test_a_short_text_is_one_page() -> None:
    assert parse(b"# Tides\r\n\r\nThey turn.\r\n") == [Page(1, "# Tides\n\nThey turn.")]


def test_a_form_feed_begins_a_page_and_a_last_one_does_not() -> None:
    assert bodies("one\n\f\ftwo\f") == ["one", "", "two"]


def test_a_long_text_is_cut_at_blank_lines_and_nothing_is_lost() -> None:
    paragraphs = [f"{number} " + "word " * 100 for number in range(40)]
    cut = bodies("\n\n".join(paragraphs))
    assert len(cut) == 7
    assert "\n\n".join(cut).split("\n\n") == paragraphs


def test_a_page_is_not_cut_inside_a_fenced_block() -> None:
    block = "```\n" + "\n\n".join(["code " * 50] * 20) + "\n```"
    assert bodies(f"{block}\n\nafter") == [block, "after"]


def test_text_without_any_blank_line_still_has_pages() -> None:
    cut = bodies("x" * 100_000)
    assert "".join(cut) == "x" * 100_000
    assert max(map(len, cut)) <= text.MOST_PAGE_CHARS


@given(
    st.lists(st.sampled_from(["word ", "é🦊", "\r\n", "\r", "\n\n", "\f", "```\n", "\x1b", "x" * 13_000])),
    st.lists(st.integers(3, 40_000), max_size=6),
)
def test_pages_are_the_same_however_the_content_comes_in_pieces(words: list[str], cuts: list[int]) -> None:
    content = "".join(["word ", *words]).encode()
    borders = [0, *sorted(cuts), len(content)]
    pieces = [content[left:right] for left, right in itertools.pairwise(borders) if left < right]
    assert list(text.parse(pieces, DEFAULT_LIMITS)) == parse(content)


def test_byte_order_marks_tell_the_encoding_and_leave_no_trace() -> None:
    for encoded in ("é".encode("utf-8-sig"), codecs.BOM_UTF16_LE + "é".encode("utf-16-le")):
        assert "".join(text.decode([encoded])) == "é"
    assert "".join(text.decode([codecs.BOM_UTF16_BE + "é".encode("utf-16-be")])) == "é"


def test_invalid_utf8_is_refused_with_the_place_of_the_byte() -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse(b"caf\xe9 au lait")
    assert (caught.value.reason, caught.value.metadata) == ("TEXT_NOT_UTF8", {"byte_offset": "3"})
    with pytest.raises(InvalidRequest) as caught:
        list(text.parse([b"caf\xc3", b"\xa9 ", b"\xe9", b" au lait"], DEFAULT_LIMITS))
    assert caught.value.metadata == {"byte_offset": "6"}


def test_binary_content_behind_a_text_name_is_refused() -> None:
    assert reason_of(b"PK\x03\x04\0\0") == "FILE_TYPE_UNSUPPORTED"


def test_terminal_escapes_do_not_survive() -> None:
    assert bodies("\x1b[31mred\x07\tand \x9bmore") == ["[31mred\tand more"]


def test_white_space_alone_is_an_empty_document() -> None:
    assert reason_of(b" \n\f\n ") == "DOCUMENT_EMPTY"


def test_too_many_pages_are_refused() -> None:
    assert reason_of(b"a\f" * 5, Limits(pages=4)) == "DOCUMENT_TOO_LARGE"
    assert len(parse(b"a\f" * 4, Limits(pages=4))) == 4


@pytest.mark.parametrize(
    ("filename", "head", "expected"),
    [
        ("a.PDF", b"\r\n%PDF-1.4", FileType.PDF),
        ("notes.txt", b"%PDF-1.7", FileType.PDF),
        ("notes.markdown", b"# Hello", FileType.TEXT),
    ],
)
def test_a_pdf_is_told_by_its_bytes_and_text_by_its_name(
    filename: str, head: bytes, expected: FileType
) -> None:
    assert filetypes.by_content(filename, head) is expected


@pytest.mark.parametrize(
    ("filename", "head", "reason"),
    [
        ("a.docx", b"PK", "FILE_TYPE_UNSUPPORTED"),
        ("pdf", b"%PDF-", "FILE_TYPE_UNSUPPORTED"),
        ("a.pdf", b"<html>", "PDF_IS_BROKEN"),
        ("a.pdf", b"", "DOCUMENT_EMPTY"),
    ],
)
def test_other_files_are_refused(filename: str, head: bytes, reason: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        filetypes.by_content(filename, head)
    assert caught.value.reason == reason


def test_an_artifact_gives_back_its_pages_and_holds_one_line_a_page() -> None:
    whole = [Page(1, "line\u2028separator\n"), Page(2, "", truncated=True)]
    with Artifact.open() as artifact:
        artifact.append(Page(1, "of a reading that was cut off"))
        artifact.clear()
        artifact.extend(whole)
        artifact.file.seek(0)
        content = artifact.file.read()
        assert (artifact.pages, artifact.has_text) == (2, True)
    assert content.count(b"\n") == 2
    assert pages.load(content) == whole


def test_the_size_of_a_document_is_bounded_by_quota_errors() -> None:
    with pytest.raises(Quota):
        parse(b"a\fb", Limits(pages=1))
