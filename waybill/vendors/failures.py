"""How a call to any vendor can fail before there is a status to judge.

Which class an error gets decides about money: a refusal (InvalidRequest, Precondition, Quota, Credential)
releases the hold, everything else leaves it in doubt.
"""

from __future__ import annotations

from waybill.runtime import semconv
from waybill.runtime.errors import Precondition, Unavailable, VendorContract
from waybill.vendors.registry import Vendor

# The reason of the Credential that says so: another key is tried, where there is one.
KEY_REFUSED = "VENDOR_KEY_REFUSED"


def unreachable(vendor: Vendor) -> Precondition:
    """No connection was made, so nothing was sent."""
    text = f"No connection to {vendor.title} could be made."
    return Precondition("VENDOR_UNREACHABLE", text, {semconv.VENDOR: vendor.name}, 0.0)


def lost(vendor: Vendor) -> Unavailable:
    """The connection broke with the request on its way, or the answer."""
    text = f"The connection to {vendor.title} broke before its answer was whole."
    return Unavailable("VENDOR_CONNECTION_LOST", text, {semconv.VENDOR: vendor.name})


def timed_out(vendor: Vendor, seconds: float) -> Unavailable:
    """The answer was not whole in time."""
    text = f"{vendor.title} did not answer within {seconds:.1f} s."
    return Unavailable("VENDOR_TIMEOUT", text, {semconv.VENDOR: vendor.name})


def not_an_answer(vendor: Vendor, what: str) -> VendorContract:
    """A 200 that is no answer to the request; whether it is charged, nobody knows."""
    text = f"{vendor.title}'s answer {what}. Nothing of it was used."
    return VendorContract("VENDOR_ANSWER_INVALID", text, {semconv.VENDOR: vendor.name})
