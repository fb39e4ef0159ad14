"""When a batch is worth it, and until when it may take."""

from __future__ import annotations

import datetime

from hypothesis import given
from hypothesis import strategies as st

from services.orchestrator.batch import tiers

NOW = datetime.datetime(2026, 11, 26, 9, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)


def tier(hours: float | None, texts: int = 100, offered: bool = True, jobs: int = 0) -> str:
    complete_by = None if hours is None else NOW + hours * HOUR
    return tiers.decide(complete_by, NOW, texts, offered, jobs).tier


def test_a_batch_is_chosen_only_with_time_and_where_it_is_offered() -> None:
    assert [tier(hours) for hours in (26, 2, 1.5)] == ["BATCH"] * 3
    assert [tier(hours) for hours in (1.2, 1, 0.1, 0, -5, None)] == ["SYNCHRONOUS"] * 6
    assert tier(26, offered=False) == "SYNCHRONOUS"


def test_what_is_more_than_a_batch_holds_or_was_tried_often_goes_at_once() -> None:
    assert [tier(26, texts) for texts in (50_000, 50_001)] == ["BATCH", "SYNCHRONOUS"]
    assert [tier(26, jobs=jobs) for jobs in (2, 3)] == ["BATCH", "SYNCHRONOUS"]


def test_the_reason_says_how_long_a_batch_may_take() -> None:
    decision = tiers.decide(NOW + 26 * HOUR, NOW, 100, True)
    assert decision.reason == "complete_by leaves 25 h 44 min for a batch at half the price"


@given(st.integers(1, 50_000), st.floats(0, 10**6))
def test_there_is_time_to_cancel_and_then_to_embed_at_once(texts: int, hours: float) -> None:
    complete_by = NOW + hours * HOUR
    promote_at, last = (when(complete_by, NOW, texts) for when in (tiers.promote_at, tiers.last_moment))
    assert promote_at + tiers.CANCEL_TIME == last < complete_by


def test_what_became_of_it_is_told_with_the_last_batchs_own_words() -> None:
    whole = tiers.outcome(60, 60, False, [{"vectors": 60, "status": "completed"}])
    assert (whole.tier, whole.reason) == ("BATCH", "60 of 60 chunks came by 1 batch at half the price")
    last = {"status": "failed", "code": "x_y"}
    part = tiers.outcome(40, 60, True, [{"vectors": 40, "status": "completed"}, last])
    assert part.tier == "BATCH"
    assert part.reason.startswith("40 of 60 chunks came by 2 batches")
    assert part.reason.endswith("the rest at once; the last batch: failed, x_y")
    none = tiers.outcome(0, 60, True, [{"status": "refused", "code": "BATCHES_NOT_OFFERED"}])
    assert none.tier == "SYNCHRONOUS"
    assert tiers.outcome(0, 60, False, []).reason == "every chunk had its vector already"
    assert tiers.outcome(0, 60, True, []).reason == "there was no time left for a batch"


def test_a_version_outlives_its_run_whatever_time_that_names() -> None:
    never = datetime.datetime.max.replace(tzinfo=datetime.UTC)
    assert tiers.keep_until(None, NOW) == NOW + 24 * HOUR
    assert tiers.keep_until(NOW + 30 * HOUR, NOW) == NOW + 54 * HOUR
    assert tiers.keep_until(never, NOW) == NOW + datetime.timedelta(days=366)
    assert tiers.decide(never, NOW, 1, True).tier == "BATCH"
