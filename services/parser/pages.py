"""A document's pages, and the artifact that carries them: one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Page:
    """One page as Markdown.

    Attributes:
        page: From 1.
        markdown: Its text; may be empty.
        truncated: Text beyond the limit of a page was cut off.
    """

    page: int
    markdown: str
    truncated: bool = False


def dump(pages: Iterable[Page]) -> bytes:
    """The artifact. The same pages always give the same bytes."""
    return b"".join(_line(page) for page in pages)


def load(artifact: bytes) -> list[Page]:
    """The pages of an artifact."""
    return [
        Page(row["page"], row["markdown"], row.get("truncated", False))
        for row in map(json.loads, artifact.splitlines())
    ]


def _line(page: Page) -> bytes:
    row = {"page": page.page, "markdown": page.markdown} | ({"truncated": True} if page.truncated else {})
    # ASCII: other line separators of Unicode would else split a line for some readers.
    return json.dumps(row).encode() + b"\n"
