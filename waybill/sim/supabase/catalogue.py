"""Supabase's fault catalogue: what each name does to a request (F1–F28; a status by its number).

Where a fault has variants the first is the default.
F10 502, 503, 504 · F12 the gateway's `message` alone, html, empty · F14 as the gateway refuses it, or bare:
as storage does · F20 html under application/json, empty, null · F21 etag, size · F22 repeats a row, skips
one, or cursor: the next page's is not taken · F25 seconds by which the clock that looks is ahead: 86400.
"""

from __future__ import annotations

import dataclasses
import json

from waybill.sim.faults import Fault
from waybill.sim.supabase import errors
from waybill.sim.supabase.tokens import EXPIRED
from waybill.sim.transport import Transport
from waybill.sim.wire import Reply

SCOPES = {f"F{number}": "*" for number in range(1, 29)} | {
    "F4": "object.read",
    "F5": "object.read",
    "F6": "object.write",
    "F7": "object.write",
    "F15": "object.write",
    "F16": "tus.upload.patch",
    "F17": "tus.upload.patch",
    "F18": "tus.upload",
    "F19": "object.write.create",
    "F21": "object",
    "F22": "object.list",
    "F23": "object.remove",
    "F25": "object.read.signed",
    "F26": "object.read",
    "F27": "health",
    "F28": "tus.create",
}
TRANSPORT = {
    "F1": Transport.OUTAGE,
    "F2": Transport.RESET_BEFORE,
    "F3": Transport.STALL,
    "F4": Transport.PAUSE,
    "F5": Transport.HALF,
    "F7": Transport.RESET_AFTER,
    "F17": Transport.RESET_AFTER,
    "F26": Transport.DRIP,
}
_HTML = b"<html><head><title>Gateway</title></head><body><h1>Gateway</h1></body></html>"


def refusal(fault: Fault, foreign: str) -> Reply | None:
    """The answer of a fault in place of any work; None where the work goes on.

    Args:
        foreign: A host of somebody else.
    """
    match fault.name, fault.variant:
        case (("F8" | "429"), _):
            return errors.overloaded().reply
        case (("F9" | "500"), _):
            return errors.internal().reply
        case "F10", status:
            return _html(int(status or 502))
        case (("F11" | "544"), _):
            return errors.database_timeout().reply
        case "F12", "html":
            return _html(401)
        case "F12", "empty":
            return Reply(401)
        case (("F12" | "401"), _):
            return errors.unauthorized("Unauthorized").reply
        case "F13", _:
            return errors.bad_token(EXPIRED).reply
        case "F14", "bare":
            return errors.bad_token().reply
        case "F14", _:
            return errors.unauthorized().reply
        case "F15", _:
            return dataclasses.replace(
                _html(413), headers={"content-type": "text/html", "connection": "close"}
            )
        case "F16", _:
            return errors.plain(423, "The upload is locked").reply
        case "F18", _:
            return errors.plain(404, "The upload was not found").reply
        case "F24", _:
            return Reply(307, headers={"location": f"{foreign}/elsewhere"})
        case name, _ if name.isdecimal():
            return errors.internal(int(name)).reply
    return None


def spoiled(fault: Fault, reply: Reply) -> Reply:
    """A reply whose work was done, made wrong in its content."""
    match fault.name, fault.variant:
        case "F20", "empty":
            return dataclasses.replace(reply, body=b"")
        case "F20", "null":
            return dataclasses.replace(reply, body=b"null")
        case "F20", _:
            headers = {**reply.headers, "content-type": "application/json"}
            return dataclasses.replace(reply, body=_HTML, headers=headers)
        case "F21", variant:
            return _wrong(reply, variant or "etag")
        case "F22", variant:
            return _other_page(reply, variant or "repeats")
    return reply


def _html(status: int) -> Reply:
    return Reply(status, _HTML, {"content-type": "text/html"})


def _wrong(reply: Reply, what: str) -> Reply:
    """Another ETag or a length that is not the object's, in a header and in JSON alike."""
    if reply.headers.get("content-type") == "application/json" and isinstance(reply.body, bytes):
        body = json.loads(reply.body)
        if not isinstance(body, dict) or what not in body:
            return reply
        body[what] = f'"{"0" * 32}"' if what == "etag" else body[what] + 1
        return dataclasses.replace(reply, body=json.dumps(body).encode())
    if what == "etag":
        return dataclasses.replace(reply, headers={**reply.headers, "etag": f'"{"0" * 32}"'})
    return dataclasses.replace(reply, body=reply.body[: max(0, len(reply.body) - 1)])


def _other_page(reply: Reply, how: str) -> Reply:
    """A page as it may come while others write: the row at its end twice, or missing."""
    if not isinstance(reply.body, bytes):
        return reply
    page = json.loads(reply.body)
    rows = page["objects"] if isinstance(page, dict) else page
    match how:
        case "cursor" if isinstance(page, dict):
            page["nextCursor"] = "bm90IGEgY3Vyc29y"
        case "skips":
            del rows[-1:]
        case _:
            rows.extend(rows[-1:])
    return dataclasses.replace(reply, body=json.dumps(page).encode())
