"""Headings by a document's own outline and tags; running headers and footers."""

from __future__ import annotations

import pytest

from services.parser.documents.pdf.layout import Layout
from services.parser.documents.pdf.lines import Line
from services.parser.documents.pdf.tags import Tag
from services.parser.documents.pdf.titles import Title
from services.parser.pages import BlockKind, Page
from tests.page_lines import PROSE, body, line, read, row, texts


def headings(page: Page) -> list[tuple[str, int]]:
    return [(block.title, block.level) for block in page.blocks if block.kind is BlockKind.HEADING]


@pytest.mark.parametrize(
    ("title", "lines"),
    [
        ("Ebb and flow", ["Ebb and flow"]),
        ("3.2 Ebb and flow", ["Ebb and flow"]),
        ("Ebb and flow", ["3.2. Ebb and Flow"]),
        ("A Ebb and flow", ["Appendix A: Ebb and flow"]),
        ("3 Ebb and flow", ["Chapter 3", "Ebb and flow"]),
        ("Ebb and insurance", ["Ebb and insur-", "ance"]),
        ("The efficient  ebb", ["The e\ufb03cient ebb"]),
    ],
)
def test_a_title_of_the_outline_is_a_heading_of_its_level_whatever_it_looks_like(
    title: str, lines: list[str]
) -> None:
    (page,) = read(
        [*PROSE, *body(300, *lines), *body(200, "More water.")], outline={1: [Title(title, 3, 310)]}
    )
    ((_, level),) = headings(page)
    assert level == 3
    assert page.markdown.endswith("\n\nMore water.")


def test_a_title_that_its_page_does_not_show_gives_no_text() -> None:
    (page,) = read(PROSE, outline={1: [Title("Cover", 1, None)]})
    assert "Cover" not in page.markdown


def test_what_is_large_is_no_heading_beside_an_outline_but_what_is_smaller_than_its_titles_is() -> None:
    lines = [line("A Book", 750, size=30), line("Ebb", 700, size=16), line("Neap", 650, size=12), *PROSE]
    (page,) = read([*lines, *body(300, *["words of the body"] * 9)], outline={1: [Title("Ebb", 1, 710)]})
    assert headings(page) == [("Ebb", 1), ("Neap", 2)]


def test_an_outline_of_which_little_is_found_leaves_headings_to_their_sizes() -> None:
    outline = {1: [Title(f"Page {at}", 1, None) for at in range(5)] + [Title("Ebb", 2, None)]}
    (page,) = read([line("Tides", 750, size=20), line("Ebb", 700), *PROSE], outline=outline)
    assert headings(page) == [("Tides", 1), ("Ebb", 2)]


def test_of_lines_with_a_title_the_largest_is_the_heading_and_a_line_of_contents_is_none() -> None:
    lines = [line("Ebb", 780, size=8), line("1 Ebb . . . . 1", 740), line("Ebb", 600, size=14), *PROSE]
    (page,) = read(lines, outline={1: [Title("Ebb", 1, 800)]})
    assert headings(page) == [("Ebb", 1)]
    assert page.markdown.index("# Ebb") > page.markdown.index(". . . .")


def test_two_titles_alike_are_two_headings_in_their_order() -> None:
    lines = [line("Notes", 700, bold=True), *PROSE, line("Notes", 300, bold=True), *body(280, "Last.")]
    (page,) = read(lines, outline={1: [Title("Notes", 1, 712), Title("Notes", 2, 312)]})
    assert headings(page) == [("Notes", 1), ("Notes", 2)]


def test_a_title_that_runs_into_text_is_parted_from_it() -> None:
    lines = [row((72, "ebb"), (200, "Tell the Time of Low Water"), baseline=700), *PROSE]
    (page,) = read(lines, outline={1: [Title("ebb", 2, 712)]})
    assert page.markdown.startswith("## ebb\n\nTell the Time of Low Water\n\n")


def test_structure_tags_name_headings_where_an_outline_does_not() -> None:
    tagged = [Line([word._replace(mcid=7) for word in each.words]) for each in body(700, "Ebb and", "flow")]
    layout = Layout()
    layout.add_page([*tagged, *PROSE], {7: Tag(1, 2)})
    (page,) = layout.render()
    assert headings(page) == [("Ebb and flow", 2)]


def book(pages: int, header: str = "", footer: str = "") -> list[list[Line]]:
    """Pages with what runs above and below; `#` is the page's number."""
    return [
        [
            *([line(header.replace("#", str(at)), 780)] if header else []),
            *body(700, f"Page {at * at} tells of water.", "It goes on" + "." * at),
            *([line(footer.replace("#", str(at)), 40)] if footer else []),
        ]
        for at in range(1, pages + 1)
    ]


@pytest.mark.parametrize("text", ["Brannock Sound", "Brannock Sound #", "# / 57", "#", "- # -"])
def test_what_runs_above_or_below_each_page_is_in_its_text_and_omitted(text: str) -> None:
    expected = [[text.replace("#", str(number))] for number in range(1, 5)]
    for pages in (book(4, text), book(4, "", text)):
        assert [texts(page, BlockKind.OMITTED) for page in read(*pages)] == expected


def under(headers: list[Line]) -> list[list[Line]]:
    """A page below each header."""
    return [[header, *page] for header, page in zip(headers, book(len(headers)), strict=True)]


def test_roman_page_numbers_are_omitted() -> None:
    pages = read(*under([line(number, 780) for number in ("ii", "iii", "iv", "v")]))
    assert [texts(page, BlockKind.OMITTED) for page in pages] == [["ii"], ["iii"], ["iv"], ["v"]]


def test_left_and_right_pages_have_their_own_headers() -> None:
    headers = [line(f"{at} Handbook" if at % 2 else f"Ebb {at}", 780) for at in range(1, 9)]
    assert all(len(texts(page, BlockKind.OMITTED)) == 1 for page in read(*under(headers)))


def test_a_page_number_beside_a_title_that_changes_is_omitted_with_it() -> None:
    headers = [row((72, f"title {at * at}"), (500, str(at)), baseline=780) for at in range(3, 8)]
    assert texts(read(*under(headers))[0], BlockKind.OMITTED) == ["title 9 3"]


def test_what_stands_on_two_pages_alone_or_close_to_the_text_is_kept() -> None:
    short = book(2, "Brannock Sound")
    close = [body(700, "The same first line.", f"And another {at * at}.") for at in range(5)]
    lone = [[line(f"Quiet water {at}", 700)] for at in range(1, 6)]
    counted = book(5, "Page # tells of water.")
    for page in read(*short) + read(*close) + read(*lone) + read(*counted):
        assert not texts(page, BlockKind.OMITTED)


def test_a_heading_that_each_page_counts_on_is_kept() -> None:
    headers = [line(f"Question {at}", 780, size=16) for at in range(1, 5)]
    assert headings(read(*under(headers))[0]) == [("Question 1", 1)]


def test_a_table_header_on_each_page_is_no_running_header() -> None:
    pages = [
        [
            row((72, "Part"), (200, "Stock"), baseline=780),
            row((72, f"P-{at}"), (200, str(at * at)), baseline=760),
        ]
        for at in range(4)
    ]
    assert not any(texts(page, BlockKind.OMITTED) for page in read(*pages))
