"""PDFs that nobody here made: those in the source distributions of pypdf, pikepdf and pdfminer.six."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from evals.read import worker
from evals.read.results import Outcome, Result
from services.parser.pages import Mark
from tests.corpus.fetched import documents_of, expected_of, result_of

SMALL_BYTES = 100_000
# Written from top to bottom: its columns are read as rows.
VERTICAL = "pdfminer.six/samples/jo.pdf"


def known(key: str) -> object:
    marks = pytest.mark.xfail(reason="vertical writing", strict=True) if key == VERTICAL else ()
    return pytest.param(key, marks=marks)


@pytest.mark.parametrize("key", list(map(known, expected_of("pypdf", "pikepdf", "pdfminer.six"))))
def test_what_a_person_saw_stands_on_its_page(key: str) -> None:
    result = result_of(key)
    assert result.missed == []
    assert (result.wrong_offsets, result.lost_characters) == (0, 0)


@pytest.fixture(scope="module")
def small() -> dict[str, Result]:
    packages = ("pypdf", "pikepdf")
    documents = [
        document
        for name in packages
        for document in documents_of(name)
        if document.take.format == "pdf" and document.path.stat().st_size < SMALL_BYTES
    ]
    assert len(documents) > 80
    return {result.key: result for result in worker.read(documents).results}


def refused(results: dict[str, Result], reason: str) -> Iterator[str]:
    return (result.key.rpartition("/")[2] for result in results.values() if result.reason == reason)


def test_none_of_a_hundred_small_pdfs_crashes_the_parser(small: dict[str, Result]) -> None:
    assert [one.key for one in small.values() if one.outcome is Outcome.CRASHED] == []


def test_those_with_a_password_are_refused_as_protected(small: dict[str, Result]) -> None:
    protected = set(refused(small, "PDF_IS_PROTECTED"))
    assert {"r6-user-password.pdf", "r2-user-password.pdf", "libreoffice-writer-password.pdf"} <= protected
    assert "r6-empty-password.pdf" not in protected


def test_the_structure_of_none_of_their_pages_fails(small: dict[str, Result]) -> None:
    assert [one.key for one in small.values() if Mark.PLAIN in one.marks or Mark.FAILED in one.marks] == []


def test_every_chunk_of_theirs_stands_at_its_place(small: dict[str, Result]) -> None:
    assert sum(one.chunks for one in small.values()) > 50
    assert [one.key for one in small.values() if one.wrong_offsets or one.lost_characters] == []
