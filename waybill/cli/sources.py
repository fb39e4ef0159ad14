"""Which files an `ingest` means, and under which keys: nothing is read or sent yet.

A named file's key is its name; a folder's files have their path below that folder, with "/". Hidden
files and folders inside a folder are passed over, and links to folders are not followed.
"""

from __future__ import annotations

import codecs
import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from waybill.runtime.errors import InvalidRequest, NotFound, ServiceError
from waybill.runtime.wellformed import has_controls

# A binary file has a NUL among its first bytes; a text almost never.
_HEAD_BYTES = 8 * 1024
NAME_INVALID = "FILE_NAME_INVALID"
_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True, slots=True)
class Source:
    """A file to ingest.

    Attributes:
        path: Where it is.
        document_key: What it is called in the index.
        folder: The one that it was found in, by its whole path; None for a file that somebody named.
        fault: Why it cannot be sent; None where it can.
    """

    path: Path
    document_key: str
    folder: Path | None = None
    fault: ServiceError | None = None

    @property
    def origin(self) -> str:
        """What the index knows the folder by; nothing where there is none."""
        return os.fsencode(self.folder or "").decode(errors="backslashreplace")


@dataclass(slots=True)
class Gathering:
    """What the paths of a command come to; what is passed over is listed by its kind."""

    sources: list[Source] = field(default_factory=list)
    passed_over: dict[str, list[Path]] = field(default_factory=dict)

    def pass_over(self, kind: str, path: Path) -> None:
        """Notes what is not sent."""
        self.passed_over.setdefault(kind, []).append(path)


def gather(paths: Iterable[Path]) -> Gathering:
    """Walks the paths in order. A path that cannot be read becomes a source with its fault."""
    found = Gathering()
    for path in paths:
        if path.is_dir():
            found.sources.extend(_folder(path, found))
        else:
            found.sources.append(_file(path, path.name, None))
    return found


@dataclass(frozen=True, slots=True)
class FileTypes:
    """What the stack takes."""

    suffixes: frozenset[str]
    any_text: bool

    def take(self, source: Source) -> bool:
        """Whether a file of a folder is one to send; a file that somebody named always is."""
        if source.folder is None or source.fault is not None:
            return True
        return source.path.suffix.lower() in self.suffixes or (
            self.any_text and _looks_like_text(source.path)
        )


def kind_of(source: Source) -> str:
    """What a file that is not read is counted as: its ending, which an empty file does not matter for."""
    if source.path.stat().st_size == 0:
        return "empty file"
    return source.path.suffix.lower() or "without an ending"


def told_by_kind(passed_over: Mapping[str, Sequence[Path]]) -> Iterator[str]:
    """One line a kind: "3 .png, such as pictures/a.png"."""
    for kind, paths in sorted(passed_over.items()):
        such_as = ", such as" if len(paths) > 1 else ":"
        yield f"not read: {len(paths):,} {kind}{such_as} {paths[0]}"


def _looks_like_text(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return True  # sending it will say what is wrong
    return head.startswith(_UTF_16_MARKS) or (bool(head) and b"\0" not in head)


def alike(sources: Iterable[Source]) -> ServiceError | None:
    """What is wrong when two of the files would be the same document; None when all keys differ."""
    sources = list(sources)
    times = Counter(source.document_key for source in sources)
    doubled = [source for source in sources if times[source.document_key] > 1]
    if not doubled:
        return None
    paths = ", ".join(str(source.path) for source in doubled)
    return InvalidRequest("DOCUMENT_KEY_DUPLICATE", f"Files that would be the same document: {paths}.")


def copies(sources: Iterable[Source]) -> Mapping[Source, Source]:
    """The first file with the same content, for each that has one before it."""
    by_size: defaultdict[int, list[Source]] = defaultdict(list)
    for source in (one for one in sources if one.fault is None):
        with suppress(OSError):  # said when it is sent
            by_size[source.path.stat().st_size].append(source)
    first: dict[str, Source] = {}
    found = {}
    for source in (one for same in by_size.values() if len(same) > 1 for one in same):
        with suppress(OSError), source.path.open("rb") as file:
            earlier = first.setdefault(hashlib.file_digest(file, "sha256").hexdigest(), source)
            if earlier is not source:
                found[source] = earlier
    return found


def unreadable(path: Path, error: OSError) -> ServiceError:
    """What an error of the file system means to the one who named the file."""
    if isinstance(error, FileNotFoundError):
        return NotFound("FILE_NOT_FOUND", f"There is no file {path}.")
    return InvalidRequest("FILE_UNREADABLE", f"{path} cannot be read: {error.strerror or error}.")


def _folder(folder: Path, found: Gathering) -> Iterator[Source]:
    errors: list[OSError] = []
    whole = _whole(folder)
    for root, folders, files in os.walk(folder, onerror=errors.append):
        for name in sorted(name for name in (*folders, *files) if name.startswith(".")):
            found.pass_over("hidden", Path(root, name))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for path in (Path(root, name) for name in folders):
            if path.is_symlink():
                found.pass_over("link to a folder", path)
        for path in (Path(root, name) for name in sorted(files) if not name.startswith(".")):
            if path.is_file():
                yield _file(path, path.relative_to(folder).as_posix(), whole)
            else:
                found.pass_over("not a regular file", path)
    for error in errors:
        path = Path(error.filename)
        yield Source(path, path.relative_to(folder).as_posix(), whole, unreadable(path, error))


def _whole(folder: Path) -> Path:
    """Its path from the root, without links; as it is where the folder that the command is in is gone."""
    try:
        return folder.resolve()
    except OSError:
        return folder


def _file(path: Path, key: str, folder: Path | None) -> Source:
    return Source(path, key, folder, _fault(path, key))


def _fault(path: Path, key: str) -> ServiceError | None:
    try:
        key.encode()
        path.stat()
    except UnicodeEncodeError:
        return InvalidRequest(NAME_INVALID, f"The name of {path} is not valid UTF-8.")
    except OSError as error:
        return unreadable(path, error)
    if has_controls(key):
        return InvalidRequest(NAME_INVALID, f"The name of {path} has a control character.")
    if not path.is_file():
        return InvalidRequest("FILE_UNREADABLE", f"{path} is not a regular file.")
    return None
