"""Which text recognition there is on this machine. Stdlib alone."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field

_PROGRAM = "tesseract"
_ORIENTATION = "osd"  # the data that tells which way up a scan lies; no language
# How it cuts a page into blocks, with and without that data.
_TURNED, _UPRIGHT = "1", "3"
_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Tesseract:
    """A program that reads an image from its input and writes words with their places.

    Attributes:
        command: With all arguments.
        environment: All of it: nothing of the service's own reaches the program.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


def installed(languages: str, environ: Mapping[str, str]) -> Tesseract | None:
    """The program that is found on the path, for those languages that it has data for. Blocks.

    Args:
        languages: Its names for them, joined by "+" as in "deu+eng"; all that it has where empty.
        environ: PATH, and TESSDATA_PREFIX where the data are somewhere else.
    """
    program = shutil.which(_PROGRAM, path=environ.get("PATH", os.defpath))
    if program is None:
        return None
    own = {name: environ[name] for name in ("TESSDATA_PREFIX",) if name in environ}
    own |= {"OMP_THREAD_LIMIT": "1", "LC_ALL": "C.UTF-8", "PATH": os.defpath}
    try:
        told = subprocess.run(
            [program, "--list-langs"], env=own, capture_output=True, text=True, timeout=_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    known = told.stdout.split("\n")[1:]
    wanted = languages.split("+") if languages else sorted({*known} - {"", _ORIENTATION})
    if not (found := [name for name in wanted if name in known]):
        return None
    layout = _TURNED if _ORIENTATION in known else _UPRIGHT
    return Tesseract((program, "stdin", "stdout", "-l", "+".join(found), "--psm", layout, "tsv"), own)
