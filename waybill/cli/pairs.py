"""KEY=VALUE, as options take it."""

from __future__ import annotations

from collections.abc import Sequence

import typer


def pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    """Values by key; the last of a key counts. Raises typer.BadParameter."""
    split = [text.partition("=") for text in texts]
    if any(not key or not equals for key, equals, _ in split):
        raise typer.BadParameter(f"write {option} KEY=VALUE")
    return {key: value for key, _, value in split}
