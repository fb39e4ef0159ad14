"""What LlamaCloud says of a job, checked: the SDK passes on whatever comes."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from services.parser.backends.llamaparse.errors import not_an_answer
from services.parser.backends.port import Charge

# What our jobs are found by, and what was counted before they were created.
ENTRY, RUN, FILE, PAGES = "waybill_entry_id", "waybill_run_id", "waybill_file_id", "waybill_pages"
# "1" where the document may have more pages than were asked for.
MORE = "waybill_may_have_more"


class Status(Enum):
    """Where a job stands. A status that is new to us is not an end."""

    GOES_ON = auto()
    COMPLETED = auto()
    FAILED = auto()
    CANCELLED = auto()


@dataclass(frozen=True, slots=True)
class VendorJob:
    """A job.

    Attributes:
        created_at: Seconds since the epoch, on the vendor's clock.
        message: Why it failed, in the vendor's words.
        credits: Billed, in millionths; None until the vendor says it.
        metadata: What we sent along.
    """

    id: str
    status: Status
    created_at: float
    message: str
    credits: int | None
    metadata: Mapping[str, str]

    @property
    def charge(self) -> Charge | None:
        """What it has cost."""
        return None if self.credits is None else Charge("credit", "microcredit", self.credits)

    @property
    def counted_pages(self) -> int:
        """Pages that it surely has; 0 where they could not be counted exactly."""
        counted = self.metadata.get(PAGES, "")
        return int(counted) if counted.isdecimal() else 0


def word(answer: Any, name: str) -> str:
    """A field that is a text. Raises VendorContract VENDOR_ANSWER_INVALID."""
    found = answer.get(name) if isinstance(answer, dict) else None
    if not isinstance(found, str) or not found:
        raise not_an_answer(f"has no {name}")
    return found


def job(answer: Any) -> VendorJob:
    """A job object. Raises VendorContract VENDOR_ANSWER_INVALID."""
    job_id, status = word(answer, "id"), word(answer, "status")
    metadata = answer.get("user_metadata")
    known = metadata if isinstance(metadata, dict) else {}
    message = answer.get("error_message")
    return VendorJob(
        id=job_id,
        status=Status.__members__.get(status, Status.GOES_ON),
        created_at=_seconds(answer.get("created_at")),
        message=message if isinstance(message, str) else "",
        credits=_credits(answer.get("usage")),
        metadata={str(name): value for name, value in known.items() if isinstance(value, str)},
    )


def items(answer: Mapping[str, Any]) -> list[Any]:
    """A list's page. Raises VendorContract VENDOR_ANSWER_INVALID."""
    found = answer.get("items")
    if not isinstance(found, list):
        raise not_an_answer("is no list")
    return found


def _seconds(created_at: Any) -> float:
    """A job without its time is taken for new: it is only looked at then, and not passed over."""
    try:
        moment = datetime.datetime.fromisoformat(created_at)
    except (TypeError, ValueError):
        return math.inf
    zone = moment.tzinfo or datetime.UTC
    return moment.replace(tzinfo=zone).timestamp()


def _credits(usage: Any) -> int | None:
    told = usage.get("credits") if isinstance(usage, dict) else None
    if isinstance(told, bool) or not isinstance(told, int | float) or not math.isfinite(told) or told < 0:
        return None
    return round(told * 1_000_000)
