"""How an `ingest` ended as a whole: counts by state, its label, and last what failed and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.text import Text

from waybill.cli.exits import advice
from waybill.cli.outcome import Outcome, error_object
from waybill.cli.plain import plain
from waybill.cli.screen import Screen, counted

# All were said as they ended; a list that scrolls the counts away helps nobody.
MOST_FAILED = MOST_TWINS = 20
_YELLOW = ("READY_DEGRADED", "WAITING_ON_VENDOR", "BLOCKED_ON_BUDGET")
_STYLES = {"READY": "green", "UNCHANGED": "green"} | dict.fromkeys(_YELLOW, "yellow")


def summary(screen: Screen, outcomes: Sequence[Outcome], correlation_id: str) -> Iterator[Text]:
    """Lines for the end of a command."""
    states = Counter(outcome.state for outcome in outcomes)
    parts = (Text(f"{n:,} {state}", _STYLES.get(state, "bold red")) for state, n in states.most_common())
    yield Text(", ").join(parts)
    yield Text(f"correlation id {plain(correlation_id)}", "dim")
    same = [outcome for outcome in outcomes if outcome.same_content_as]
    for outcome in same[:MOST_TWINS]:
        key, other = plain(outcome.source.document_key), plain(outcome.same_content_as)
        yield Text(f"{key}: same content as {other}", "yellow")
    if len(same) > MOST_TWINS:
        yield Text(f"and {len(same) - MOST_TWINS:,} more have the content of another")
    failed = [outcome for outcome in outcomes if not outcome.good]
    for outcome in failed[:MOST_FAILED]:
        yield from _failure(outcome)
    if len(failed) > MOST_FAILED:
        more = counted(len(failed) - MOST_FAILED, "more document")
        yield Text(f"and {more}: {screen.command('runs')}")


def _failure(outcome: Outcome) -> Iterator[Text]:
    error = error_object(outcome)
    assert error is not None
    yield Text(f"{outcome.state} {plain(outcome.source.document_key)}", "bold red")
    yield Text(f"  {plain(error['reason'])}: {plain(error['message'])}")
    if outcome.error is not None:
        yield Text(f"  next: {advice(outcome.error).next_step}")
