"""What OpenAI's refusals and failures are to us (facts: OpenAI's API reference, "Error codes").

Which class an error gets decides about money: a refusal (InvalidRequest, Precondition, Quota,
Credential) releases the hold, everything else leaves it in doubt. The vendor's own words are not
repeated: they may hold text of a document, or a key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from waybill.runtime import semconv
from waybill.runtime.errors import (
    Credential,
    InvalidRequest,
    NotFound,
    Precondition,
    Quota,
    ServiceError,
    Unavailable,
    VendorContract,
)
from waybill.vendors.rate_headers import retry_after_seconds

VENDOR = "openai"
# 429, but no waiting helps: somebody has to pay first.
NEVER_AGAIN = frozenset(
    {
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "insufficient_quota",
    }
)
_WORD = re.compile(r"[a-z][a-z0-9_.]{0,63}")


def of_status(status: int, headers: Mapping[str, str], body: bytes) -> ServiceError:
    """The error behind an HTTP status that is not 200."""
    code = _code(body)
    facts = {semconv.VENDOR: VENDOR, "status": str(status), "code": code}
    wait = retry_after_seconds(headers)
    match status:
        case 400 | 413 | 422:
            return _invalid(code, facts)
        case 401:
            return Credential("VENDOR_KEY_REFUSED", "OpenAI refused the API key. Set a valid one.", facts)
        case 403:
            return Credential(
                "VENDOR_ACCESS_REFUSED", "The API key may not do this. Give its project access.", facts
            )
        case 404:
            return Precondition(
                "VENDOR_MODEL_UNKNOWN", "OpenAI knows no such model for this key. Mend OPENAI_MODEL.", facts
            )
        case 429 if code in NEVER_AGAIN:
            return Quota("VENDOR_QUOTA_EXHAUSTED", f"OpenAI's account is at its limit: {code}.", facts)
        case 429:
            return Quota("VENDOR_RATE_LIMITED", "OpenAI's rate limit is reached.", facts, wait or 0.0)
    if status in (408, 409) or status >= 500:
        return Unavailable("VENDOR_ERROR", f"OpenAI answered {status}.", facts, wait)
    if status < 400:
        return VendorContract("VENDOR_REDIRECTED", f"OpenAI answered {status}, which is not followed.", facts)
    return Precondition("VENDOR_REFUSED", f"OpenAI answered {status} {code}".rstrip() + ".", facts)


def of_batch_status(status: int, headers: Mapping[str, str], body: bytes) -> ServiceError:
    """The same of a request for batches or files themselves, which compatible servers often lack."""
    if status in (404, 405):
        text = "This server of OPENAI_BASE_URL takes no batches. Embed at once, or set another server."
        return Precondition("BATCHES_NOT_OFFERED", text, {semconv.VENDOR: VENDOR, "status": str(status)})
    return of_status(status, headers, body)


def no_batch() -> NotFound:
    """No such batch, or its files are deleted."""
    text = "OpenAI has no such batch, or its files are deleted."
    return NotFound("BATCH_JOB_NOT_FOUND", text, {semconv.VENDOR: VENDOR})


def unreachable() -> Precondition:
    """No connection was made, so nothing was sent."""
    text = "No connection to OpenAI could be made."
    return Precondition("VENDOR_UNREACHABLE", text, {semconv.VENDOR: VENDOR}, 0.0)


def lost() -> Unavailable:
    """The connection broke with the request on its way, or the answer."""
    text = "The connection to OpenAI broke before its answer was whole."
    return Unavailable("VENDOR_CONNECTION_LOST", text, {semconv.VENDOR: VENDOR})


def timed_out(seconds: float) -> Unavailable:
    """The answer was not whole in time."""
    text = f"OpenAI did not answer within {seconds:.1f} s."
    return Unavailable("VENDOR_TIMEOUT", text, {semconv.VENDOR: VENDOR})


def not_an_answer(what: str) -> VendorContract:
    """A 200 that is no answer to the request; whether it is charged, nobody knows."""
    text = f"OpenAI's answer {what}. Nothing of it was used."
    return VendorContract("VENDOR_ANSWER_INVALID", text, {semconv.VENDOR: VENDOR})


def _invalid(code: str, facts: Mapping[str, str]) -> InvalidRequest:
    return InvalidRequest("VENDOR_REFUSED_TEXTS", f"OpenAI refused the texts ({code or 'no code'}).", facts)


def plain_word(error: Any) -> str:
    """An error object's code or type, if it is a plain word."""
    words = [error.get("code"), error.get("type")] if isinstance(error, Mapping) else []
    return next((word for word in words if isinstance(word, str) and _WORD.fullmatch(word)), "")


def _code(body: bytes) -> str:
    try:
        return plain_word(orjson.loads(body)["error"])
    except (ValueError, LookupError, TypeError):
        return ""
