"""Forecasts: exact where days are alike, none without a past, and as sure as the days let them be."""

from __future__ import annotations

from datetime import UTC, date, datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waybill.cli.forecasting import LEAST_DAYS, MOST_DAYS, Window, _student, days_left, forecast

COSTS = st.integers(0, 10**13)
LEFT = st.fractions(0, 31)


@given(cost=st.integers(1, 10**13), days=st.integers(2, 40), spent=COSTS, left=st.integers(0, 31))
def test_days_that_are_alike_go_on_so_and_the_range_is_that_one_figure(
    cost: int, days: int, spent: int, left: int
) -> None:
    found = forecast([cost] * days, spent, Fraction(left))
    assert found.expected == found.low == found.high == spent + left * cost
    assert found.sure == ("sure" if min(days, MOST_DAYS) >= LEAST_DAYS else "unsure")


@given(days=st.integers(0, 40), spent=COSTS, left=LEFT)
def test_without_a_past_there_is_no_forecast_and_it_says_so(days: int, spent: int, left: Fraction) -> None:
    found = forecast([0] * days, spent, left)
    assert (found.expected, found.low, found.high, found.days) == (None, None, None, 0)
    assert (found.spent, found.sure) == (spent, "no history")


@given(past=st.lists(COSTS, max_size=40), spent=COSTS, left=LEFT)
def test_a_forecast_is_within_its_range_and_never_below_what_is_spent(
    past: list[int], spent: int, left: Fraction
) -> None:
    found = forecast(past, spent, left)
    if found.expected is not None and found.low is not None and found.high is not None:
        assert spent <= found.low <= found.expected <= found.high
        if not left:
            assert found.low == found.high == spent
    assert found.days < LEAST_DAYS <= len(past) or found.days <= min(len(past), MOST_DAYS)
    assert found.sure in ("sure", "fairly sure", "unsure", "no history")


@given(past=st.lists(COSTS, min_size=2, max_size=LEAST_DAYS - 1), left=LEFT)
def test_few_days_are_never_sure(past: list[int], left: Fraction) -> None:
    assert forecast(past, 0, left).sure in ("unsure", "no history")


def test_more_days_and_less_spread_make_it_surer_and_old_days_do_not_count() -> None:
    assert forecast([90, 110] * 3, 0, Fraction(10)).sure == "unsure"
    assert forecast([90, 110] * 14, 0, Fraction(10)).sure == "sure"
    assert forecast([50, 150] * 14, 0, Fraction(10)).sure == "fairly sure"
    assert forecast([0, 200] * 14, 0, Fraction(1)).sure == "unsure"
    assert forecast([10**9] * 30 + [5] * MOST_DAYS, 0, Fraction(3)).expected == 15
    # Days before the first purchase are not days without one.
    assert forecast([0] * 10 + [7] * 8, 0, Fraction(2)).expected == 14


def test_the_range_is_that_of_the_sum_of_days_to_come() -> None:
    past = [8, 10, 12, 9, 11, 10, 10]  # mean 10, deviation 1.29
    found = forecast([1_000_000 * cost for cost in past], 0, Fraction(4))
    assert found.expected == 40_000_000
    assert found.high is not None
    assert found.high - 40_000_000 == pytest.approx(1.4398 * 1.29099 * (4 + 16 / 7) ** 0.5 * 1e6, rel=1e-3)


@pytest.mark.parametrize(("freedom", "quantile"), [(3, 1.638), (6, 1.440), (12, 1.356), (27, 1.314)])
def test_the_quantile_is_that_of_the_tables(freedom: int, quantile: float) -> None:
    assert _student(0.8, freedom) == pytest.approx(quantile, abs=0.01)


@pytest.mark.parametrize(
    ("window", "first", "last"),
    [
        ("day", "2026-11-27", "2026-11-27"),
        ("week", "2026-11-23", "2026-11-29"),
        ("month", "2026-11-01", "2026-11-30"),
    ],
)
def test_windows_are_of_the_calendar_in_utc(window: str, first: str, last: str) -> None:
    assert tuple(map(str, Window(window).of(date(2026, 11, 27)))) == (first, last)


def test_what_is_left_of_today_is_a_part_of_a_day() -> None:
    now = datetime(2026, 11, 27, 18, tzinfo=UTC)
    assert days_left(now, date(2026, 11, 30)) == Fraction(13, 4)
    assert Window.MONTH.of(date(2026, 12, 31))[1] == date(2026, 12, 31)
