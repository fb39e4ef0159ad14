"""Web pages, tables, data and notebooks that nobody here made."""

from __future__ import annotations

import pytest

from tests.corpus.fetched import Documents

DATA = Documents("trafilatura", "csvkit", "nbconvert", "nbformat")


@pytest.mark.parametrize("key", DATA.expected)
def test_what_a_person_saw_stands_on_its_page_and_its_titles_are_headings(key: str) -> None:
    result = DATA.result(key)
    assert result.missed == []
    assert (result.wrong_offsets, result.lost_characters) == (0, 0)
