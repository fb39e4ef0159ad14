"""Lines with sizes and places become Markdown."""

from __future__ import annotations

import pytest

from services.parser.documents.pdf.lines import Line, Word
from services.parser.pages import BlockKind, Mark
from tests.page_lines import PROSE, PROSE_TEXT, body, line, read, render, row


def test_larger_sizes_become_heading_levels_of_the_whole_document() -> None:
    first = [line("Tides", 700, size=20), line("Causes", 560, size=14), *PROSE]
    second = [line("Effects", 700, size=14), *PROSE]
    assert render(first, second) == [
        f"# Tides\n\n## Causes\n\n{PROSE_TEXT}",
        f"## Effects\n\n{PROSE_TEXT}",
    ]


def test_a_heading_over_two_lines_is_one_heading() -> None:
    title = [line("Tides of the", 700, size=20), line("northern sounds", 676, size=20)]
    assert render([*title, *PROSE])[0].startswith("# Tides of the northern sounds\n\n")


def test_a_short_bold_line_of_its_own_is_a_lower_heading() -> None:
    assert render([line("Tides", 700, size=20), line("Neap", 540, bold=True), *PROSE]) == [
        f"# Tides\n\n## Neap\n\n{PROSE_TEXT}"
    ]


def test_bold_text_that_is_a_sentence_or_a_caption_is_no_heading() -> None:
    lines = [line("Keep away.", 700, bold=True), line("Figure 3: the well", 660, bold=True), *PROSE]
    assert render(lines) == [f"Keep away.\n\nFigure 3: the well\n\n{PROSE_TEXT}"]


def test_a_long_text_in_a_larger_size_is_a_paragraph() -> None:
    abstract = [line("word " * 12 + "end", 700 - 14 * number, size=12) for number in range(5)]
    assert not render([*abstract, *PROSE, *body(300, *["plain words here"] * 30)])[0].startswith("#")


def test_large_text_in_a_margin_is_no_heading() -> None:
    margin = Line([word._replace(turn=90) for word in line("Archive copy", 30, size=20).words])
    assert render([*PROSE, margin]) == [f"{PROSE_TEXT}\n\nArchive copy"]


def test_a_wider_distance_begins_a_paragraph() -> None:
    assert render([*PROSE, *body(460, "Another thought.", "It goes on.")]) == [
        f"{PROSE_TEXT}\n\nAnother thought. It goes on."
    ]


def test_a_hyphen_at_a_line_end_goes_when_a_word_goes_on() -> None:
    assert render(body(700, "a com-", "puter and a Jean-", "Luc"))[0] == "a computer and a Jean-Luc"


def test_a_hyphen_stays_where_the_document_writes_it_elsewhere() -> None:
    assert "well-known" in render(body(700, "a well-", "known fact, well-known to all"))[0]


def test_aligned_cells_become_a_table_with_its_empty_cells() -> None:
    lines = [
        row((72, "Name"), (200, "Depth"), (300, "Ship|boat"), baseline=700),
        row((72, "Sound"), (205, "64 m"), (300, "Anna"), baseline=684),
        row((72, "Quay"), (300, "none"), baseline=668),
    ]
    assert render([*lines, *PROSE])[0].startswith(
        "| Name | Depth | Ship\\|boat |\n| --- | --- | --- |\n| Sound | 64 m | Anna |\n| Quay |  | none |\n\n"
    )


def test_a_lone_row_keeps_its_cells_apart() -> None:
    assert render([row((72, "Total"), (300, "12.50"), baseline=700)]) == ["Total | 12.50"]


def test_list_items_stand_alone_and_keep_their_markers() -> None:
    lines = [
        row((72, "•"), (90, "first thing"), baseline=700),
        line("goes on", 688, left=90),
        row((72, "•"), (90, "second thing"), baseline=676),
        row((72, "1."), (90, "numbered"), baseline=664),
    ]
    assert render(lines) == ["- first thing goes on\n\n- second thing\n\n1. numbered"]


