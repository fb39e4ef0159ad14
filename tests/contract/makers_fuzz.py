"""Messages as a stranger may send them, built from a descriptor: most fields plausible, some hostile."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

F = FieldDescriptor
CONTENT = b"harbour"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NOBODY = "0190a0a0-0000-7000-8000-000000000000"
TEXTS = ["\0", "a\0b", "9" * 4_301, "-1", "../../x", NOBODY, "1:2", "é" * 300, "\ud7ff\U0010ffff", "%00", ""]
BYTES = [b"", b"\0", b"\xff" * 16, b"\0" * 1_024]
REALS = [float("nan"), float("inf"), -1.0, 1e308, 0.0]
SMALL = [-(2**31), -1, 0, 2**31 - 1]
LARGE = [*SMALL, -(2**63), 2**63 - 1, 10**12]
UNSIGNED = {
    F.TYPE_UINT32: 2**32 - 1,
    F.TYPE_UINT64: 2**64 - 1,
    F.TYPE_FIXED32: 2**32 - 1,
    F.TYPE_FIXED64: 2**64 - 1,
}
# Seconds and nanoseconds that no calendar has, or that none of ours reaches.
TIMES = [
    (2**63 - 1, 0),
    (-(2**63), 0),
    (0, -1),
    (10**11, 2**31 - 1),
    (315_576_000_000, 0),
    (253_402_300_799, 0),
]
PLAUSIBLE: Mapping[str, Any] = {
    "sha256": SHA256, "source_sha256": SHA256, "size_bytes": len(CONTENT), "data": CONTENT,
    "text": "harbour", "query": "harbour", "texts": "harbour", "key": f"sources/{SHA256}",
    "source_key": f"sources/{SHA256}", "collection": "default", "document_key": "a.md", "filename": "a.md",
    "content_type": "text/plain", "heading": "", "lead": "", "ordinal": 0, "start_char": 0, "end_char": 7,
    "page_token": "", "page_size": 10, "resume_token": "0", "model": "wordllama-l2-supercat",
    "dimension": 256, "revision": "0.4.0", "values": b"\0\0\x80?" + b"\0" * 1_020, "service": "parser",
    "operation": "parse", "vendor": "llamaparse", "unit": "page", "end_ordinal": 9, "start_ordinal": 0,
    "spend_key": "parse:x",
}  # fmt: skip


@st.composite
def messages(
    draw: st.DrawFn, descriptor: Descriptor, known: Mapping[str, Any], place: int = 0, depth: int = 0
) -> Message:
    """A message of this type.

    Args:
        descriptor: The type.
        known: What a field of this name may take that is there.
        place: Which message of a stream it is: the first is mostly a header, others are content.
        depth: Of nesting.
    """
    message = GetMessageClass(descriptor)()
    chosen = {}
    for one in descriptor.oneofs:
        names = [field.name for field in one.fields]
        chosen[one.name] = draw(st.sampled_from([*names, *[names[min(place, len(names) - 1)]] * 4]))
    for field in descriptor.fields:
        inside = field.containing_oneof
        left_out = inside is not None and chosen[inside.name] != field.name
        if not (left_out or depth > 4 or _rarely(draw)):
            _fill(draw, message, field, known, depth)
    return message


def _rarely(draw: st.DrawFn) -> bool:
    return draw(st.integers(0, 11)) == 7


def _fill(
    draw: st.DrawFn, message: Message, field: FieldDescriptor, known: Mapping[str, Any], depth: int
) -> None:
    kind = field.message_type
    if kind is not None and kind.GetOptions().map_entry:
        key, value = draw(st.sampled_from(["k", *TEXTS])), draw(st.sampled_from(["v", *TEXTS]))
        getattr(message, field.name).update({key: value} if _rarely(draw) else {"k": "v"})
    elif field.is_repeated:
        values = [_value(draw, field, known, depth) for _ in range(draw(st.integers(1, 2)))]
        getattr(message, field.name).extend(values)
    elif kind is not None:
        getattr(message, field.name).CopyFrom(_value(draw, field, known, depth))
    else:
        setattr(message, field.name, _value(draw, field, known, depth))


def _value(draw: st.DrawFn, field: FieldDescriptor, known: Mapping[str, Any], depth: int) -> Any:
    kind = field.message_type
    hostile = _rarely(draw)
    if kind is not None and kind.full_name in ("google.protobuf.Timestamp", "google.protobuf.Duration"):
        usual = 4_000_000_000 if kind.name == "Timestamp" else 0
        seconds, nanos = draw(st.sampled_from(TIMES)) if hostile else (usual, 0)
        return GetMessageClass(kind)(seconds=seconds, nanos=nanos)
    if kind is not None:
        return draw(messages(kind, known, depth=depth + 1))
    if field.enum_type is not None:
        numbers = [value.number for value in field.enum_type.values]
        return draw(st.sampled_from([99, 2**31 - 1, -1] if hostile else numbers))
    if not hostile:
        return _plausible(field, known)
    match field.type:
        case F.TYPE_STRING:
            return draw(st.sampled_from(TEXTS))
        case F.TYPE_BYTES:
            return draw(st.sampled_from(BYTES))
        case F.TYPE_BOOL:
            return draw(st.booleans())
        case F.TYPE_DOUBLE | F.TYPE_FLOAT:
            return draw(st.sampled_from(REALS))
        case number if number in UNSIGNED:
            return draw(st.sampled_from([0, UNSIGNED[number]]))
        case F.TYPE_INT64 | F.TYPE_SINT64 | F.TYPE_SFIXED64:
            return draw(st.sampled_from(LARGE))
    return draw(st.sampled_from(SMALL))


def _plausible(field: FieldDescriptor, known: Mapping[str, Any]) -> Any:
    name = field.name
    if name in known or name in PLAUSIBLE:
        value = known.get(name, PLAUSIBLE.get(name))
        return value.encode() if field.type == F.TYPE_BYTES and isinstance(value, str) else value
    match field.type:
        case F.TYPE_STRING:
            return NOBODY if name.endswith(("_id", "_ids", "job_key")) else "x"
        case F.TYPE_BYTES:
            return b"x" * 16
        case F.TYPE_BOOL:
            return False
    return 1
