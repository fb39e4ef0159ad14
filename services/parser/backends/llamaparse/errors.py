"""What LlamaCloud's refusals, failures and failed jobs are to us (facts: LlamaParse, "Errors").

Which class an error gets decides about money, see `vendors.failures`. The vendor's own words are not
repeated: they may hold text of a document, or a key.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import httpx2

from services.parser.refusals import refusal
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
from waybill.vendors.registry import LLAMAPARSE

not_an_answer = partial(failures.not_an_answer, LLAMAPARSE)
# Longest that a Retry-After is obeyed; more is asked again then.
MOST_WAIT_SECONDS = 120.0
# What stands in a failed job's message, and what it is here.
_FAILED = {
    "UNSUPPORTED_FILE_TYPE": "FILE_TYPE_UNSUPPORTED",
    "PDF_IS_PROTECTED": "PDF_IS_PROTECTED",
    "PDF_IS_BROKEN": "PDF_IS_BROKEN",
    "NO_DATA_FOUND_IN_FILE": "DOCUMENT_EMPTY",
    "DOCUMENT_TOO_LARGE": "DOCUMENT_TOO_LARGE",
    "TOO_MANY_PAGES": "DOCUMENT_TOO_LARGE",
    "TIMEOUT": "VENDOR_STUCK",
}


def of_response(response: httpx2.Response) -> ServiceError:
    """The error behind a status that is not a success."""
    status = response.status_code
    facts = {semconv.VENDOR: LLAMAPARSE.name, "status": str(status)}
    wait = retry_after_seconds(response.headers)
    wait = None if wait is None else min(max(wait, 0.0), MOST_WAIT_SECONDS)
    match status:
        case 400 | 413 | 415 | 422:
            text = f"LlamaParse refused the document or its options ({status}). Check type, size and tier."
            return InvalidRequest("VENDOR_REFUSED_DOCUMENT", text, facts)
        case 401:
            text = "LlamaParse refused the API key. Set a valid one of this region: keys of one are unknown "
            return Credential(failures.KEY_REFUSED, f"{text}in the other.", facts)
        case 402:
            text = (
                "The LlamaCloud account has no credits left. Buy some at cloud.llamaindex.ai, or raise its "
                "plan; then ingest the document again."
            )
            return Quota("VENDOR_QUOTA_EXHAUSTED", text, facts)
        case 403:
            text = "The API key may not do this. Give it the project, or mend LLAMA_CLOUD_PROJECT."
            return Credential("VENDOR_ACCESS_REFUSED", text, facts)
        case 404:
            # Also of what has just been made and is not seen yet.
            return Precondition("VENDOR_NOT_FOUND", "LlamaParse does not know it (404).", facts, wait or 0.0)
        case 429:
            return Quota("VENDOR_RATE_LIMITED", "LlamaParse's rate limit is reached.", facts, wait or 0.0)
    if status in (408, 409) or status >= 500:
        return Unavailable("VENDOR_ERROR", f"LlamaParse answered {status}.", facts, wait)
    if status < 400:
        text = f"LlamaParse answered {status}, which is not followed."
        return VendorContract("VENDOR_REDIRECTED", text, facts)
    return Precondition("VENDOR_REFUSED", f"LlamaParse answered {status}.", facts)


def of_thing(response: httpx2.Response) -> ServiceError:
    """The same of a request for one job or file, which may not be there."""
    if response.status_code == 404:
        facts = {semconv.VENDOR: LLAMAPARSE.name}
        return NotFound("PARSE_NOT_FOUND", "LlamaParse has no such job or file, or no more.", facts)
    return of_response(response)


def of_result(response: httpx2.Response) -> ServiceError:
    """The same of a request for a job's result, which may come later than its end (F24)."""
    if response.status_code == 404:
        return not_yet()
    return of_response(response)


def not_yet() -> ServiceError:
    """The job has no result to read now."""
    facts = {semconv.VENDOR: LLAMAPARSE.name}
    return Unavailable("VENDOR_RESULT_MISSING", "LlamaParse has no result of the job now.", facts)


def of_download(response: httpx2.Response) -> ServiceError:
    """The same of a presigned download: whatever refuses it, another link may work."""
    facts = {semconv.VENDOR: LLAMAPARSE.name, "status": str(response.status_code)}
    return Unavailable("VENDOR_RESULT_MISSING", "LlamaParse's link to the result does not work.", facts)


def of_failed_job(message: str, *, charged: bool) -> ServiceError:
    """The error of a job that FAILED.

    Args:
        message: The vendor's; only words of ours are taken from it.
        charged: Whether such a job may cost something.
    """
    reason = next((ours for theirs, ours in _FAILED.items() if theirs in message.upper()), "")
    text = "LlamaParse could not parse the document. Ingest it again; if that fails too, try another tier."
    failure = refusal(reason) if reason else InvalidRequest("VENDOR_PARSE_FAILED", text)
    return _of_vendor(failure, charged=charged)


def of_cancelled_job() -> ServiceError:
    """The error of a job that somebody else has cancelled."""
    text = "The parse was cancelled at LlamaCloud. Ingest the document again."
    return _of_vendor(Precondition("VENDOR_CANCELLED", text), charged=False)


def empty() -> ServiceError:
    """A completed job without any text: it is paid for."""
    return _of_vendor(refusal("DOCUMENT_EMPTY"), charged=True)


def _of_vendor(failure: ServiceError, *, charged: bool) -> ServiceError:
    facts = {semconv.VENDOR: LLAMAPARSE.name, **({semconv.CHARGED: "unknown"} if charged else {})}
    failure.metadata = {**failure.metadata, **facts}
    return failure


@asynccontextmanager
async def asking_about(*, a_result: bool = False) -> AsyncIterator[None]:
    """Of a parse that was begun: a refusal to tell of it says nothing about it, so it is asked for later.

    Args:
        a_result: What makes no sense as a result will make none later.
    """
    final = (NotFound, VendorContract) if a_result else (NotFound,)
    try:
        yield
    except final:
        raise
    except ServiceError as error:
        if semconv.VENDOR not in error.metadata or semconv.CHARGED in error.metadata:
            raise
        raise Unavailable(error.reason, error.message, error.metadata, error.retry_after_seconds) from error
