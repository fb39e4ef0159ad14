"""Tables of PDFs: cells that wrap, headers, tables over pages, and what is none."""

from __future__ import annotations

from services.parser.documents.pdf.lines import Line
from services.parser.pages import BlockKind
from tests.page_lines import PROSE, body, line, read, render, row, texts

WRAPPED = (
    "| Valve | State | Count |\n| --- | --- | --- |\n"
    "| V-1 | closed in winter, opened by the master | 4 |\n| V-2 | open | 12 |"
)
HEADER = row((72, "Valve"), (150, "State"), (300, "Count"), baseline=700)


def test_a_cell_over_several_lines_is_one_cell_where_text_comes_line_by_line() -> None:
    lines = [
        HEADER,
        row((72, "V-1"), (150, "closed in winter,"), (300, "4"), baseline=680),
        line("opened by the master", 668, left=150),
        row((72, "V-2"), (150, "open"), (300, "12"), baseline=648),
    ]
    assert render([*lines, *PROSE])[0].startswith(WRAPPED)


def test_a_cell_over_several_lines_is_one_cell_where_text_comes_cell_by_cell() -> None:
    lines = [
        HEADER,
        row((72, "V-1"), (150, "closed in winter,"), baseline=680),
        line("opened by the master", 668, left=150),
        line("4", 680, left=300),
        row((72, "V-2"), (150, "open"), (300, "12"), baseline=648),
    ]
    assert render([*lines, *PROSE])[0].startswith(WRAPPED)


def test_cells_that_stand_at_the_foot_of_their_row_belong_to_it() -> None:
    lines = [
        HEADER,
        line("V-1", 668),
        line("closed in winter,", 680, left=150),
        row((150, "opened by the master"), (300, "4"), baseline=668),
        row((72, "V-2"), (150, "open"), (300, "12"), baseline=648),
    ]
    assert render([*lines, *PROSE])[0].startswith(WRAPPED)


def test_several_cells_of_a_row_may_wrap_and_a_first_column_too() -> None:
    lines = [
        row((72, "Name"), (150, "Depth"), (300, "Ship"), baseline=700),
        row((72, "Sound of"), (150, "64 m at"), (300, "Anna"), baseline=680),
        row((72, "Brannock"), (150, "low water"), baseline=668),
        row((72, "Quay of"), (150, "9 m"), (300, "Berta"), baseline=648),
        line("Saltmere", 636),
        row((72, "Roads"), (150, "12 m"), (300, "Clara"), baseline=616),
    ]
    assert render([*lines, *PROSE])[0].startswith(
        "| Name | Depth | Ship |\n| --- | --- | --- |\n| Sound of Brannock | 64 m at low water | Anna |\n"
        "| Quay of Saltmere | 9 m | Berta |\n| Roads | 12 m | Clara |\n\n"
    )


def test_rows_at_one_distance_stay_rows_though_cells_are_empty() -> None:
    lines = [row((72, "Name"), (200, "Depth"), (300, "Ship"), baseline=700)]
    lines += [row((72, f"Quay {at}"), (300, "Anna"), baseline=700 - 12 * at) for at in range(1, 4)]
    lines += [row((72, "Sound"), (200, "64 m"), (300, "Anna"), baseline=652)]
    assert "| Quay 1 |  | Anna |\n| Quay 2 |  | Anna |" in render([*lines, *PROSE])[0]


def test_rows_without_a_header_get_an_empty_one() -> None:
    lines = [
        row((72, "x"), (150, "a vector of depths."), baseline=700),
        row((72, "y"), (150, "a list of ships."), baseline=688),
    ]
    (table,) = (block for block in read(lines)[0].blocks if block.kind is BlockKind.TABLE)
    assert table.lead == "|  |  |\n| --- | --- |"


def stock(first: int, last: int, *, head: bool = False) -> list[Line]:
    """Rows of a table at the top of a page."""
    rows = [("Part", "Place", "Stock")] * head
    rows += [(f"P-{at}", f"Shelf {at % 7}", str(at * 40 % 97)) for at in range(first, last)]
    return [
        row(*zip((72, 150, 300), cells, strict=True), baseline=700 - 16 * at) for at, cells in enumerate(rows)
    ]


def test_a_table_goes_on_on_the_next_page_under_its_header() -> None:
    first, second, third = read(stock(0, 9, head=True), [*stock(9, 20), *body(300, "The end.")], PROSE)
    (table,), (rest, _) = first.blocks, second.blocks
    assert (table.continued, rest.continued) == (False, True)
    assert table.lead == rest.lead == "| Part | Place | Stock |\n| --- | --- | --- |"
    assert second.markdown.startswith("| P-9 | Shelf 2 | 69 |\n| P-10 |")
    assert [block.kind for block in third.blocks] == [BlockKind.TEXT]


def test_a_table_that_repeats_its_header_is_not_continued() -> None:
    pages = read(*(stock(9 * at, 9 * at + 9, head=True) for at in range(4)))
    assert all(page.markdown.startswith("| Part | Place | Stock |\n| --- |") for page in pages)
    assert not any(block.continued for page in pages for block in page.blocks)


def test_a_table_of_contents_is_no_table() -> None:
    dotted = [
        row((72, f"{at} Tides . . . . . . ."), (400, str(at)), baseline=700 - 14 * at) for at in range(1, 7)
    ]
    bare = [row((72, f"Tides of {at}"), (400, str(at)), baseline=700 - 14 * at) for at in range(1, 7)]
    for page in read(dotted, *[PROSE] * 6) + read(bare, *[PROSE] * 6):
        assert not texts(page, BlockKind.TABLE)


def test_columns_of_text_are_no_table_and_keep_their_order() -> None:
    left = body(700, *[f"left {at} the water rises twice" for at in range(9)])
    right = [line(f"right {at} and nobody asks it", 700 - 12 * at, left=320) for at in range(9)]
    (page,) = read([*left, *right])
    assert not texts(page, BlockKind.TABLE)
    assert page.markdown.index("left 8") < page.markdown.index("right 0")
    beside = [Line([*a.words, *b.words]) for a, b in zip(left, right, strict=True)]
    assert not texts(read(beside)[0], BlockKind.TABLE)


def test_numbered_formulas_are_no_table() -> None:
    lines = [row((150, f"x = {at}"), (500, f"(2.{at})"), baseline=700 - 20 * at) for at in range(3)]
    assert not texts(read([*lines, *PROSE])[0], BlockKind.TABLE)
