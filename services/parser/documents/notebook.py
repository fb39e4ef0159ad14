"""Jupyter notebooks → pages: Markdown cells as Markdown, code and its output as code."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from services.parser.documents import decoding, flow, markdown
from services.parser.documents.document import Document, Refused
from services.parser.documents.flow import PICTURE, Piece
from services.parser.pages import Page

_COLOURS = re.compile(r"\x1b\[[\d;]*m")


def read(document: Document) -> Iterator[Page]:
    """Raises Refused: FILE_IS_BROKEN, TEXT_UNDECODABLE."""
    decoded = decoding.decode(document.content())
    document.encoding = decoded.encoding
    try:
        notebook = json.loads(decoded.text)
    except (ValueError, RecursionError):
        raise Refused("FILE_IS_BROKEN") from None
    return flow.running(_pieces(_mapping(notebook)))


def _pieces(notebook: Mapping[str, Any]) -> Iterator[Piece]:
    info = _mapping(notebook.get("metadata"))
    language = str(_mapping(info.get("language_info")).get("name") or "")
    sheets = [notebook, *map(_mapping, _list(notebook.get("worksheets")))]
    for cell in (_mapping(cell) for sheet in sheets for cell in _list(sheet.get("cells"))):
        source = _joined(cell.get("source", cell.get("input")))
        if cell.get("cell_type") == "code":
            yield from flow.code(source, language)
            for output in map(_mapping, _list(cell.get("outputs"))):
                yield from _output(output)
        else:
            yield from _markdown(flow.clean(source))


def _markdown(text: str) -> Iterator[Piece]:
    for block in markdown.blocks(text):
        shown = text[block.start : block.end]
        yield Piece(block.kind, shown, block.level, block.title, block.lead, continued=block.continued)


def _output(output: Mapping[str, Any]) -> Iterator[Piece]:
    data = _mapping(output.get("data")) or output
    shown = data.get("text/plain") or output.get("text") or output.get("traceback")
    if any(str(kind).startswith("image/") for kind in data):
        yield PICTURE
    yield from flow.code(_COLOURS.sub("", _joined(shown, "\n" if "traceback" in output else "")))


def _joined(lines: Any, glue: str = "") -> str:
    return glue.join(map(str, lines)) if isinstance(lines, list) else str(lines or "")


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
