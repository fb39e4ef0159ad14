"""What OpenAI's refusals and failures are to us (facts: OpenAI's API reference, "Error codes").

Which class an error gets decides about money, see `vendors.failures`. The vendor's own words are not
repeated: they may hold text of a document, or a key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import httpx2
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
from waybill.vendors import failures
from waybill.vendors.rate_headers import retry_after_seconds
from waybill.vendors.registry import OPENAI

not_an_answer = partial(failures.not_an_answer, OPENAI)
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


def of_response(response: httpx2.Response) -> ServiceError:
    """The error behind a status that is not 200."""
    status, code = response.status_code, _code(response.content)
    facts = {semconv.VENDOR: OPENAI.name, "status": str(status), "code": code}
    wait = retry_after_seconds(response.headers)
    match status:
        case 400 | 413 | 422:
            return _invalid(code, facts)
        case 401:
            return Credential(failures.KEY_REFUSED, "OpenAI refused the API key. Set a valid one.", facts)
        case 403:
            return Credential(
                "VENDOR_ACCESS_REFUSED", "The API key may not do this. Give its project access.", facts
            )
        case 404:
            return Precondition(
                "VENDOR_MODEL_UNKNOWN", "OpenAI knows no such model for this key. Mend OPENAI_MODEL.", facts
            )
        case 429 if code in NEVER_AGAIN:
            text = f"OpenAI's account is at its limit: {code}. Raise it, or add credit, there; then repeat."
            return Quota("VENDOR_QUOTA_EXHAUSTED", text, facts)
        case 429:
            return Quota("VENDOR_RATE_LIMITED", "OpenAI's rate limit is reached.", facts, wait or 0.0)
    if status in (408, 409) or status >= 500:
        return Unavailable("VENDOR_ERROR", f"OpenAI answered {status}.", facts, wait)
    if status < 400:
        return VendorContract("VENDOR_REDIRECTED", f"OpenAI answered {status}, which is not followed.", facts)
    return Precondition("VENDOR_REFUSED", f"OpenAI answered {status} {code}".rstrip() + ".", facts)


def of_tier(response: httpx2.Response) -> ServiceError:
    """The same of a request for batches or files at all, which compatible servers often lack."""
    if response.status_code in (404, 405):
        text = "This server of OPENAI_BASE_URL takes no batches. Embed at once, or set another server."
        facts = {semconv.VENDOR: OPENAI.name, "status": str(response.status_code)}
        return Precondition("BATCHES_NOT_OFFERED", text, facts)
    return of_response(response)


def of_batch(response: httpx2.Response) -> ServiceError:
    """The same of a request for one batch or file, which may not be there."""
    if response.status_code == 404:
        text = "OpenAI has no such batch, or its files are deleted."
        return NotFound("BATCH_JOB_NOT_FOUND", text, {semconv.VENDOR: OPENAI.name})
    return of_response(response)


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
