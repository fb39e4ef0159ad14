"""Listings: every page of one, or as much of it as somebody wants to see."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

from waybill.cli.screen import Screen
from waybill.runtime.errors import InvalidRequest, NotFound

A = TypeVar("A")
# Of an id, what a listing shows and a command takes.
SHORT = 8


def pages(call: Callable[[Any], A], request: Any) -> Iterator[A]:
    """Every answer of a listing; the request's page_token moves on."""
    while True:
        answer: Any = call(request)
        yield answer
        if not answer.next_page_token:
            return
        request.page_token = answer.next_page_token


def first(call: Callable[[Any], Any], request: Any, field: str, limit: int) -> list[Any]:
    """What a listing begins with: at most so many of the field's messages."""
    request.page_size = limit
    listed = (one for answer in pages(call, request) for one in getattr(answer, field))
    return list(islice(listed, limit))


def say_more(screen: Screen, listed: Sequence[object], limit: int) -> None:
    """Says it where a listing has more than was shown of it."""
    if len(listed) > limit:
        screen.note(f"There are more than these {limit:,}: --limit shows more.")


def whole_id(beginning: str, known: Sequence[str], lacking: NotFound) -> str:
    """The one id that begins so.

    Raises:
        NotFound: `lacking`: none does.
        InvalidRequest: INVALID_REQUEST, several do.
    """
    found = [one for one in known if beginning and one.startswith(beginning)]
    if not found:
        raise lacking
    if len(found) > 1:
        text = f"{len(found)} ids begin with {beginning!r}; write more of it."
        raise InvalidRequest("INVALID_REQUEST", text)
    return found[0]
