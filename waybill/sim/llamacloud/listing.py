"""Times and pages of lists, as LlamaCloud writes them."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from waybill.sim.llamacloud.errors import invalid


def stamp(seconds: float) -> str:
    """ISO 8601 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def seconds(query: Mapping[str, str], name: str, default: float) -> float:
    """A query's time, in seconds since the epoch.

    Raises:
        Refused: It is none.
    """
    text = query.get(name)
    if text is None:
        return default
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise invalid(f"query.{name}", "Input should be a valid datetime", text) from error
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def page(
    items: Sequence[Any], query: Mapping[str, str], most: int, default: int
) -> tuple[Sequence[Any], str | None]:
    """A page of a list, and the token of the next one.

    Raises:
        Refused: Its size or its token is not good.
    """
    size = query.get("page_size", str(default))
    if not size.isdecimal() or not 1 <= int(size) <= most:
        raise invalid("query.page_size", f"Input should be from 1 to {most}", size)
    start = _offset(query.get("page_token", ""))
    end = start + int(size)
    return items[start:end], base64.urlsafe_b64encode(f"at {end}".encode()).decode() if end < len(
        items
    ) else None


def _offset(token: str) -> int:
    if not token:
        return 0
    try:
        word, _, number = base64.urlsafe_b64decode(token).decode().partition(" ")
        if word == "at":
            return int(number)
    except ValueError:
        pass
    raise invalid("query.page_token", "Invalid page token", token)
