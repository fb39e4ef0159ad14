"""Parse jobs: PENDING, RUNNING and one of three ends, each at its time on the clock."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from waybill.sim.clock import Clock, Timer
from waybill.sim.faults import Fault
from waybill.sim.ids import Ids
from waybill.sim.invoice import Invoice
from waybill.sim.llamacloud.configuration import Configuration
from waybill.sim.llamacloud.documents import Document
from waybill.sim.llamacloud.errors import NO_CREDITS, Refused, no_such_job
from waybill.sim.llamacloud.listing import stamp
from waybill.sim.llamacloud.settings import (
    CACHE_SECONDS,
    CACHED,
    CONFIDENCE_CREDITS,
    PLANS,
    TIER_FACTORS,
    LlamaCloudSettings,
)

ENDED = ("COMPLETED", "FAILED", "CANCELLED")


@dataclass
class Job:
    """One job.

    Args:
        fault: What broke its creation, for the faults that follow a job.
        pages: The numbers of the pages that are parsed.
        credits: What it costs; None before it has ended.
        seen: How often a fault of its reading came.
    """

    id: str
    project: str
    organization: str
    document: Document
    configuration: Configuration
    fault: Fault | None
    created: float
    updated: float
    pages: list[int]
    status: str = "PENDING"
    error: str | None = None
    cached: bool = False
    credits: float | None = None
    told_at: float = math.inf
    timer: Timer | None = None
    seen: Counter[str] = field(default_factory=Counter)

    def broken_as(self, name: str) -> bool:
        """Whether this fault broke its creation."""
        return self.fault is not None and self.fault.name == name

    def variant(self, default: str) -> str:
        """The variant of its fault."""
        return (self.fault.variant if self.fault else "") or default

    @property
    def failed_pages(self) -> int:
        """How many of its last pages could not be parsed."""
        if not self.broken_as("F27"):
            return 0
        wanted = self.variant("1")
        return len(self.pages) if wanted == "all" else min(int(wanted), len(self.pages))

    def body(self, status: str, now: float, with_usage: bool) -> dict[str, Any]:
        """LlamaCloud's JSON under a status."""
        told = self.credits if now >= self.told_at else None
        return {
            "id": self.id,
            "project_id": self.project,
            "status": status,
            "created_at": stamp(self.created),
            "updated_at": stamp(self.updated),
            "error_message": self.error if status == "FAILED" else None,
            "name": self.document.name,
            "tier": self.configuration.tier,
            "user_metadata": self.configuration.user_metadata,
            "usage": {"credits": told} if with_usage else None,
        }


