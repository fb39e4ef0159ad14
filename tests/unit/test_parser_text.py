"""Plain text and source code become pages with blocks."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.parser.documents import paging, text
from services.parser.documents.limits import Limits
from services.parser.documents.plain import plain
from services.parser.pages import BlockKind
from tests.reading import of_kind, outline
from tests.text_files import blocks_of, page_of, pages_of, read


def bodies(content: str) -> list[str]:
    return [page.markdown for page in pages_of(text.read, content)]


def kept(*pieces: str) -> str:
    return "".join(plain(pieces))


def test_a_short_text_is_one_page_of_paragraphs() -> None:
    page = page_of(text.read, "They turn.\r\nTwice.\r\n \r\n\r\n  Then not.\r\n")
    assert blocks_of(page) == [("text", "They turn.\nTwice."), ("text", "  Then not.")]


def test_a_form_feed_begins_a_page_and_a_last_one_does_not() -> None:
    assert bodies("one\n\f\ftwo\f") == ["one", "", "two"]
    assert bodies("\fone") == ["", "one"]


def test_white_space_alone_has_no_page() -> None:
    assert bodies(" \n\f\n ") == []


def test_a_long_text_is_cut_between_paragraphs_and_nothing_is_lost() -> None:
    paragraphs = [f"{number} " + "word " * 100 + "end" for number in range(40)]
    cut = bodies("\n\n".join(paragraphs))
    assert len(cut) == 7
    assert "\n\n".join(cut).split("\n\n") == paragraphs


def test_text_without_any_blank_line_still_has_pages() -> None:
    cut = bodies("x" * 100_000)
    assert "".join(cut) == "x" * 100_000
    assert max(map(len, cut)) <= paging.MOST_PAGE_CHARS


def test_a_page_that_is_full_of_lines_ends_with_a_line_and_the_next_says_that_it_goes_on() -> None:
    pages = pages_of(text.read, "one line of a log\n" * 1_000)
    assert all(page.markdown.endswith("log") for page in pages)
    assert [page.blocks[0].continued for page in pages] == [False, True]


def test_a_text_of_more_pages_than_allowed_has_longer_pages() -> None:
    pages, _ = read(text.read, ("word " * 100 + "\n\n") * 200, Limits(pages=10))
    assert len(pages) <= 10


@given(
    st.lists(
        st.sampled_from(["word ", "é🦊", "\r\n", "\r", "\n\n", "e\u0301", "\x1b[1m", "a\bb", "x" * 9_000])
    ),
    st.lists(st.integers(0, 4_000), max_size=6),
)
def test_text_is_the_same_however_it_comes_in_pieces(words: list[str], cuts: list[int]) -> None:
    content = "".join(words)
    borders = sorted({0, len(content), *(cut for cut in cuts if cut < len(content))})
    assert kept(*(content[left:right] for left, right in itertools.pairwise(borders))) == kept(content)


def test_no_control_joins_words() -> None:
    assert kept("one\x0btwo\x85three\u2028four\u2029five") == "one\ntwo\nthree\nfour\nfive"
    assert kept("a\0b\x1cc\x1dd\x1ee\x1ff\x07g\x9bh") == "a b c d e f g h"


def test_colours_and_letters_struck_twice_leave_the_text() -> None:
    assert kept("\x1b[1;31mred\x1b[0m N\bNA\bAM\bME _\bx") == "red NAME x"


def test_text_is_composed_and_marks_inside_it_are_dropped() -> None:
    assert kept("the\u0301a\u0302tre \ufeffAngstro\u0308m") == "théâtre Angström"


def test_underlined_lines_are_titles_by_order_of_their_lines() -> None:
    content = (
        "=====\nPumps\n=====\n\nintro\n\nCold start\n----------\nat once below\n\nSub\n~~~\n\nHot\n---\n"
    )
    page = page_of(text.read, content)
    assert outline(page) == [(1, "Pumps"), (2, "Cold start"), (3, "Sub"), (2, "Hot")]
    assert of_kind(page, BlockKind.TEXT) == ["intro", "at once below"]


def test_a_marked_line_is_a_title_where_it_stands_alone() -> None:
    page = page_of(text.read, "## C#\n\n# not one\nof these\n\n    # nor this\n\n#nor that\n")
    assert outline(page) == [(2, "C#")]


@pytest.mark.parametrize(
    "content",
    [
        "Name   Age\n----------\nAnn     44",
        "Name\tAge\n----------\nAnn\t44",
        "a | b\n-----\n1 | 2",
        " count\n-------\n    42",
        "+----+\n| ab |\n+----+",
        "a line of text\nand another\n-----------",
        "-----\n-----",
        "longer than its line\n----",
        "----- -----\na     b\n----- -----",
    ],
)
def test_tables_and_rules_are_no_titles(content: str) -> None:
    assert blocks_of(page_of(text.read, content)) == [("text", content)]


def test_source_code_is_cut_at_the_margin_and_its_comments_are_no_titles() -> None:
    code = "# Title\n\ndef one():\n    a = 1\n\n    return a\n\n\n# Two\n# ---\nx = 2"
    page = page_of(text.read_code, code)
    assert page.markdown == code
    assert blocks_of(page) == [
        ("code", "# Title"),
        ("code", "def one():\n    a = 1\n\n    return a"),
        ("code", "# Two\n# ---\nx = 2"),
    ]


def test_source_code_says_its_encoding() -> None:
    content = "#!/usr/bin/python\n# -*- coding: koi8-r -*-\nname = 'Юг'\n".encode("koi8-r")
    pages, document = read(text.read_code, content)
    assert "Юг" in pages[0].markdown
    assert document.encoding == "koi8-r"
