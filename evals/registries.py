"""Fetches a package's archive by the registry's ordinary client, and runs nothing of the package.

No address stands here: each client knows its registry, or the mirror that this machine is told to use.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import urljoin

import stamina

_SECONDS = 180


class NotFetched(Exception):
    """The package is not to be had on this machine; the text says why."""


def fetch(registry: str, name: str, version: str, folder: Path) -> Path:
    """Puts the archive into the folder. Raises NotFetched."""
    return _CLIENTS[registry](name, version, folder)


def _pypi(name: str, version: str, folder: Path) -> Path:
    """The source distribution. `pip download` would run its build to learn of what it depends on."""
    page = urljoin(_pip_index().rstrip("/") + "/", _plain(name) + "/")
    try:
        files = json.loads(_get(page, "application/vnd.pypi.simple.v1+json"))["files"]
        file = next(each for each in files if _is_source(each["filename"], name, version))
        target = folder / Path(file["filename"]).name
        target.write_bytes(_get(urljoin(page, file["url"])))
    except (OSError, ValueError) as error:
        raise NotFetched(f"{name}: the package index does not answer ({error})") from error
    except StopIteration:
        raise NotFetched(f"{name}: the package index has no source distribution of {version}") from None
    return target


def _is_source(filename: str, name: str, version: str) -> bool:
    return _plain(filename.removesuffix(".tar.gz")) == _plain(f"{name}-{version}") != _plain(filename)


def _plain(name: str) -> str:
    """A name as the index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _pip_index() -> str:
    """The index that pip would ask. Its own help is the one place that says so, default and setting alike."""
    wide = {**os.environ, "COLUMNS": "1000"}
    for python in (sys.executable, f"{sys.base_prefix}/bin/python3"):
        asked = subprocess.run(
            [python, "-m", "pip", "download", "--help"], env=wide, check=False, text=True, capture_output=True
        )
        if found := re.search(r"--index-url <url>.*?\(default\s+(\S+?)\)", asked.stdout, re.DOTALL):
            return found[1]
    raise NotFetched("pip is not installed")


@stamina.retry(on=OSError, attempts=3)
def _get(url: str, accept: str = "*/*") -> bytes:
    request = urllib.request.Request(url, headers={"Accept": accept})  # noqa: S310 - pip's own index
    with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
        content: bytes = answer.read()
    return content


def _npm(name: str, version: str, folder: Path) -> Path:
    command = ["npm", "pack", "--ignore-scripts", f"{name}@{version}"]
    return _by_client(command, folder, "*.tgz")


def _debian(name: str, version: str, folder: Path) -> Path:
    """The version that this machine's Debian offers; the list may know several."""
    try:
        return _by_client(["apt-get", "-q", "download", name], folder, "*.deb")
    except NotFetched:
        if shutil.which("apt-get") is None:
            raise
    # The machine's own lists may never have been updated, and that needs root.
    with tempfile.TemporaryDirectory() as state:
        own = ["apt-get", "-q", "-o", f"Dir::State={state}", "-o", f"Dir::Cache={state}"]
        subprocess.run([*own, "update"], check=False, capture_output=True, timeout=_SECONDS)
        return _by_client([*own, "download", name], folder, "*.deb")


def _by_client(command: Sequence[str], folder: Path, pattern: str) -> Path:
    name = command[-1]
    try:
        done = subprocess.run(
            command, cwd=folder, check=False, text=True, capture_output=True, timeout=_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotFetched(f"{name}: {command[0]} cannot be used ({error})") from error
    if found := next(folder.glob(pattern), None):
        return found
    said = [line for line in done.stderr.splitlines() if line.strip()]
    raise NotFetched(f"{name}: {command[0]} says: {said[-1] if said else 'nothing'}")


_CLIENTS: Mapping[str, Callable[[str, str, Path], Path]] = {"pypi": _pypi, "npm": _npm, "debian": _debian}
