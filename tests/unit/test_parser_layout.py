"""Lines with sizes and places become Markdown."""

from __future__ import annotations

from services.parser.documents.pdf.layout import Layout
from services.parser.documents.pdf.lines import Line, Word

LEFT = 72.0


def line(text: str, baseline: float, *, size: float = 10, bold: bool = False, left: float = LEFT) -> Line:
    """Words of half an em a letter, a third of an em apart."""
    words, x = [], left
    for part in text.split(" "):
        right = x + len(part) * size * 0.5
        words.append(Word(part, x, right, baseline, size, bold))
        x = right + size / 3
    return Line(words)


def row(*cells: tuple[float, str], baseline: float) -> Line:
    return Line([word for left, text in cells for word in line(text, baseline, left=left).words])


def body(first: float, *texts: str) -> list[Line]:
    return [line(text, first - 12 * number) for number, text in enumerate(texts)]


def render(*pages: list[Line]) -> list[str]:
    layout = Layout()
    for page in pages:
        layout.add_page(page)
    return [page.markdown for page in layout.render()]


PROSE = body(500, "The water rises twice a day and falls twice a day,", "and nobody has asked it to stop.")
PROSE_TEXT = "The water rises twice a day and falls twice a day, and nobody has asked it to stop."


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
