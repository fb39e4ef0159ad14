"""What Supabase Storage's refusals and failures are to us (facts: Supabase, 3).

The server answers 400 to nearly everything: `code` in the body says what it is, `statusCode` how bad, and the
status itself only what a gateway in front has to say. The vendor's own words are not repeated.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import httpx2

from waybill.runtime import semconv
from waybill.runtime.errors import (
    Credential,
    InvalidRequest,
    Precondition,
    Quota,
    ServiceError,
    Unavailable,
    VendorContract,
)
from waybill.vendors import failures
from waybill.vendors.rate_headers import retry_after_seconds
from waybill.vendors.registry import SUPABASE

MISSING = "VENDOR_NOT_FOUND"
not_an_answer = partial(failures.not_an_answer, SUPABASE)
lost = partial(failures.lost, SUPABASE)
# Longest that a Retry-After is obeyed; more is asked again then.
MOST_WAIT_SECONDS = 120.0
# The status that a code stands for, whatever stands beside it.
_STATUSES = {
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "NoSuchUpload": 404,
    "InvalidJWT": 401,
    "InvalidSignature": 401,
    "AccessDenied": 403,
    "InvalidKey": 400,
    "InvalidRequest": 400,
    "InvalidParameter": 400,
    "EntityTooLarge": 413,
    "InvalidMimeType": 415,
    "InvalidRange": 416,
    "KeyAlreadyExists": 409,
    "ResourceAlreadyExists": 409,
    "ResourceLocked": 423,
    "LockTimeout": 423,
    "SlowDown": 429,
    "InternalError": 500,
    "DatabaseError": 500,
    "DatabaseTimeout": 504,
}
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
# A refused JWT has the code of a refused operation; only the message tells them apart.
_ABOUT_THE_KEY = re.compile(r"\bJW[ST]\b|signature|\"exp\"|api ?key", re.IGNORECASE)


def of_response(response: httpx2.Response) -> ServiceError:
    """The error behind a status that is not a success."""
    body = _object(response.content)
    code = _word(body.get("code"))
    status = _STATUSES.get(code) or _number(body.get("statusCode")) or response.status_code
    facts = {semconv.VENDOR: SUPABASE.name, "status": str(status), "code": code}
    wait = retry_after_seconds(response.headers)
    wait = None if wait is None else min(max(wait, 0.0), MOST_WAIT_SECONDS)
    match status:
        case 401:
            return _key_refused(facts)
        case 403 if _ABOUT_THE_KEY.search(str(body.get("message", ""))):
            return _key_refused(facts)
        case 403:
            text = "The key may not do this in the bucket. Give Waybill a secret key of the project."
            return Credential("VENDOR_ACCESS_REFUSED", text, facts)
        case 404:
            return _missing(code, facts)
        case 413:
            text = (
                "The object is over the limit of the bucket or the project. Raise that, or split the object."
            )
            return Quota("OBJECT_TOO_LARGE", text, facts)
        case 415:
            text = "The bucket does not take this content type. Change its allowed_mime_types, or the type."
            return InvalidRequest("VENDOR_REFUSED_DOCUMENT", text, facts)
        case 416:
            return not_an_answer("is that the object has fewer bytes than were stored")
        case 429:
            return Quota("VENDOR_RATE_LIMITED", "Supabase asks for fewer requests.", facts, wait or 0.0)
    if status in (408, 409, 423) or status >= 500:
        return Unavailable("VENDOR_ERROR", f"Supabase answered {status} {code}".rstrip() + ".", facts, wait)
    if status < 400:
        text = f"Supabase answered {status}, which is not followed. Look at SUPABASE_URL."
        return VendorContract("VENDOR_REDIRECTED", text, facts)
    return Precondition("VENDOR_REFUSED", f"Supabase answered {status} {code}".rstrip() + ".", facts)


def of_creation(response: httpx2.Response) -> ServiceError:
    """The same of a new resumable upload, whose refusals are plain text (facts: Supabase, 5)."""
    if response.status_code == 404:
        return _missing("NoSuchBucket", {semconv.VENDOR: SUPABASE.name, "status": "404"})
    return of_response(response)


def of_upload(response: httpx2.Response) -> ServiceError:
    """The same of a resumable upload under way."""
    return missing_upload() if response.status_code in (404, 410) else of_response(response)


def missing_upload() -> ServiceError:
    """The vendor has forgotten an upload: what was sent of it cannot be sent again from here."""
    text = "Supabase has dropped the upload half done. Put the object again."
    return Precondition(MISSING, text, {semconv.VENDOR: SUPABASE.name})


def _missing(code: str, facts: Mapping[str, str]) -> ServiceError:
    if code == "NoSuchBucket":
        text = (
            "Supabase shows this key no bucket of the name in SUPABASE_BUCKET. Make it (`supabase db push`), "
            "or give Waybill a secret key: another role does not see it."
        )
        return Precondition("VENDOR_BUCKET_UNKNOWN", text, facts)
    if not code:
        text = "There is no storage API at this address. Mend SUPABASE_URL or SUPABASE_STORAGE_URL."
        return Precondition("VENDOR_REFUSED", text, facts)
    return Precondition(MISSING, "Supabase does not have the object's bytes. Put the object again.", facts)


def _key_refused(facts: Mapping[str, str]) -> ServiceError:
    text = "Supabase refused the key, or it has expired. Set a valid SUPABASE_KEY of this project."
    return Credential(failures.KEY_REFUSED, text, facts)


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _word(value: Any) -> str:
    return value if isinstance(value, str) and _WORD.fullmatch(value) else ""


def _number(value: Any) -> int:
    """The body's statusCode, which is a string; 0 where it is none."""
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() and len(text) == 3 else 0
