"""What a run does without a vendor that does not serve, and what its document lacks then, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from google.protobuf.json_format import ParseDict
from psycopg.types.json import Jsonb

from services.orchestrator.runs.rows import FINAL_STATES, RETRIABLE_STATES, Row
from waybill.common.v1.backend_pb2 import BackendChoice, Mode
from waybill.common.v1.reading_pb2 import Reading
from waybill.parser.v1.parse_job_pb2 import ParseJob
from waybill.runtime import semconv
from waybill.runtime.errors import NotFound, Precondition, ServiceError
from waybill.runtime.semconv import LOCAL
from waybill.vendors.choosing import (
    EMBEDDER,
    PARSED_LOCALLY,
    PARSER,
    VECTORS_PENDING,
    choose,
    kept,
    refused_by_vendor,
    stands_in,
    vendor_of,
)

PAGES_MISSING = "PAGES_MISSING"
# What another try mends, once the vendor of this service serves.
HEALED_BY = {PARSED_LOCALLY: PARSER, VECTORS_PENDING: EMBEDDER}
HEALABLE = tuple(HEALED_BY)
# Why nothing is left to heal of a degraded run, and what that is as an error.
REPLACED, DELETED = "VERSION_REPLACED", "DOCUMENT_NOT_FOUND"
SUPERSEDED: Mapping[str, tuple[type[ServiceError], str]] = {
    REPLACED: (Precondition, "The document has another version by now: nothing is to be healed."),
    DELETED: (NotFound, "The document was deleted: nothing is to be healed."),
}
# Of a version that was parsed without the vendor: another one than that of the vendor's pages.
WITHOUT_VENDOR = " parsed-locally"
_MOST_NAMES = 5


@dataclass
class GoesOnWithout(Exception):
    """A vendor does not serve, and the mode lets the run go on without it.

    Attributes:
        choice: What was done instead.
        message: What the vendor's error says.
    """

    choice: BackendChoice
    message: str


def check_goes_on(service: str, mode: Mode, error: ServiceError, *, local_over_budget: bool) -> None:
    """Raises GoesOnWithout where a run goes on without a vendor that failed so, or that no budget pays."""
    blocked_on = error.metadata.get(semconv.BLOCKED_ON, "")
    if not (blocked_on or refused_by_vendor(error)):
        return
    choice = choose(service, mode, error.reason, local_over_budget=local_over_budget)
    if choice.reason == error.reason:
        choice.blocked_on = blocked_on
        raise GoesOnWithout(choice, error.message) from error


def lacks(row: Row) -> Mapping[str, str]:
    """The services whose vendors a run went without, each with its BackendChoice.blocked_on.

    None of a run that is no degraded one, or that no vendor mends.
    """
    if row["state"] != "READY_DEGRADED" or row["reason"] not in HEALABLE:
        return {}
    reasons = {row["reason"], *([VECTORS_PENDING] if row["embedded_chunks"] < row["chunks"] else [])}
    services = [HEALED_BY[reason] for reason in sorted(reasons)]
    return {service: row["backends"].get(service, {}).get("blocked_on", "") for service in services}


def superseded(reason: str) -> ServiceError:
    """Why nothing is left to heal, as an error.

    Args:
        reason: REPLACED or DELETED.
    """
    kind, text = SUPERSEDED[reason]
    return kind(reason, text)


def check_not_ended(row: Row) -> None:
    """Raises for a run that no vendor mends, unless it is READY or under way.

    Raises:
        Precondition: NOTHING_TO_HEAL; VERSION_REPLACED, it is known by now.
        NotFound: DOCUMENT_NOT_FOUND, likewise.
    """
    if row["state"] == "READY_DEGRADED" and row["reason"] in SUPERSEDED:
        raise superseded(row["reason"])
    if row["state"] in RETRIABLE_STATES:
        text = f"The run is {row['state']}: `waybill retry` takes it up again."
    elif row["state"] in FINAL_STATES and row["state"] != "READY":
        text = f"The run is {row['state']}, and lacks nothing that a vendor could give now."
    else:
        return
    raise Precondition("NOTHING_TO_HEAL", text)


def still_lacking(row: Row | None) -> Row:
    """What a run's row says of a version that has every vector by now: it may have got them from a migration.

    Empty where that lacks nothing.
    """
    if row is None or row["reason"] not in HEALED_BY:
        return row or {}
    pages = missing(ParseDict(row["reading"], Reading(), ignore_unknown_fields=True))
    return {**row, "reason": PAGES_MISSING, "message": pages} if pages else {}


def pending(chunks: int, message: str) -> str:
    """Sentences on chunks without a vector."""
    what = "1 chunk has" if chunks == 1 else f"{chunks} chunks have"
    return f"{what} no vector yet, and words alone find what is in them. {message} `waybill heal` mends it."


def goes_on_locally(job: ParseJob) -> bool:
    """Whether a vendor's job is left, because the vendor does not serve."""
    done = job.backend == LOCAL or job.state == ParseJob.STATE_SUCCEEDED
    return not done and bool(job.choice.backend == LOCAL)


def parsed_locally(choice: BackendChoice, refusal: str) -> str:
    """Sentences on a document that was parsed without the vendor; empty for any other.

    Args:
        choice: Who parsed it.
        refusal: What the budget says that refused it; empty where none did.
    """
    if not stands_in(choice):
        return ""
    why = f" {refusal}" if refusal else ""
    return (
        f"{vendor_of(PARSER)} did not parse it ({choice.reason}), so it was read on this machine.{why} "
        "`waybill heal` has it parsed there."
    )


def backends(choice: BackendChoice) -> Jsonb:
    """A choice as the run's row keeps it."""
    return Jsonb(kept([choice]))


def missing(reading: Reading) -> str:
    """Sentences that name what of a document is in no page; empty where nothing is missing."""
    return " ".join(_sentences(reading))


def _sentences(reading: Reading) -> Iterator[str]:
    if reading.failed_pages:
        yield f"{_pages(reading.failed_pages)} could not be read and cost nothing."
    if reading.cut_pages:
        yield f"{_pages(reading.cut_pages)} came out in part: damaged text, or more than a page may have."
    if reading.pages_without_text:
        yield (
            f"{_pages(reading.pages_without_text)} had no text that can be read: a scan, perhaps. "
            "Text recognition reads those where tesseract is installed."
        )
    if reading.left_out:
        names = ", ".join(reading.left_out[:_MOST_NAMES])
        more = len(reading.left_out) - _MOST_NAMES
        others = f" and {more} more" if more > 0 else ""
        yield f"Not read: {names}{others}. Attached files can be ingested alone."


def _pages(numbers: Sequence[int]) -> str:
    """ "Page 4", "Pages 2-4 and 9"."""
    spans = list(_spans(numbers))
    *others, last = spans
    listed = f"{', '.join(others)} and {last}" if others else last
    return f"Page{'s' if len(numbers) > 1 else ''} {listed}"


def _spans(numbers: Sequence[int]) -> Iterator[str]:
    for _, group in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0]):
        first, *_, last = [number for _, number in (*group,)] * 2
        yield str(first) if first == last else f"{first}-{last}"
