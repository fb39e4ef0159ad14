"""OpenAI's fault catalogue: what each name does to a request (O01–O35; an HTTP status by its number).

Variants, the first is the default. O01 SECONDS of outage when triggered · O07 Retry-After: 1, 0, 120,
garbage, none · O08 resets: 1s, 12ms, 6m0s · O09 insufficient_quota and the four other codes · O24 short,
float64 · O25 nan, inf · O27 missing, null, wrong · O34 missing, twice, reversed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from waybill.sim.faults import Fault
from waybill.sim.openai.embeddings import Answer
from waybill.sim.openai.errors import (
    Refused,
    bad_key,
    input_too_long,
    no_such_model,
    request_too_long,
)
from waybill.sim.transport import Transport

_BATCH_FAULTS = ("O31", "O32", "O33", "O34")
SCOPES = {f"O{number:02}": "embeddings" for number in range(1, 36)} | dict.fromkeys(
    _BATCH_FAULTS, "batches.create"
)
TRANSPORT = {
    "O01": Transport.OUTAGE,
    "O02": Transport.RESET_BEFORE,
    "O03": Transport.RESET_AFTER,
    "O04": Transport.HALF,
    "O05": Transport.DRIP,
    "O06": Transport.SILENT,
    "O11": Transport.GATEWAY,
    "O18": Transport.TRUNCATED,
    "O19": Transport.HTML,
    "O28": Transport.BOMB,
    "O29": Transport.REDIRECT,
    "O30": Transport.STALE,
    "O31": Transport.RESET_AFTER,
}

QUOTA_CODES = (
    "insufficient_quota",
    "credit_balance_exhausted",
    "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded",
    "organization_usage_limit_exceeded",
)


def refusal(fault: Fault) -> Refused | None:
    """The answer of a fault in place of any work; None where the work goes on."""
    match fault.name:
        case "O07":
            after = fault.variant or "1"
            return _rate_limited({} if after == "none" else {"retry-after": after})
        case "O08":
            reset = {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": fault.variant or "1s"}
            return _rate_limited(reset)
        case "O09":
            code = fault.variant or QUOTA_CODES[0]
            return Refused(429, "You exceeded your current quota, please check your plan.", code, code)
        case "O10" | "500":
            return Refused(500, "The server had an error while processing your request.", "server_error")
        case "O12":
            return Refused(503, "The engine is overloaded.", "server_error", headers={"retry-after": "1"})
        case "O13" | "401":
            return bad_key("sk-rotated-meanwhile")
        case "O14" | "403":
            return Refused(403, "You are not allowed to sample from this model.")
        case "O15" | "404":
            return no_such_model("text-embedding-retired")
        case "O16":
            return input_too_long(8193)
        case "O17":
            return request_too_long(300_001)
        case "429":
            return _rate_limited({})
        case name if name.isdecimal():
            kind = "server_error" if name[0] == "5" else "invalid_request_error"
            return Refused(int(name), f"Simulated status {name}.", kind)
    return None


def _rate_limited(headers: dict[str, str]) -> Refused:
    message = "Rate limit reached for text-embedding-3-small on tokens per min (TPM)."
    return Refused(429, message, "tokens", "rate_limit_exceeded", headers=headers)


def corrupt(fault: Fault | None, answer: Answer) -> None:
    """Makes an answer wrong in its content."""
    change = _CORRUPTIONS.get(fault.name) if fault else None
    if fault and change:
        change(answer, fault.variant)


def _fewer(answer: Answer, _: str) -> None:
    answer.rows.pop()
    answer.indexes.pop()


def _reversed(answer: Answer, _: str) -> None:
    answer.rows.reverse()
    answer.indexes.reverse()


def _mixed_up(answer: Answer, _: str) -> None:
    answer.rows.reverse()


def _null(answer: Answer, _: str) -> None:
    answer.rows[-1] = None


def _wrong_dimension(answer: Answer, variant: str) -> None:
    if variant == "float64":
        answer.rows[:] = [row.astype(np.float64) for row in answer.rows if row is not None]
    else:
        answer.rows[:] = [row[:-1] for row in answer.rows if row is not None]


def _not_finite(answer: Answer, variant: str) -> None:
    row = answer.rows[-1]
    if row is not None:
        row[0] = np.inf if variant == "inf" else np.nan


def _zero(answer: Answer, _: str) -> None:
    row = answer.rows[-1]
    if row is not None:
        row[:] = 0


def _wrong_usage(answer: Answer, variant: str) -> None:
    if variant == "wrong" and answer.usage:
        answer.usage = {name: 2 * count for name, count in answer.usage.items()}
    else:
        answer.usage, answer.has_usage = None, variant == "null"


def _other_model(answer: Answer, _: str) -> None:
    answer.model = "text-embedding-other"


_CORRUPTIONS: dict[str, Callable[[Answer, str], None]] = {
    "O20": _fewer,
    "O21": _reversed,
    "O22": _mixed_up,
    "O23": _null,
    "O24": _wrong_dimension,
    "O25": _not_finite,
    "O26": _zero,
    "O27": _wrong_usage,
    "O35": _other_model,
}
