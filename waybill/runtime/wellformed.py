"""Whether a request is one that its contract can mean; what is refused here no handler need look at."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message

from waybill.runtime.errors import InvalidRequest

# Seconds that the contracts of these two allow. A moment's nanoseconds count forward, a duration's both ways.
SECONDS = {
    "google.protobuf.Timestamp": (-62_135_596_800, 253_402_300_799),
    "google.protobuf.Duration": (-315_576_000_000, 315_576_000_000),
}
MAX_NANOS = 999_999_999


class Undecodable:
    """In place of a request whose bytes are no message: a decoder of gRPC's has no other way to say so."""


def decoding(decode: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    """A request's decoder that answers Undecodable where it would raise."""

    def decoded(data: bytes) -> Any:
        try:
            return decode(data)
        except DecodeError:
            return Undecodable()

    return decoded


def has_controls(text: str) -> bool:
    """Whether a name or value has control characters, Unicode's category Cc: line ends are some."""
    return any(unicodedata.category(character) == "Cc" for character in text)


def check(message: Message) -> None:
    """Refuses enum numbers that are none, and times that no calendar has.

    Raises:
        InvalidRequest: INVALID_REQUEST, naming the field.
    """
    for field in _looked_at(message.DESCRIPTOR):
        value = getattr(message, field.name)
        if field.is_repeated:
            for one in value:
                _check(field, one)
        elif not field.has_presence or message.HasField(field.name):
            _check(field, value)


def _check(field: FieldDescriptor, value: Any) -> None:
    kind, numbers = field.message_type, field.enum_type
    if kind is None:
        if numbers is not None and value not in numbers.values_by_number:
            raise InvalidRequest(
                "INVALID_REQUEST", f"{field.name} has no value {value}; take one of its names."
            )
    elif bounds := SECONDS.get(kind.full_name):
        least_nanos = 0 if kind.name == "Timestamp" else -MAX_NANOS
        if not bounds[0] <= value.seconds <= bounds[1] or not least_nanos <= value.nanos <= MAX_NANOS:
            raise InvalidRequest("INVALID_REQUEST", f"{field.name} is no {kind.full_name}: out of range.")
    else:
        check(value)


@cache
def _looked_at(kind: Descriptor) -> tuple[FieldDescriptor, ...]:
    """The fields that `check` has something to say of; most messages have none, and cost nothing."""
    return tuple(field for field in kind.fields if _matters(field, frozenset()))


def _matters(field: FieldDescriptor, above: frozenset[str]) -> bool:
    kind = field.message_type
    if kind is None or kind.GetOptions().map_entry:
        return field.enum_type is not None
    inside = above | {kind.full_name}
    return kind.full_name in SECONDS or (
        kind.full_name not in above and any(_matters(one, inside) for one in kind.fields)
    )
