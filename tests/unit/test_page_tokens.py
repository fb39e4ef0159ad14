"""Page tokens: what is none is refused, whatever a caller makes up."""

from __future__ import annotations

import pytest

from waybill.runtime.errors import InvalidRequest
from waybill.runtime.wire import page_place, page_token


def test_a_token_is_the_place_that_it_was_made_of() -> None:
    assert page_place(page_token("default", "ä/b.md"), 2) == ("default", "ä/b.md")


@pytest.mark.parametrize("name", ["a\0", "\ud800"], ids=["NUL", "half a character"])
def test_a_place_that_no_name_can_have_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest, match="page_token"):
        page_place(page_token("default", name), 2)
