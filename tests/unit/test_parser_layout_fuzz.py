"""Whatever lines a page holds, it is read: no exception, every word, in the order of the lines."""

from __future__ import annotations

import re
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from services.parser.documents.pdf.layout import Layout
from services.parser.documents.pdf.lines import Line, Word
from services.parser.pages import BlockKind, Page

_NAME = re.compile(r"q(\d+)q")

anywhere = st.floats(width=32)  # with NaN and infinity
on_a_grid = st.sampled_from([0.0, 60.0, 72.0, 180.0, 300.0, 310.5, 540.0])
baselines = st.sampled_from([0.0, 40.0, 100.0, 112.0, 124.0, 136.0, 700.0, 712.0])
sizes = st.sampled_from([0.0, 1.0, 9.0, 10.0, 14.0, 20.0, -10.0])
marks = st.sampled_from(["", "", "", "#", "- ", "•", "|", "1.", "-", "_", "...", "א", "漢"])


def boxes(
    x: st.SearchStrategy[float], y: st.SearchStrategy[float], size: st.SearchStrategy[float]
) -> st.SearchStrategy[list[list[Word]]]:
    word = st.builds(
        Word, marks, x, x, y, size, st.booleans(), st.sampled_from([0, 0, 90]), st.integers(-1, 3)
    )
    return st.lists(st.lists(word, min_size=1, max_size=4), max_size=14)


@st.composite
def grids(draw: st.DrawFn) -> list[list[Word]]:
    """Cells on few places, by rows or by cells: tables, columns, and what is nearly one."""
    steps = draw(st.lists(st.sampled_from([12, 12, 12, 18, 0, -12, -24, 60]), max_size=14))
    page, baseline = [], 700.0
    for step in steps:
        baseline -= step
        places = sorted(draw(st.sets(st.sampled_from([72.0, 180.0, 300.0, 420.0]), min_size=1)))
        bold = draw(st.booleans())
        width = draw(st.sampled_from([20.0, 60.0, 110.0]))
        page.append([Word(draw(marks), x, x + width, baseline, 10.0, bold) for x in places])
    return page


pages = st.one_of(boxes(anywhere, anywhere, anywhere), boxes(on_a_grid, baselines, sizes), grids())


def named(page: list[list[Word]], first: int) -> list[Line]:
    """Each word gets a name that no other has; lines keep one baseline as PDFium's do."""
    count, lines = first, []
    for words in page:
        line = []
        for word in words:
            line.append(word._replace(text=f"{word.text}q{count}q", baseline=words[0].baseline))
            count += 1
        lines.append(Line(line))
    return lines


def names(text: str) -> list[int]:
    return [int(number) for number in _NAME.findall(text)]


def check_blocks(page: Page) -> None:
    ends = [0, *(block.end for block in page.blocks)]
    starts = [*(block.start for block in page.blocks), len(page.markdown)]
    for end, start in zip(ends, starts, strict=True):
        assert not page.markdown[end:start].strip()
    assert all(before.end <= block.start for before, block in pairwise(page.blocks))


def check_order(page: Page, expected: list[int]) -> None:
    """A table's cells may come in another order than its words; nothing else may."""
    seen: list[int] = []
    for block in page.blocks:
        found = names(page.markdown[block.start : block.end])
        seen += sorted(found) if block.kind is BlockKind.TABLE else found
    assert seen == expected


@settings(max_examples=400)
@given(st.lists(pages, min_size=1, max_size=4))
def test_any_boxes_in_any_order_give_every_word_in_the_order_of_lines(
    document: list[list[list[Word]]],
) -> None:
    layout = Layout()
    expected: list[list[int]] = []
    for words in document:
        first = sum(len(each) for each in expected)
        lines = named(words, first)
        layout.add_page(lines)
        expected.append([number for line in lines for number in names(line.text)])
    rendered = list(layout.render())
    assert len(rendered) == len(document)
    for page, names_of_page in zip(rendered, expected, strict=True):
        check_blocks(page)
        check_order(page, names_of_page)
