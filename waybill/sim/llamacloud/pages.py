"""The pages of a result: the same bytes and options give the same text, byte for byte."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

_WORDS = (
    *("invoice", "carrier", "weight", "receipt", "port", "customs", "manifest", "vessel", "pallet", "tariff"),
    *("consignee", "freight", "warehouse", "container", "schedule", "clause", "signature", "insurance"),
)
WIDTH, HEIGHT = 612.0, 792.0


@dataclass(frozen=True)
class Page:
    """One page; `failed` where it could not be parsed."""

    number: int
    text: str
    items: tuple[dict[str, Any], ...]
    failed: bool = False

    @property
    def markdown(self) -> str:
        """What its items read as."""
        return "\n\n".join(item["md"] for item in self.items)


def page(sha256: str, options: str, number: int) -> Page:
    """One page of a document.

    Args:
        sha256: Of the file.
        options: What stands for the options of the job; others give another text.
    """
    draw = random.Random(f"{sha256} {options} {number}")  # noqa: S311 - the same text each time
    words = " ".join(draw.choices(_WORDS, k=40))
    marker = f"sim:{sha256[:12]}:p{number}"
    items = [_heading(f"Heading {number}"), text(f"{marker} options:{options[:8]}"), text(words)]
    if number % 2 == 0:
        items.append(_list(draw.choices(_WORDS, k=3)))
    if number % 3 == 0:
        items.append(_table([draw.choices(_WORDS, k=3) for _ in range(3)]))
    return Page(number, "\n".join(map(_plain, items)), tuple(items))


def _plain(item: dict[str, Any]) -> str:
    match item["type"]:
        case "list":
            return "\n".join(one["value"] for one in item["items"])
        case "table":
            return "\n".join(" ".join(row) for row in item["rows"])
    return str(item["value"])


def _heading(value: str) -> dict[str, Any]:
    return {"type": "heading", "level": 1, "value": value, "md": f"# {value}"}


def text(value: str) -> dict[str, Any]:
    """A paragraph."""
    return {"type": "text", "value": value, "md": value}


def _list(words: list[str]) -> dict[str, Any]:
    items = [text(word) for word in words]
    md = "\n".join(f"- {word}" for word in words)
    return {"type": "list", "ordered": False, "items": items, "md": md}


def _table(rows: list[list[str]]) -> dict[str, Any]:
    lines = [f"| {' | '.join(row)} |" for row in rows]
    html = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return {
        "type": "table",
        "rows": rows,
        "csv": "\n".join(",".join(row) for row in rows),
        "html": f"<table>{html}</table>",
        "md": "\n".join([lines[0], "|---|---|---|", *lines[1:]]),
    }
