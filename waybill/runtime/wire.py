"""How moments and page tokens travel in messages."""

from __future__ import annotations

import datetime

from google.protobuf.timestamp_pb2 import Timestamp

from waybill.runtime.errors import InvalidRequest


def timestamp(moment: datetime.datetime) -> Timestamp:
    """A moment with a zone, in UTC."""
    stamp = Timestamp()
    stamp.FromDatetime(moment.astimezone(datetime.UTC))
    return stamp


def moment(stamp: Timestamp) -> datetime.datetime:
    """A message's moment, in UTC.

    Raises:
        InvalidRequest: INVALID_REQUEST, it is none between the years 1 and 9999.
    """
    try:
        return stamp.ToDatetime(tzinfo=datetime.UTC)
    except ValueError:
        raise InvalidRequest("INVALID_REQUEST", "A time must lie between the years 1 and 9999.") from None


def bad_page_token() -> InvalidRequest:
    """The refusal of a page token that none of our answers held."""
    return InvalidRequest("PAGE_TOKEN_INVALID", "Take page_token from the answer before, unchanged.")