def test_text_that_looks_like_a_heading_or_a_fence_is_inert() -> None:
    assert render([*body(700, "# not a heading"), *body(650, "```sh"), *PROSE]) == [
        f"\\# not a heading\n\n\\```sh\n\n{PROSE_TEXT}"
    ]


def test_pages_without_lines_stay_in_their_place() -> None:
    assert render([], PROSE, []) == ["", PROSE_TEXT, ""]


def test_a_page_whose_structure_cannot_be_made_out_is_its_text_and_its_neighbours_keep_theirs() -> None:
    nowhere = Line([Word("# Drawn", None, 5.0, 700.0, 10.0), Word("badly", 6.0, 9.0, 700.0, 10.0)])  # type: ignore[arg-type]
    heading = [line("Tides", 700, size=20), *PROSE]
    first, broken, last = read(heading, [nowhere, *PROSE], heading)
    assert (broken.marks, first.marks) == ((Mark.PLAIN,), ())
    assert broken.markdown == "\\# Drawn badly\n" + "\n".join(each.text for each in PROSE)
    assert [block.kind for block in broken.blocks] == [BlockKind.TEXT]
    assert first.markdown == last.markdown == f"# Tides\n\n{PROSE_TEXT}"


def test_words_that_run_leftwards_beside_a_cell_stand_in_the_text() -> None:
    upside_down = [Word("north", 300, 320, 700, 10), Word("quay", 280, 295, 700, 10)]
    lines = [
        Line([Word("depth", 72, 90, 700, 10), *upside_down]),
        row((72, "nine"), (280, "south"), baseline=684),
    ]
    assert render(lines) == ["| depth | north quay |\n| --- | --- |\n| nine | south |"]


def test_blocks_tell_headings_lists_tables_and_text() -> None:
    lines = [
        line("Tides # 1 #", 700, size=20),
        *body(660, "• ebb", "• flow"),
        *PROSE,
        row((72, "Name"), (200, "Depth"), baseline=400),
        row((72, "Sound"), (200, "64 m"), baseline=384),
    ]
    (page,) = read(lines)
    heading, items, text, table = page.blocks
    assert (heading.kind, heading.level, heading.title) == (BlockKind.HEADING, 1, "Tides # 1 #")
    assert page.markdown.startswith("# Tides # 1 \\#\n\n")
    assert page.markdown[items.start : items.end] == "- ebb\n\n- flow"
    assert (items.kind, text.kind, table.kind) == (BlockKind.LIST, BlockKind.TEXT, BlockKind.TABLE)
    assert table.lead == "| Name | Depth |\n| --- | --- |"


@pytest.mark.parametrize(
    ("first", "second", "whole"),
    [
        ("insur-", "ance", "insurance"),
        ("insur-", "ance.", "insurance."),
        ("https://example.org/pump-", "installation", "https://example.org/pump-installation"),
        ("https://example.org/", "pumps", "https://example.org/pumps"),
        ("first-", "name@example.org", "first-name@example.org"),
        ("--no-", "cache", "--no-cache"),
        ("state-of-the-", "art", "state-of-the-art"),
        ("T-", "shirt", "T-shirt"),
        ("e-", "mail", "e-mail"),
        ("01-2301-", "77. The", "01-2301-77. The"),
        ("libfoo-1.2-", "dev", "libfoo-1.2-dev"),
        ("555-", "0142", "555-0142"),
        ("10\u2013", "12", "10\u201312"),
        ("3-", "dimensional", "3-dimensional"),
        ("pump_", "station.cfg", "pump_station.cfg"),
        ("pre-", "and", "pre- and"),
        ("Jean-", "Luc", "Jean-Luc"),
        ("and -", "so", "and - so"),
        ("水は一日に", "二度上がる", "水は一日に二度上がる"),
        ("물이", "오른다", "물이 오른다"),
    ],
)
def test_lines_are_joined_without_changing_words(first: str, second: str, whole: str) -> None:
    assert render(body(700, first, second)) == [whole]
