"""Texts in the encodings that people have, from chardet's and charset-normalizer's own tests."""

from __future__ import annotations

import pytest

from evals.read.results import Outcome
from tests.corpus.fetched import Documents

TEXTS = Documents("chardet", "charset-normalizer", wanted=lambda document: True)


@pytest.mark.parametrize("key", TEXTS.expected)
def test_a_text_is_read_in_the_encoding_that_it_has(key: str) -> None:
    assert TEXTS.result(key).missed == []


def test_of_a_hundred_and_fifty_all_are_right_or_refused() -> None:
    read = TEXTS.results.values()
    assert sum(one.right_text is True for one in read) > 150
    assert [one.key for one in read if one.right_text is False or one.outcome is Outcome.CRASHED] == []


def test_every_chunk_stands_at_its_place_and_nothing_stands_in_none() -> None:
    assert [one.key for one in TEXTS.results.values() if one.wrong_offsets or one.lost_characters] == []
