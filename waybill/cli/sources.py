"""Which files an `ingest` means, and under which keys: nothing is read or sent yet.

A named file's key is its name; a folder's files have their path below that folder, with "/". Hidden
files and folders inside a folder are passed over, and links to folders are not followed.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from waybill.runtime.errors import InvalidRequest, NotFound, ServiceError

# A binary file has a NUL among its first bytes; a text almost never.
_HEAD_BYTES = 8 * 1024


@dataclass(frozen=True, slots=True)
class Source:
    """A file to ingest.

    Attributes:
        path: Where it is.
        document_key: What it is called in the index.
        from_folder: Nobody named it: it is not sent where its type is none that is read.
        fault: Why it cannot be sent; None where it can.
    """

    path: Path
    document_key: str
    from_folder: bool = False
    fault: ServiceError | None = None


@dataclass(slots=True)
class Gathering:
    """What the paths of a command come to."""

    sources: list[Source] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)


def gather(paths: Iterable[Path]) -> Gathering:
    """Walks the paths in order. A path that cannot be read becomes a source with its fault."""
    found = Gathering()
    for path in paths:
        if path.is_dir():
            found.sources.extend(_folder(path, found.passed_over))
        else:
            found.sources.append(_file(path, path.name, from_folder=False))
    return found


@dataclass(frozen=True, slots=True)
class FileTypes:
    """What the stack takes."""

    suffixes: frozenset[str]
    any_text: bool

    def take(self, source: Source) -> bool:
        """Whether a file of a folder is one to send; a file that somebody named always is."""
        if not source.from_folder or source.fault is not None:
            return True
        return source.path.suffix.lower() in self.suffixes or (
            self.any_text and _looks_like_text(source.path)
        )


def told_by_kind(left: Iterable[Source]) -> str:
    """Files that are not sent, by their ending: "3 .png, 1 .zip, 2 without an ending"."""
    kinds = Counter(source.path.suffix.lower() or "without an ending" for source in left)
    return ", ".join(f"{number} {kind}" for kind, number in sorted(kinds.items()))


def _looks_like_text(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return True  # sending it will say what is wrong
    return bool(head) and b"\0" not in head


def alike(sources: Iterable[Source]) -> ServiceError | None:
    """What is wrong when two of the files would be the same document; None when all keys differ."""
    sources = list(sources)
    times = Counter(source.document_key for source in sources)
    doubled = [source for source in sources if times[source.document_key] > 1]
    if not doubled:
        return None
    paths = ", ".join(str(source.path) for source in doubled)
    return InvalidRequest("DOCUMENT_KEY_DUPLICATE", f"Files that would be the same document: {paths}.")


def unreadable(path: Path, error: OSError) -> ServiceError:
    """What an error of the file system means to the one who named the file."""
    if isinstance(error, FileNotFoundError):
        return NotFound("FILE_NOT_FOUND", f"There is no file {path}.")
    return InvalidRequest("FILE_UNREADABLE", f"{path} cannot be read: {error.strerror or error}.")


def _folder(folder: Path, passed_over: list[str]) -> Iterator[Source]:
    errors: list[OSError] = []
    for root, folders, files in os.walk(folder, onerror=errors.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        passed_over += [
            f"{Path(root, name)}: a link to a folder" for name in folders if Path(root, name).is_symlink()
        ]
        for name in sorted(name for name in files if not name.startswith(".")):
            path = Path(root, name)
            if path.is_file():
                yield _file(path, path.relative_to(folder).as_posix(), from_folder=True)
            else:
                passed_over.append(f"{path}: not a regular file")
    for error in errors:
        path = Path(error.filename)
        yield Source(path, path.relative_to(folder).as_posix(), True, unreadable(path, error))


def _file(path: Path, key: str, *, from_folder: bool) -> Source:
    return Source(path, key, from_folder, _fault(path, key))


def _fault(path: Path, key: str) -> ServiceError | None:
    try:
        key.encode()
        path.stat()
    except UnicodeEncodeError:
        return InvalidRequest("FILE_NAME_INVALID", f"The name of {path} is not valid UTF-8.")
    except OSError as error:
        return unreadable(path, error)
    if not path.is_file():
        return InvalidRequest("FILE_UNREADABLE", f"{path} is not a regular file.")
    return None
