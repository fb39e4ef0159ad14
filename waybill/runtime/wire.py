"""How moments, page sizes and page tokens travel in messages."""

from __future__ import annotations

import base64
import datetime
import json
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

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


def page_token(*place: str) -> str:
    """The token of the page behind a place in the order of a listing."""
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


def token_behind(rows: Sequence[Mapping[str, Any]], shown: int, *place: str) -> str:
    """The token of the page behind the first rows, by these columns; empty where no row is behind them."""
    if len(rows) <= shown:
        return ""
    values = (rows[shown - 1][column] for column in place)
    return page_token(*(v.isoformat() if isinstance(v, datetime.datetime) else str(v) for v in values))


def page_place(token: str, parts: int) -> tuple[str, ...] | None:
    """The place that a page begins behind, of so many parts; None for the first page.

    Raises:
        InvalidRequest: PAGE_TOKEN_INVALID.
    """
    if not token:
        return None
    try:
        place = json.loads(base64.b64decode(token.encode(), altchars=b"-_", validate=True))
    except (ValueError, RecursionError):
        raise bad_page_token() from None
    if not (isinstance(place, list) and len(place) == parts and all(map(_is_name, place))):
        raise bad_page_token()
    return tuple(place)


def _is_name(part: object) -> bool:
    """Whether it is text that a database takes: JSON may hold NUL, and halves of a surrogate pair."""
    return isinstance(part, str) and not any(one == "\0" or "\ud800" <= one <= "\udfff" for one in part)


def token_moment(text: str) -> datetime.datetime:
    """A part of a page's place. Raises InvalidRequest: PAGE_TOKEN_INVALID."""
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        raise bad_page_token() from None


def token_uuid(text: str) -> str:
    """See `token_moment`."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        raise bad_page_token() from None


def token_number(text: str) -> int:
    """A whole number that a bigint holds; see `token_moment`."""
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise bad_page_token()
    return int(text)


def bad_page_token() -> InvalidRequest:
    """The refusal of a page token that none of our answers held."""
    return InvalidRequest("PAGE_TOKEN_INVALID", "Take page_token from the answer before, unchanged.")
