"""What the parser's install weighs."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

_PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def parser_bytes() -> int:
    """Bytes on disk of all that `waybill[parser]` depends on, as installed here.

    Raises:
        PackageNotFoundError: Not all of it is installed.
    """
    names: set[tuple[str, str]] = set()
    _collect("waybill", "parser", names)
    return sum(map(_size, {name for name, _ in names} - {"waybill"}))


def _collect(name: str, extra: str, into: set[tuple[str, str]]) -> None:
    if (name, extra) in into:
        return
    into.add((name, extra))
    for requirement in _requirements(name, extra):
        for wanted in ("", *requirement.extras):
            _collect(_plain(requirement.name), wanted, into)


def _requirements(name: str, extra: str) -> Iterator[Requirement]:
    listed = _ours(extra) if name == "waybill" else distribution(name).requires or []
    for requirement in map(Requirement, listed):
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            yield requirement


def _ours(extra: str) -> list[str]:
    """From the project file: what is installed may be of an earlier day."""
    project = tomllib.loads(_PROJECT.read_text())["project"]
    listed: list[str] = project["optional-dependencies"][extra] if extra else project["dependencies"]
    return listed


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _size(name: str) -> int:
    paths = (Path(str(file.locate())) for file in distribution(name).files or ())
    return sum(path.stat().st_size for path in paths if path.is_file())
