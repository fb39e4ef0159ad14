"""Which backend does a piece of work, and why: the one table of modes, vendors' states and services."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from waybill.common.v1.backend_pb2 import BackendChoice, Mode
from waybill.runtime import semconv
from waybill.runtime.errors import (
    Credential,
    Precondition,
    Quota,
    ServiceError,
    Unavailable,
    VendorContract,
)
from waybill.runtime.semconv import LOCAL
from waybill.vendors.registry import VENDORS

OVER_BUDGET = "BUDGET_EXCEEDED"
# Why plain text is read here in every mode: there is nothing in it to recognise.
PLAIN_TEXT = "PLAIN_TEXT"
# What a document lacks that was made without a vendor.
PARSED_LOCALLY, VECTORS_PENDING = "PARSED_LOCALLY", "VECTORS_PENDING"
# What is done for a vendor that does not serve; storage waits for it.
PARSER, EMBEDDER, STORAGE = "parser", "embedder", "storage"
# Errors of a vendor that the work did not earn: another document would have met the same.
_NOT_SERVING = (Unavailable, VendorContract, Credential, Precondition, Quota)


def vendor_of(service: str) -> str:
    """The vendor that does a service's work."""
    (name,) = (vendor.name for vendor in VENDORS if vendor.service == service)
    return name


def service_of(vendor: str) -> str:
    """The service whose work a vendor does; empty where it is no vendor."""
    return next((one.service for one in VENDORS if one.name == vendor), "")


def needed(service: str, mode: Mode) -> set[str]:
    """The backends that a service must have for a mode, so that none of its work fails for want of one."""
    if mode == Mode.MODE_LOCAL:
        return {LOCAL}
    stands_in = mode == Mode.MODE_HYBRID and service == PARSER
    return {vendor_of(service), LOCAL} if stands_in else {vendor_of(service)}


def refused_by_vendor(error: ServiceError) -> str:
    """The vendor that did not serve, by its error; empty where it was the work's fault, or not a vendor's."""
    vendor = error.metadata.get(semconv.VENDOR, "")
    return vendor if vendor != LOCAL and isinstance(error, _NOT_SERVING) else ""


def waited_for(error: ServiceError) -> str:
    """The service whose vendor does not serve now, and whose return alone mends an error; empty: none.

    A refused key is waited for where files are kept: it was good when the file was stored. Elsewhere it fails
    the work, so that somebody mends it.
    """
    service = service_of(refused_by_vendor(error))
    passes = isinstance(error, Unavailable) or error.retry_after_seconds is not None
    return service if passes or (service == STORAGE and isinstance(error, Credential)) else ""


def choose(service: str, mode: Mode, lack: str = "", *, local_over_budget: bool = False) -> BackendChoice:
    """The backend for a piece of work.

    Args:
        service: "parser", "embedder" or "storage".
        mode: Of the service.
        lack: Why the vendor cannot do it, a name of ErrorReason; empty: it can.
        local_over_budget: What a budget refuses is done without the vendor, too.
    """
    choice = BackendChoice(service=service, mode=mode, reason=Mode.Name(mode))
    goes_on = mode == Mode.MODE_HYBRID and (lack != OVER_BUDGET or local_over_budget)
    if mode == Mode.MODE_LOCAL:
        choice.backend = LOCAL
    elif lack and goes_on and service in (PARSER, EMBEDDER):
        # Vectors of two spaces never meet: none is better than a local one.
        choice.backend = LOCAL if service == PARSER else ""
        choice.reason = lack
    else:
        choice.backend = vendor_of(service)
    return choice


def stands_in(choice: BackendChoice) -> bool:
    """Whether the work was done on this machine because the vendor could not do it."""
    return choice.backend == LOCAL and choice.reason not in (Mode.Name(choice.mode), PLAIN_TEXT)


def kept(choices: Iterable[BackendChoice]) -> dict[str, dict[str, str]]:
    """Choices by service, as rows keep them."""
    return {
        choice.service: {
            "backend": choice.backend,
            "mode": Mode.Name(choice.mode),
            "reason": choice.reason,
            **({"blocked_on": choice.blocked_on} if choice.blocked_on else {}),
        }
        for choice in choices
    }


def choices_of(row: Mapping[str, Mapping[str, str]]) -> list[BackendChoice]:
    """Choices that a row has kept; a parser's before an embedder's, as they work."""
    services = sorted(row, reverse=True)
    return [BackendChoice(service=service, **row[service]) for service in services]


def choice_attributes(choice: BackendChoice) -> dict[str, str]:
    """A choice, as attributes of the span of the work."""
    return {semconv.BACKEND: choice.backend, semconv.BACKEND_REASON: choice.reason}
