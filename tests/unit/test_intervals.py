"""The interval of an availability."""

from __future__ import annotations

import pytest

from bench.intervals import wilson


@pytest.mark.parametrize(
    ("good", "of", "low", "high"),
    # R. G. Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_interval_is_that_of_the_published_examples(good: int, of: int, low: float, high: float) -> None:
    assert wilson(good, of) == pytest.approx((low, high), abs=5e-5)


def test_a_thousand_of_a_thousand_do_not_prove_three_nines() -> None:
    assert 0.9961 < wilson(1000, 1000)[0] < 0.9963
    assert wilson(3838, 3838)[0] > 0.999
