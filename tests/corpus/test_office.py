"""Office files, books and mail that nobody here made."""

from __future__ import annotations

import pytest

from evals.corpus import Document
from evals.read.results import Outcome
from tests.corpus.fetched import Documents, is_expected

FORMATS = ("docx", "xlsx", "odt", "ods", "odp", "rtf", "eml")


def is_wanted(document: Document) -> bool:
    return document.take.format in FORMATS or is_expected(document)


OFFICE = Documents("python-docx", "python-pptx", "tablib", "odfpy", "PyRTF3", "mail-parser", wanted=is_wanted)
BOOKS = Documents(
    "debian-history",
    wanted=lambda document: is_expected(document) and document.take.format == "epub",
)


@pytest.mark.parametrize("key", OFFICE.expected)
def test_what_a_person_saw_stands_on_its_page(key: str) -> None:
    assert OFFICE.result(key).missed == []


@pytest.mark.parametrize("key", [key for key in BOOKS.expected if key.endswith(".epub")])
def test_a_book_has_its_text_and_its_chapters_as_headings(key: str) -> None:
    assert BOOKS.result(key).missed == []


def test_none_of_more_than_a_hundred_crashes_the_parser() -> None:
    assert len(OFFICE.results) > 100
    assert [one.key for one in OFFICE.results.values() if one.outcome is Outcome.CRASHED] == []


def test_every_chunk_stands_at_its_place_and_nothing_stands_in_none() -> None:
    read = OFFICE.results.values()
    assert sum(one.chunks for one in read) > 100
    assert [one.key for one in read if one.wrong_offsets or one.lost_characters] == []
