"""The fault catalogue: what each name does to a request (facts: O01–O35; an HTTP status by its number).

Variants, the first is the default. O01 SECONDS of outage when triggered · O07 Retry-After: 1, 0, 120,
garbage, none · O08 resets: 1s, 12ms, 6m0s · O09 insufficient_quota and the four other codes · O24 short,
float64 · O25 nan, inf · O27 missing, null, wrong · O34 missing, twice, reversed.
"""

from __future__ import annotations

import dataclasses
import functools
import zlib
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
from waybill.sim.wire import Delivery, Reply

_BATCH_FAULTS = ("O31", "O32", "O33", "O34")
SCOPES = {f"O{number:02}": "embeddings" for number in range(1, 36)} | dict.fromkeys(
    _BATCH_FAULTS, "batches.create"
)
DEFAULT_SCOPE = "embeddings"

QUOTA_CODES = (
    "insufficient_quota",
    "credit_balance_exhausted",
    "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded",
    "organization_usage_limit_exceeded",
)
_HTML = b"<html><head><title>Bad gateway</title></head><body><h1>Bad gateway</h1></body></html>"
_BOMB_BLOCK_BYTES, _BOMB_BLOCKS = 2**20, 256


def refusal(fault: Fault | None, url: str) -> Reply | None:
    """The reply that a fault sends in place of any work; None where the work goes on.

    Args:
        url: This server under another host's name, for the redirect.
    """
    if fault is None:
        return None
    if fault.name == "O02":
        return Reply(0, delivery=Delivery.RESET)
    if fault.name == "O11":
        return Reply(502, _HTML, {"content-type": "text/html"})
    if fault.name == "O29":
        return Reply(307, headers={"location": url})
    refused = _refused(fault)
    return refused.reply() if refused else None


def _refused(fault: Fault) -> Refused | None:
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


def lie(fault: Fault | None, answer: Answer) -> None:
    """Makes an answer wrong in its content."""
    change = _LIES.get(fault.name) if fault else None
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


_LIES: dict[str, Callable[[Answer, str], None]] = {
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
_DELIVERIES = {
    "O03": Delivery.RESET,
    "O04": Delivery.HALF,
    "O05": Delivery.DRIP,
    "O06": Delivery.SILENT,
    "O30": Delivery.STALE,
    "O31": Delivery.RESET,
}


def spoil(fault: Fault | None, reply: Reply) -> Reply:
    """Breaks a reply whose work was done, on its way out."""
    match fault.name if fault else "":
        case "O18":
            return dataclasses.replace(reply, body=reply.body[: len(reply.body) // 2])
        case "O19":
            return dataclasses.replace(
                reply, body=_HTML, headers={**reply.headers, "content-type": "text/html"}
            )
        case "O28":
            headers = {**reply.headers, "content-encoding": "gzip"}
            return dataclasses.replace(reply, body=_bomb(reply.body), headers=headers)
        case name if name in _DELIVERIES:
            return dataclasses.replace(reply, delivery=_DELIVERIES[name])
    return reply


def _bomb(body: bytes) -> bytes:
    """256 MB of blanks before the body, which JSON allows, in some 260 kB of valid gzip.

    A block that was compressed up to a full flush can be repeated as it is.
    """
    block, checksum = _blanks()
    tail = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    end = tail.compress(body) + tail.flush()
    size = _BOMB_BLOCKS * _BOMB_BLOCK_BYTES + len(body)
    header = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    trailer = zlib.crc32(body, checksum).to_bytes(4, "little") + (size % 2**32).to_bytes(4, "little")
    return header + block * _BOMB_BLOCKS + end + trailer


@functools.cache
def _blanks() -> tuple[bytes, int]:
    blanks = b" " * _BOMB_BLOCK_BYTES
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    block = packer.compress(blanks) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = 0
    for _ in range(_BOMB_BLOCKS):
        checksum = zlib.crc32(blanks, checksum)
    return block, checksum
