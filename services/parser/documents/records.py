"""JSON and JSON Lines → pages: records are tables, other values lines "name: value" below headings."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from services.parser.documents import decoding, flow, text
from services.parser.documents.document import Document
from services.parser.documents.flow import Piece
from services.parser.pages import Mark, Page

_MOST_LEVEL = 4


def read(document: Document) -> Iterator[Page]:
    """What is no JSON, or nests too deep, is read as the text that it is. Raises Refused TEXT_UNDECODABLE."""
    decoded = decoding.decode(document.content())
    document.encoding = decoded.encoding
    try:
        value = _loaded(decoded.text)
    except (ValueError, RecursionError):
        return (page.marked(Mark.PLAIN) for page in text.read(document))
    return flow.running(_value(value, "", 1))


def read_lines(document: Document) -> Iterator[Page]:
    """A record a line; a line that is none is text. Raises Refused TEXT_UNDECODABLE."""
    return flow.running(_records(decoding.texts(document)))


def _loaded(content: str) -> Any:
    """Numbers stay as they are written; a name that is repeated has a list of its values."""
    return json.loads(
        content, parse_float=str, parse_int=str, parse_constant=str, object_pairs_hook=_of_pairs
    )


def _of_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    values = defaultdict(list)
    for name, value in pairs:
        values[name].append(value)
    return {name: each if len(each) > 1 else each[0] for name, each in values.items()}


def _records(texts: Iterable[str]) -> Iterator[Piece]:
    for line in _lines(texts):
        try:
            value = _loaded(line)
        except (ValueError, RecursionError):
            yield from flow.paragraph(line)
        else:
            yield from flow.paragraph("\n".join(_leaves(value)))


def _value(value: Any, path: str, level: int) -> Iterator[Piece]:
    if _is_table(value):
        names = list(dict.fromkeys(name for record in value for name in record))
        yield from flow.table([names, *([_shown(record.get(name)) for name in names] for record in value)])
    elif isinstance(value, Mapping) and level <= _MOST_LEVEL:
        yield from flow.paragraph(
            "\n".join(f"{name}: {_shown(each)}" for name, each in value.items() if _flat(each))
        )
        for name, each in value.items():
            if not _flat(each):
                yield from flow.heading(level, name)
                yield from _value(each, f"{path}{name}.", level + 1)
    elif isinstance(value, list):
        for each in value:
            yield from flow.paragraph("\n".join(_leaves(each)))
    else:
        yield from flow.paragraph("\n".join(_leaves(value)))


def _is_table(value: Any) -> bool:
    """Whether it is a list of records without anything inside their fields."""
    return (
        isinstance(value, list)
        and len(value) > 1
        and all(isinstance(each, Mapping) and all(map(_flat, each.values())) for each in value)
    )


def _leaves(value: Any) -> Iterator[str]:
    """Lines "path.to.field: value". Without recursion: a value may nest deep."""
    waiting: list[tuple[str, Any]] = [("", value)]
    while waiting:
        path, each = waiting.pop()
        if _flat(each):
            yield f"{path}: {_shown(each)}" if path else _shown(each)
        elif isinstance(each, Mapping):
            waiting += reversed([(f"{path}.{name}" if path else name, inner) for name, inner in each.items()])
        else:
            waiting += reversed([(path, inner) for inner in each])


def _flat(value: Any) -> bool:
    return not isinstance(value, (Mapping, list)) or not value


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value)


def _lines(texts: Iterable[str]) -> Iterator[str]:
    rest = ""
    for piece in texts:
        *whole, rest = (rest + piece).split("\n")
        yield from whole
    yield rest
