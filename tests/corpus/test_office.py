"""Office files, books and mail that nobody here made."""

from __future__ import annotations

import pytest

from evals.read import worker
from evals.read.results import Outcome
from tests.corpus.fetched import documents_of, expected_of, result_of

PACKAGES = ("python-docx", "python-pptx", "tablib", "odfpy", "PyRTF3", "mail-parser")


@pytest.mark.parametrize("key", expected_of(*PACKAGES))
def test_what_a_person_saw_stands_on_its_page(key: str) -> None:
    result = result_of(key)
    assert result.missed == []
    assert (result.wrong_offsets, result.lost_characters) == (0, 0)


@pytest.mark.parametrize("key", [key for key in expected_of("debian-history") if key.endswith(".epub")])
def test_a_book_has_its_chapters_as_headings(key: str) -> None:
    result = result_of(key)
    assert result.missed == []
    assert (result.wrong_offsets, result.lost_characters) == (0, 0)


@pytest.mark.parametrize("name", PACKAGES)
def test_no_file_of_the_package_crashes_the_parser(name: str) -> None:
    results = worker.read(documents_of(name)).results
    assert [result.key for result in results if result.outcome is Outcome.CRASHED] == []
