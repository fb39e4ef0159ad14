"""At once or by the vendor's batch: which it is for a run, and until when the batch may take.

A batch costs half the price, may take a day, and may fail. It is chosen only where there is time for it. It
is given up while the synchronous way can still meet the run's complete_by. What the batch did by then is
kept; the rest is embedded at once. So a batch misses no deadline, and never costs more.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from waybill.limits import BATCH_JOB_TEXTS

SYNCHRONOUS, BATCH = "SYNCHRONOUS", "BATCH"
# Less time than this is not worth a batch.
LEAST_WAIT = datetime.timedelta(hours=1)
# A batch that is cancelled may take so long to end (OpenAI's API reference, "Cancel batch").
CANCEL_TIME = datetime.timedelta(minutes=10)
# What the synchronous way takes: queueing and publishing, and the texts by a bucket of 1M tokens a minute
# that others share.
SYNCHRONOUS_TIME = datetime.timedelta(minutes=5)
SYNCHRONOUS_TEXTS_PER_SECOND = 20
# Of a run's batches: the second and third have what the one before could not do.
MOST_JOBS = 3
FARTHEST = datetime.timedelta(days=365)


@dataclass(frozen=True)
class Decision:
    """A tier, and why; a sentence without its full stop."""

    tier: str
    reason: str


def decide(
    complete_by: datetime.datetime | None, now: datetime.datetime, texts: int, offered: bool, jobs: int = 0
) -> Decision:
    """Which tier a run takes.

    Args:
        complete_by: When the run must be done, if ever.
        now: In UTC.
        texts: That are still to be embedded.
        offered: Whether the embedder takes batches.
        jobs: Batches that the run has had already.
    """
    if complete_by is None:
        return Decision(SYNCHRONOUS, "the run has no complete_by, so it is wanted at once")
    if not offered:
        return Decision(SYNCHRONOUS, "the embedder takes no batches")
    if texts > BATCH_JOB_TEXTS:
        return Decision(SYNCHRONOUS, f"{texts} chunks are more than the {BATCH_JOB_TEXTS} of a batch")
    if jobs == MOST_JOBS:
        return Decision(SYNCHRONOUS, f"{jobs} batches left {texts} chunks without a vector")
    wait = promote_at(complete_by, now, texts) - now
    if wait < LEAST_WAIT:
        return Decision(SYNCHRONOUS, f"complete_by leaves {_shown(wait)} for a batch, which is too little")
    return Decision(BATCH, f"complete_by leaves {_shown(wait)} for a batch at half the price")


def outcome(got: int, texts: int, pending: bool, jobs: Sequence[Mapping[str, Any]]) -> Decision:
    """What became of the batch tier: which it was in the end, and how.

    Args:
        got: Texts that batches embedded.
        texts: All of the document's.
        pending: Whether some have no vector yet, and are embedded at once.
        jobs: How each batch came out, oldest first.
    """
    tier = BATCH if got else SYNCHRONOUS
    if not jobs:
        what = "there was no time left for a batch" if pending else "every chunk had its vector already"
        return Decision(tier, what)
    batches = "1 batch" if len(jobs) == 1 else f"{len(jobs)} batches"
    reason = f"{got} of {texts} chunks came by {batches} at half the price"
    if not pending:
        return Decision(tier, reason)
    words = [str(jobs[-1][word]) for word in ("status", "code") if jobs[-1].get(word)]
    return Decision(tier, f"{reason}, the rest at once; the last batch: {', '.join(words)}")


def promote_at(complete_by: datetime.datetime, now: datetime.datetime, texts: int) -> datetime.datetime:
    """When a batch is cancelled at the latest, so that the synchronous way can do the rest in time."""
    return last_moment(complete_by, now, texts) - CANCEL_TIME


def last_moment(complete_by: datetime.datetime, now: datetime.datetime, texts: int) -> datetime.datetime:
    """When the synchronous way must begin, whatever becomes of the batch."""
    work = datetime.timedelta(seconds=texts / SYNCHRONOUS_TEXTS_PER_SECOND)
    return min(complete_by, now + FARTHEST) - SYNCHRONOUS_TIME - work


def keep_until(complete_by: datetime.datetime | None, now: datetime.datetime) -> datetime.datetime:
    """Until when the unpublished version of a run must be kept."""
    return min(complete_by or now, now + FARTHEST) + datetime.timedelta(days=1)


def _shown(wait: datetime.timedelta) -> str:
    hours, minutes = divmod(max(0, int(wait.total_seconds())) // 60, 60)
    return f"{hours} h {minutes:02d} min"
