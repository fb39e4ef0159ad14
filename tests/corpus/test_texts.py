"""Texts in the encodings that people have, from chardet's and charset-normalizer's own tests."""

from __future__ import annotations

import pytest

from tests.corpus.fetched import expected_of, result_of


@pytest.mark.parametrize("key", expected_of("chardet", "charset-normalizer"))
def test_a_text_is_read_in_the_encoding_that_it_has(key: str) -> None:
    result = result_of(key)
    assert result.missed == []
    assert result.right_text is not False
    assert (result.wrong_offsets, result.lost_characters) == (0, 0)
