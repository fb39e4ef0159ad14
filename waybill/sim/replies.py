"""Replies that vendors have in common."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from waybill.sim.wire import Delivery, Reply, Request, Stored


class Refused(Exception):
    """A request that is answered with an error; nothing is billed."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply.status))
        self.reply = reply


def json_reply(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """A JSON reply."""
    return Reply(status, json.dumps(body).encode(), {"content-type": "application/json", **(headers or {})})


def lost() -> Reply:
    """No reply: the connection is reset."""
    return Reply(0, delivery=Delivery.RESET)


def content_reply(request: Request, content: bytes | Stored, headers: Mapping[str, str]) -> Reply:
    """A content, or the range of it that is asked for.

    206 with the range; 416 where it begins beyond the end. The whole is the answer to several ranges, to
    what is no range, to a method other than GET, and to an If-Range of another ETag.
    """
    fields = {**headers, "accept-ranges": "bytes"}
    etag = headers.get("etag", "")
    ranged = request.method == "GET" and request.headers.get("if-range", etag) == etag
    span = _span(request.headers.get("range", ""), len(content)) if ranged else None
    if span is None:
        return Reply(200, content, fields)
    if not span:
        return Reply(416, b"", {**fields, "content-range": f"bytes */{len(content)}"})
    fields["content-range"] = f"bytes {span.start}-{span.stop - 1}/{len(content)}"
    return Reply(206, content[span.start : span.stop], fields)


def _span(text: str, size: int) -> range | None:
    """What a Range header names: nothing where it begins beyond the end, None where it is no one range."""
    match = re.fullmatch(r"bytes=([0-9]{0,18})-([0-9]{0,18})", text)
    if not match or not any(match.groups()):
        return None
    if not match[1]:
        return range(max(0, size - int(match[2])), size)
    first, end = int(match[1]), int(match[2]) + 1 if match[2] else max(size, int(match[1]) + 1)
    return range(first, min(end, size)) if first < end else None
