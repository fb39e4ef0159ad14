"""Which errors say that a vendor surely did nothing, and charges nothing.

Their class is in SURELY_NOT_ACTED, and their metadata names under `semconv.VENDOR` the vendor that was to be
paid, and has no `semconv.CHARGED`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from waybill.runtime import semconv
from waybill.runtime.errors import Credential, InvalidRequest, NotFound, Precondition, Quota

# A backend raises these only for an answer that rejects the request, or for a request that was not sent.
SURELY_NOT_ACTED = (InvalidRequest, Precondition, Quota, Credential, NotFound)


@contextmanager
def refusals_of(vendor: str) -> Iterator[None]:
    """Says of the refusals that leave the block that they are this vendor's: for engines of our own."""
    try:
        yield
    except SURELY_NOT_ACTED as error:
        error.metadata = {**error.metadata, semconv.VENDOR: vendor}
        raise


def refused_for_nothing(failure: BaseException | None, vendor: str) -> bool:
    """Whether a failure says that this vendor surely did nothing, and charges nothing."""
    return (
        isinstance(failure, SURELY_NOT_ACTED)
        and failure.metadata.get(semconv.VENDOR) == vendor
        and semconv.CHARGED not in failure.metadata
    )
