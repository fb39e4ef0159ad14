"""What a document lacks, in words."""

from __future__ import annotations

import pytest

from services.orchestrator.degrading import missing
from waybill.common.v1.reading_pb2 import Reading


@pytest.mark.parametrize(
    ("reading", "said"),
    [
        (Reading(format="pdf", pages=9), ""),
        (Reading(plain_pages=[1], recognised_pages=[2]), ""),
        (Reading(failed_pages=[4]), "Page 4 could not be read and cost nothing."),
        (Reading(failed_pages=[1, 2, 3, 7]), "Pages 1-3 and 7 could not be read and cost nothing."),
        (Reading(failed_pages=[1, 3, 5]), "Pages 1, 3 and 5 could not be read and cost nothing."),
        (
            Reading(left_out=[f"{n}.doc" for n in range(7)]),
            "Not read: 0.doc, 1.doc, 2.doc, 3.doc, 4.doc and 2 more. Attached files can be ingested alone.",
        ),
    ],
)
def test_what_is_missing_is_named_by_page_and_by_name(reading: Reading, said: str) -> None:
    assert missing(reading) == said


def test_each_kind_of_loss_has_its_sentence() -> None:
    said = missing(Reading(failed_pages=[1], cut_pages=[2], pages_without_text=[3], left_out=["a.pdf"]))
    assert [word in said for word in ("Page 1", "Page 2", "Page 3", "a.pdf", "tesseract")] == [True] * 5
