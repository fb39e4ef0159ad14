"""What the parser's install weighs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement


def parser_bytes() -> int:
    """Bytes on disk of `waybill[parser]`'s closure without Waybill itself, as installed here."""
    names = _closure("waybill", "parser", set())
    return sum(_size(distribution(name)) for name in names if name != "waybill")


def _closure(name: str, extra: str, seen: set[tuple[str, str]]) -> set[str]:
    if (name, extra) in seen:
        return set()
    seen.add((name, extra))
    if not _is_installed(name):
        return set()
    names = {name}
    for requirement in _requirements(name, extra):
        for wanted in ("", *requirement.extras):
            names |= _closure(_plain(requirement.name), wanted, seen)
    return names


def _requirements(name: str, extra: str) -> Iterator[Requirement]:
    for requirement in map(Requirement, distribution(name).requires or ()):
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            yield requirement


def _is_installed(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _size(package: Distribution) -> int:
    paths = (Path(str(file.locate())) for file in package.files or ())
    return sum(path.stat().st_size for path in paths if path.is_file())
