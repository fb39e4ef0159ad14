"""How long a vendor is waited for that serves, and yet refuses one piece of work again and again."""

from __future__ import annotations

from waybill.runtime import semconv
from waybill.runtime.errors import ServiceError, Unavailable

FIRST_SECONDS, LONGEST_SECONDS = 2.0, 60.0
# Tries, in an hour.
MOST_IN_VAIN = 64


def again_after(in_vain: int) -> float:
    """Seconds until the next try, after so many in a row that came to nothing; one or more."""
    return min(FIRST_SECONDS * 2.0 ** min(in_vain - 1, 10), LONGEST_SECONDS)


def keeps_refusing(vendor: str, message: str) -> ServiceError:
    """What the work fails with in the end.

    Args:
        vendor: Its name.
        message: What it said last.
    """
    return Unavailable(
        "VENDOR_KEEPS_REFUSING",
        f"{vendor} works, and yet refused this again and again for an hour. {message} Mend that there, then "
        "`waybill retry` takes the run up again.",
        {semconv.VENDOR: vendor},
    )
