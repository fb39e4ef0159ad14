"""PDFs that nobody here made: those in the source distributions of pypdf, pikepdf and pdfminer.six."""

from __future__ import annotations

import pytest

from evals.corpus import Document
from evals.read.results import Outcome
from services.parser.pages import Mark
from tests.corpus.fetched import Documents, is_expected

SMALL_BYTES = 20_000
# Written from top to bottom: its columns are read as rows.
VERTICAL = "pdfminer.six/samples/jo.pdf"


# A drawing whose font does not say which letters it shows.
WITHOUT_MEANING = "pdfminer.six/samples/contrib/stamp-no.pdf"


def is_wanted(document: Document) -> bool:
    small = document.take.format == "pdf" and document.path.stat().st_size < SMALL_BYTES
    return small or is_expected(document) or document.key == WITHOUT_MEANING


def known(key: str) -> object:
    marks = pytest.mark.xfail(reason="vertical writing", strict=True) if key == VERTICAL else ()
    return pytest.param(key, marks=marks)


PDFS = Documents("pypdf", "pikepdf", "pdfminer.six", "auto-multiple-choice-doc-pdf", wanted=is_wanted)


@pytest.mark.parametrize("key", list(map(known, PDFS.expected)))
def test_what_a_person_saw_stands_on_its_page(key: str) -> None:
    assert PDFS.result(key).missed == []


def test_none_of_more_than_a_hundred_crashes_the_parser() -> None:
    assert len(PDFS.results) > 100
    assert [one.key for one in PDFS.results.values() if one.outcome is Outcome.CRASHED] == []


def test_the_structure_of_none_of_their_pages_fails() -> None:
    read = PDFS.results.values()
    assert [one.key for one in read if Mark.PLAIN in one.marks or Mark.FAILED in one.marks] == []


def test_those_with_a_password_are_refused_as_protected_and_an_empty_one_opens() -> None:
    names = {one.key.rpartition("/")[2] for one in PDFS.results.values() if one.reason == "PDF_IS_PROTECTED"}
    assert {"r6-user-password.pdf", "r2-user-password.pdf", "libreoffice-writer-password.pdf"} <= names
    assert "r6-empty-password.pdf" not in names


def test_a_page_whose_letters_only_its_font_knows_is_told_to_be_without_text() -> None:
    assert PDFS.result(WITHOUT_MEANING).marks == {Mark.WITHOUT_TEXT: 1}


def test_every_chunk_stands_at_its_place_and_nothing_stands_in_none() -> None:
    read = PDFS.results.values()
    assert sum(one.chunks for one in read) > 300
    assert [one.key for one in read if one.wrong_offsets or one.lost_characters] == []
