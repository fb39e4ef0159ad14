"""The reasons of a drift: together they are the whole of it, whatever the rows are."""

from __future__ import annotations

import datetime

from hypothesis import given
from hypothesis import strategies as st

from services.ledger.drift import Share, Sum, differences

DAY = datetime.date(2026, 11, 27)
counts = st.integers(0, 1_000)
shares = st.builds(
    Share,
    st.sampled_from(["IN_DOUBT", "HELD", "WRITTEN_OFF", "RELEASED"]),
    st.sampled_from(["a", "b"]),
    st.sampled_from(["r1", "r2", ""]),
    st.just("a.md"),
    st.integers(1, 3),
    st.integers(1, 100),
    st.integers(1, 100).map(lambda number: number * 1_000),
)
by_quantity = st.builds(
    Sum,
    day=st.integers(0, 3).map(lambda later: DAY + datetime.timedelta(days=later)),
    models=st.just(("m",)),
    unit=st.just("token"),
    line=st.integers(0, 9),
    quantity=counts,
    requests=st.none() | st.integers(0, 9),
    entries=st.integers(0, 5),
    ledger_quantity=counts,
    shares=st.lists(shares, max_size=4),
    price=st.just(20_000_000),
)


@given(st.lists(by_quantity, max_size=4, unique_by=lambda one: one.day))
def test_the_reasons_of_a_sum_in_units_add_up_to_its_whole_drift(sums: list[Sum]) -> None:
    found = differences(sums)
    for one in sums:
        of_day = [each for each in found if each.day == one.day]
        assert sum(each.invoiced_quantity - each.ledger_quantity for each in of_day) == one.rest
        if not one.rest:
            assert {each.reason for each in of_day} <= {"IN_DOUBT"}
            assert not any(each.nano_usd for each in of_day)
        if one.no_doubt_charged or one.all_doubts_charged:
            assert {each.reason for each in of_day} == {"IN_DOUBT"}


@given(st.lists(by_quantity, max_size=4, unique_by=lambda one: one.day))
def test_doubts_are_never_both_charged_and_not(sums: list[Sum]) -> None:
    assert not any(one.all_doubts_charged and one.no_doubt_charged for one in sums)


by_money = st.builds(
    Sum,
    day=st.integers(0, 3).map(lambda later: DAY + datetime.timedelta(days=later)),
    models=st.just(("m",)),
    line=st.just(1),
    nano_usd=counts.map(lambda number: number * 1_000),
    entries=st.integers(0, 5),
    ledger_nano_usd=counts.map(lambda number: number * 1_000),
    shares=st.lists(shares, max_size=4),
)


@given(st.lists(by_money, max_size=4, unique_by=lambda one: one.day))
def test_the_reasons_of_a_sum_in_money_add_up_to_it_but_for_what_is_rounded(sums: list[Sum]) -> None:
    found = differences(sums)
    for one in sums:
        told = sum(each.nano_usd for each in found if each.day == one.day)
        assert abs(told - one.rest) <= one.tolerance
