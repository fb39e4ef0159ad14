"""LlamaCloud's fault catalogue: what each name does to a request or a job (F01–F43; a status by its number).

A fault of a job is armed at its creation and stays with it. Variants, the first is the default.
F02 Retry-After: 1, 0, 120, date, garbage · F14 status, types · F22 ERROR_DURING_PROCESSING, another reason ·
F24 for ever, or so many times · F25 pages that are missing: 1 · F26 twice, order · F27 pages that failed: 1,
all · F30 seconds until it is seen: 2 · F31 never, seconds until credits are told, or wrong (twice as much is
told and billed) · F32 expired, foreign · F36 seconds between: 1 · F37 signature, unsigned, unknown ·
F38 seconds between: 600 · F40 lost, or seconds it is late · F41 seconds that the status lags: 5.
"""

from __future__ import annotations

from email.utils import formatdate
from typing import Any

from waybill.sim.faults import Fault
from waybill.sim.llamacloud.errors import NO_CREDITS, Refused, bad_key
from waybill.sim.replies import json_reply
from waybill.sim.transport import Transport
from waybill.sim.wire import Reply

_READS = ("F14", "F15", "F17", "F18", "F33")
SCOPES = (
    {f"F{number:02}": "parse.create" for number in range(1, 44)}
    | dict.fromkeys(_READS, "parse.get")
    | {"F43": "parse.cancel"}
)
TRANSPORT = {
    "F04": Transport.GATEWAY,
    "F06": Transport.GATEWAY_AFTER,
    "F07": Transport.RESET_BEFORE,
    "F08": Transport.RESET_AFTER,
    "F09": Transport.HALF,
    "F10": Transport.TRUNCATED,
    "F11": Transport.HTML,
    "F12": Transport.NULL,
    "F13": Transport.EMPTY,
    "F15": Transport.DRIP,
    "F16": Transport.SILENT,
    "F17": Transport.BOMB,
    "F19": Transport.REDIRECT,
    "F35": Transport.STALE,
}
# What stays with the job that a create makes.
OF_JOBS = (
    *("F20", "F21", "F22", "F23", "F24", "F25", "F26", "F27", "F28", "F29", "F30", "F31", "F32"),
    *("F36", "F37", "F38", "F39", "F40", "F41", "F42"),
)
RATE_LIMITED = "Rate limit exceeded. Please try again later."


def refusal(fault: Fault, now: float) -> Reply | None:
    """The answer of a fault in place of any work; None where the work goes on."""
    match fault.name:
        case "F01" | "429":
            return Refused(429, RATE_LIMITED).reply
        case "F02":
            after = fault.variant or "1"
            header = formatdate(now + 2, usegmt=True) if after == "date" else after
            return json_reply({"detail": RATE_LIMITED}, 429, {"retry-after": header})
        case "F03" | "500":
            return Refused(500, "Internal server error. Correlation ID: 5a1e-500").reply
        case "F05" | "503":
            return Refused(503, "Service temporarily unavailable. Correlation ID: 5a1e-503").reply
        case "F33" | "401":
            return bad_key().reply
        case "F34" | "402":
            return Refused(402, NO_CREDITS).reply
        case name if name.isdecimal():
            return Refused(int(name), f"Simulated status {name}.").reply
    return None


def of_job(fault: Fault | None) -> Fault | None:
    """The fault, if it stays with the job."""
    return fault if fault and fault.name in OF_JOBS else None


def corrupt(fault: Fault | None, job: dict[str, Any]) -> dict[str, Any]:
    """A job's JSON, made wrong in its content."""
    if fault is None or fault.name != "F14":
        return job
    return {**job, "id": 5, "project_id": None} if fault.variant == "types" else {**job, "status": "QUEUED"}