class Jobs:
    """Jobs by id, in the order of their creation.

    Args:
        tell: Sends a job's event.

    Attributes:
        created: How many there ever were.
    """

    def __init__(
        self,
        settings: LlamaCloudSettings,
        clock: Clock,
        ids: Ids,
        invoice: Invoice,
        tell: Callable[[Job, str], None],
    ) -> None:
        self._settings, self._times = settings, settings.jobs
        self._clock, self._ids, self._invoice, self._tell = clock, ids, invoice, tell
        self._jobs: dict[str, Job] = {}
        self._deleted: list[Job] = []
        self._results: dict[tuple[str, str, str], float] = {}
        self._spent: Counter[str] = Counter()
        self.created = 0

    def take(self, **seconds: float) -> None:
        """Jobs created from now on take other times; see `JobTimes`."""
        self._times = dataclasses.replace(self._times, **seconds)

    def create(
        self,
        who: Mapping[str, str],
        document: Document,
        configuration: Configuration,
        fault: Fault | None,
    ) -> Job:
        """Begins a job.

        Args:
            who: `organization`, `project` and `plan`.

        Raises:
            Refused: The plan has no credits left.
        """
        quota = PLANS[who["plan"]].credits
        if quota is not None and self._spent[self._month(who["organization"])] >= quota:
            raise Refused(402, NO_CREDITS)
        now = self._clock.now()
        job = Job(
            self._ids.uuid("pjb-"),
            who["project"],
            who["organization"],
            document,
            configuration,
            fault,
            now,
            now,
            configuration.pages(document.pages),
        )
        self._jobs[job.id] = job
        self.created += 1
        job.cached = fault is None and not configuration.disable_cache and self._is_cached(job)
        if not job.cached or self._settings.assumptions.cache_hits_notify:
            self._tell(job, "parse.pending")
        if job.cached or job.broken_as("F39"):
            self._finish(job)
        elif not job.broken_as("F20"):
            job.timer = self._clock.at(now + self._times.queued_seconds, lambda: self._start(job))
        return job

    def get(self, project: str, job_id: str) -> Job:
        """A job.

        Raises:
            Refused: There is none of this id that can be seen.
        """
        job = self._jobs.get(job_id)
        if job is None or job.project != project or not self._is_visible(job):
            raise no_such_job()
        return job

    def of(self, project: str) -> list[Job]:
        """A project's jobs, the newest first."""
        return [job for job in self._all() if job.project == project and self._is_visible(job)]

    def billed(self, organization: str) -> list[Job]:
        """An organization's jobs whose credits are told, the newest first; also those that are deleted."""
        now = self._clock.now()
        every = sorted([*self._deleted, *self._jobs.values()], key=lambda job: job.created, reverse=True)
        return [job for job in every if job.organization == organization and now >= job.told_at]

    def cancel(self, job: Job, fault: Fault | None) -> None:
        """Ends a job, if it has not ended.

        Raises:
            Refused: It has ended, or does so now.
        """
        if fault is not None and fault.name == "F43" and job.status not in ENDED:
            self._finish(job)
        if job.status in ENDED:
            raise self._wrong_state(f"Cannot cancel a job in status {job.status}")
        self._end(job, "CANCELLED", None, billed=self._settings.assumptions.cancelled_billed)
        self._tell(job, "parse.cancelled")

    def delete(self, job: Job) -> None:
        """Forgets a job that has ended.

        Raises:
            Refused: It has not.
        """
        if job.status not in ENDED:
            raise self._wrong_state(f"Cannot delete a job in status {job.status}")
        self._deleted.append(self._jobs.pop(job.id))

    def shown(self, job: Job) -> str:
        """The status that a reader sees."""
        if job.status != "COMPLETED":
            return job.status
        if job.broken_as("F41") and self._clock.now() < job.updated + float(job.variant("5")):
            return "RUNNING"
        if job.broken_as("F29"):
            job.seen["F29"] += 1
            return "RUNNING" if job.seen["F29"] == 2 else job.status
        return job.status

    def _all(self) -> list[Job]:
        return list(reversed(self._jobs.values()))

    def _is_visible(self, job: Job) -> bool:
        lag = float(job.variant("2")) if job.broken_as("F30") else 0
        return self._clock.now() >= job.created + lag

    def _wrong_state(self, detail: str) -> Refused:
        return Refused(self._settings.assumptions.wrong_state, detail)

    def _start(self, job: Job) -> None:
        job.status, job.updated = "RUNNING", self._clock.now()
        self._tell(job, "parse.running")
        if job.broken_as("F21"):
            return
        pages = len(job.pages)
        takes = max(pages, 1) * self._times.page_seconds * TIER_FACTORS[job.configuration.tier]
        limit = job.configuration.timeout(pages)
        late = limit is not None and takes > limit
        due = self._clock.now() + (limit if limit is not None and late else takes)
        failure = "TIMEOUT" if late else self._failure(job)
        job.timer = self._clock.at(due, lambda: self._fail(job, failure) if failure else self._finish(job))

    def _failure(self, job: Job) -> str:
        if job.broken_as("F22") or job.broken_as("F23"):
            return job.variant("ERROR_DURING_PROCESSING")
        if job.document.pages > self._settings.most_pages and job.configuration.max_pages is None:
            return "TOO_MANY_PAGES"
        return job.document.failure

    def _fail(self, job: Job, reason: str) -> None:
        message = None if job.broken_as("F23") else f"{reason}: the document could not be parsed."
        self._end(job, "FAILED", message, billed=self._settings.assumptions.failed_billed)
        self._tell(job, "parse.error")

    def _finish(self, job: Job) -> None:
        self._end(job, "COMPLETED", None, billed=True)
        if not job.cached or self._settings.assumptions.cache_hits_notify:
            self._tell(job, "parse.partial_success" if job.failed_pages else "parse.success")
        if job.fault is None and not job.configuration.disable_cache:
            self._results[_cache_key(job)] = job.updated

    def _end(self, job: Job, status: str, error: str | None, billed: bool) -> None:
        if job.timer:
            job.timer.cancel()
        job.status, job.error, job.updated = status, error, self._clock.now()
        job.credits = self._bill(job) if billed else 0.0
        job.told_at = job.updated + self._times.billed_seconds
        if job.broken_as("F31") and job.variant("never") != "wrong":
            told = job.variant("never")
            job.told_at = math.inf if told == "never" else job.updated + float(told)

    def _bill(self, job: Job) -> float:
        """Charges a job's pages; returns its credits."""
        pages = len(job.pages)
        if not self._settings.assumptions.failed_pages_billed:
            pages -= job.failed_pages
        if job.broken_as("F31") and job.variant("never") == "wrong":
            pages *= 2
        if job.cached:
            self._invoice.charge(job.updated, job.id, CACHED, pages)
            return 0.0
        self._invoice.charge(job.updated, job.id, job.configuration.tier, pages)
        rate = self._settings.credits_per_page[job.configuration.tier]
        if job.configuration.confident:
            self._invoice.charge(job.updated, job.id, "confidence", pages)
            rate += CONFIDENCE_CREDITS
        self._spent[self._month(job.organization)] += pages * rate
        return float(pages * rate)

    def _month(self, organization: str) -> str:
        return f"{organization} {stamp(self._clock.now())[:7]}"

    def _is_cached(self, job: Job) -> bool:
        at = self._results.get(_cache_key(job))
        return at is not None and self._clock.now() < at + CACHE_SECONDS


def _cache_key(job: Job) -> tuple[str, str, str]:
    return job.project, job.document.sha256, job.configuration.options
