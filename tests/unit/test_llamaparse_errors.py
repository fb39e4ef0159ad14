"""Which of LlamaParse's errors give the money back."""

from __future__ import annotations

import pytest

from services.parser.backends.llamaparse import errors
from waybill.refusals import refused_for_nothing
from waybill.runtime.errors import ServiceError


@pytest.mark.parametrize(
    ("error", "for_nothing"),
    [
        (errors.empty(), False),
        (errors.of_failed_job("PDF_IS_BROKEN", charged=True), False),
        (errors.of_failed_job("PDF_IS_BROKEN", charged=False), True),
        (errors.of_failed_job("", charged=False), True),
        (errors.of_cancelled_job(), True),
        (errors.not_yet(), False),
    ],
)
def test_a_parse_that_may_be_charged_is_not_released(error: ServiceError, for_nothing: bool) -> None:
    assert refused_for_nothing(error, "llamaparse") is for_nothing
