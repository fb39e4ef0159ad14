"""What stands in a package's archive: a tarball, or a Debian package."""

from __future__ import annotations

import gzip
import io
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True, slots=True)
class Content:
    """A member's bytes, read when asked for. Debian's documents are often gzipped one by one: undone here."""

    tar: tarfile.TarFile
    member: tarfile.TarInfo

    @property
    def size(self) -> int:
        """Bytes in the archive."""
        return self.member.size

    def read(self) -> bytes:
        """The whole file."""
        file = self.tar.extractfile(self.member)
        assert file is not None
        data = file.read()
        return gzip.decompress(data) if self.member.name.endswith(".gz") else data


def members(archive: Path) -> Iterator[tuple[str, Content]]:
    """Each regular file, by its path below the folder that a tarball wraps all in."""
    with _opened(archive) as tar:
        for member in tar:
            if member.isfile():
                yield _path(archive, member.name), Content(tar, member)


@contextmanager
def _opened(archive: Path) -> Iterator[tarfile.TarFile]:
    if archive.suffix != ".deb":
        with tarfile.open(archive) as tar:
            yield tar
        return
    listing = subprocess.run(["dpkg-deb", "--fsys-tarfile", archive], check=True, stdout=subprocess.PIPE)
    with tarfile.open(fileobj=io.BytesIO(listing.stdout)) as tar:
        yield tar


def _path(archive: Path, name: str) -> str:
    path = PurePosixPath(name.removesuffix(".gz"))
    return path.as_posix() if archive.suffix == ".deb" else PurePosixPath(*path.parts[1:]).as_posix()
