"""Values that name runs, and a run about to be written."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from waybill.runtime.errors import NotFound
from waybill.runtime.ids import uuid7

Row = dict[str, Any]
_EPOCH = datetime.datetime.fromtimestamp(0, datetime.UTC)
# What a step answered: has a value, or says what failed.
Outcome = dict[str, Any]
FINAL_STATES = ("READY", "READY_DEGRADED", "UNCHANGED", "FAILED", "EXPIRED", "CANCELLED")
# What a run that waits takes up no place in.
WAITING_STATES = ("WAITING_ON_VENDOR", "BLOCKED_ON_BUDGET")
RETRIABLE_STATES = ("FAILED", "EXPIRED", "CANCELLED")


@dataclass(frozen=True)
class RunRef:
    """Names a run and whose it is."""

    tenant: str
    run_id: str


@dataclass(frozen=True)
class NewRun:
    """A run about to be written; see the columns of waybill_runs.runs."""

    run_id: str
    tenant: str
    correlation_id: str
    request_id: str | None
    caller_traceparent: str
    collection: str
    document_key: str
    filename: str
    source_sha256: str
    size_bytes: int
    source_key: str
    created_at: datetime.datetime
    complete_by: datetime.datetime | None
    metadata: Mapping[str, str]
    origin: str = ""
    document_id: str = ""
    version_id: str = ""
    chunks: int = 0
    subject: str = ""
    credential_id: str = ""

    @property
    def ref(self) -> RunRef:
        """Its name."""
        return RunRef(self.tenant, self.run_id)


def unix_ms(moment: datetime.datetime) -> int:
    """Whole milliseconds since 1970, 0 before."""
    return max(0, (moment - _EPOCH) // datetime.timedelta(milliseconds=1))


def new_run_id(now_ms: int, random: bytes) -> str:
    """See `uuid7`."""
    return str(uuid7(now_ms, random))


def run_not_found() -> NotFound:
    """For an id that names no run of the tenant."""
    return NotFound("RUN_NOT_FOUND", "No run has this id. `waybill runs` lists those there are.")
