"""How moments, page sizes and page tokens travel in messages."""

from __future__ import annotations

import datetime
import re

from google.protobuf.timestamp_pb2 import Timestamp

from waybill.runtime.errors import InvalidRequest

_NUMBER = re.compile(r"[0-9]{0,18}")


def timestamp(moment: datetime.datetime) -> Timestamp:
    """A moment with a zone, in UTC."""
    stamp = Timestamp()
    stamp.FromDatetime(moment.astimezone(datetime.UTC))
    return stamp


def moment(stamp: Timestamp) -> datetime.datetime:
    """A message's moment, in UTC; in a request, the server has checked it."""
    return stamp.ToDatetime(tzinfo=datetime.UTC)


def resumed(token: str) -> int:
    """The number that a stream's resume token holds; 0 for none.

    Raises:
        InvalidRequest: RESUME_TOKEN_INVALID.
    """
    if not _NUMBER.fullmatch(token):
        raise InvalidRequest(
            "RESUME_TOKEN_INVALID", "Take resume_token from the last message seen, unchanged."
        )
    return int(token or "0")


def page_size(asked: int, usual: int, most: int) -> int:
    """How many rows a page has: the usual number for 0, and never more than the most, whatever is asked.

    Raises:
        InvalidRequest: INVALID_REQUEST, it is negative.
    """
    if asked < 0:
        raise InvalidRequest("INVALID_REQUEST", "page_size is at least 0; 0 means the usual size.")
    return min(asked or usual, most)


def bad_page_token() -> InvalidRequest:
    """The refusal of a page token that none of our answers held."""
    return InvalidRequest("PAGE_TOKEN_INVALID", "Take page_token from the answer before, unchanged.")
