"""A parse job: what is known of one."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, cast

from services.parser.job_statements import MOST_DEATHS
from services.parser.pages import Reading
from waybill.common.v1.cost_pb2 import CostKind
from waybill.object_keys import parsed_folder
from waybill.runtime.identity import Caller

# What of a caller is kept in a job's columns, by their names.
CALLER = (
    "tenant", "correlation_id", "run_id", "step_span_id", "collection", "document_key", "subject",
    "credential_id",
)  # fmt: skip


class JobState(Enum):
    """As in the contract and in SQL."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def final(self) -> bool:
        """Whether nothing will change any more."""
        return self not in (JobState.QUEUED, JobState.RUNNING)


class Lane(Enum):
    """What a job needs of the process that works on it; each has its own bound."""

    # A core, or the engine's ear.
    PLACE = "place"
    # Next to nothing: a small text, or what is left of a cancelled job.
    LIGHT = "light"
    # A look at a parse that goes on at its engine.
    ENGINE = "engine"


@dataclass(frozen=True, kw_only=True)
class NewJob:
    """What is asked for, by whom, and with which engine.

    Attributes:
        size_bytes: Of the source; 0 where an older release made the job.
        light: It needs so little that it takes no place of the others.
        hybrid: Its caller goes on without the vendor while that does not serve.
    """

    caller: Caller
    traceparent: str
    source_key: str
    source_sha256: str
    filename: str
    tier: str
    backend: str
    cost_kind: CostKind
    revision: str
    size_bytes: int = 0
    light: bool = False
    hybrid: bool = False


@dataclass(frozen=True, kw_only=True)
class Job(NewJob):
    """A job as it stands.

    Attributes:
        entry_id: The newest attempt, whose hold may not have been placed. A cancelled job has one until
            nothing is left of it: the entry has ended, and there is no artifact.
        parse_id: The engine's name of that attempt's parse, where it keeps one.
        expected_pages: What that attempt was to buy; 0 before there is one, or where it is read here.
        pages_done: Of these, as far as the engine tells.
        look_at: While that parse goes on at its engine: nobody here asks before. None otherwise.
        ends_by: When that parse is held to be stuck.
        page_count: Above 0 once the artifact is stored; from then on a job is not cancelled.
        reading: How the document was read; empty until the artifact is stored.
        failed_vendor: Of a job that FAILED, or is put off: the vendor that did not serve; else empty.
        in_vain: Tries in a row that began while that vendor, or our neighbour, served, and were put off.
        deaths: Processes that have died while they worked on it.
        charge_of: The entry whose charge its engine has still to tell; empty where none is.
        leased: Whether a process works on it, or did until it died.
        kept: Of a job that FAILED: the next one of the content takes up its parse, which its engine keeps.
    """

    job_id: uuid.UUID
    state: JobState
    entry_id: str
    parse_id: str
    expected_pages: int
    pages_done: int
    look_at: datetime.datetime | None
    ends_by: datetime.datetime | None
    result_key: str
    page_count: int
    reading: Reading
    reason: str
    message: str
    blocked_on: str
    failed_vendor: str
    in_vain: int
    created_at: datetime.datetime
    ended_at: datetime.datetime | None
    deaths: int
    charge_of: str
    leased: bool
    kept: bool

    @property
    def open(self) -> bool:
        """Whether something is still to be done: the parse, or what a cancel has left."""
        left = self.leased or self.entry_id != ""
        return not self.state.final or (self.state is JobState.CANCELLED and left)

    @property
    def buys(self) -> bool:
        """Whether there is an attempt that costs something; see `Parser.count_pages`."""
        return bool(self.entry_id) and self.expected_pages > 0

    @property
    def lane(self) -> Lane:
        """What it needs now."""
        if self.parse_id:
            return Lane.ENGINE
        return Lane.LIGHT if self.light or self.state is JobState.CANCELLED else Lane.PLACE

    @property
    def poisonous(self) -> bool:
        """Whether no process shall try it again."""
        return self.deaths >= MOST_DEATHS

    @property
    def suspect(self) -> bool:
        """Whether one more death condemns it, which must then be its own and no neighbour's doing."""
        return self.deaths == MOST_DEATHS - 1 and self.state is not JobState.CANCELLED

    @property
    def artifact_key(self) -> str:
        """Where the pages go. The job's own: what is left of a cancelled one never meets the next one's."""
        folders = filter(None, (parsed_folder(self.source_sha256), self.tier, self.revision))
        return f"{'/'.join(folders)}/{self.job_id}.jsonl"

    @property
    def spend_key(self) -> str:
        """What a parse buys, by meaning."""
        return f"parse:{self.source_sha256}:{self.tier}:{self.revision}"


def job_of(row: Mapping[str, Any]) -> Job:
    """From its row."""
    return Job(
        caller=Caller(**{name: row[name] for name in CALLER}),
        traceparent=row["traceparent"],
        source_key=row["source_key"],
        source_sha256=row["source_sha256"],
        filename=row["filename"],
        tier=row["tier"],
        revision=row["revision"],
        size_bytes=row["size_bytes"],
        light=row["light"],
        backend=row["backend"],
        cost_kind=cast("CostKind", CostKind.Value(f"COST_KIND_{row['cost_kind']}")),
        job_id=row["job_id"],
        state=JobState(row["state"]),
        entry_id=str(row["entry_id"] or ""),
        parse_id=row["parse_id"],
        expected_pages=row["expected_pages"],
        pages_done=row["pages_done"],
        look_at=None if row["state"] == "CANCELLED" else row["look_at"],
        ends_by=row["ends_by"],
        result_key=row["result_key"],
        page_count=row["page_count"],
        reading=Reading.of_row(row["reading"]),
        reason=row["reason"],
        message=row["message"],
        blocked_on=row["blocked_on"],
        failed_vendor=row["failed_vendor"],
        in_vain=row["in_vain"],
        hybrid=row["hybrid"],
        created_at=row["created_at"],
        ended_at=row["ended_at"],
        deaths=row["deaths"],
        charge_of=str(row["charge_of"] or ""),
        leased=row["leased_until"] is not None,
        kept=row["kept"],
    )
