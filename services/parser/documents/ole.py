"""OLE files: Office's own container until 2007, and its safe since. Imported in the child alone."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import msoffcrypto
import olefile
from msoffcrypto.format import xls97

from services.parser.documents import formats
from services.parser.documents.document import Refused
from services.parser.documents.formats import Format

PACKAGE = "EncryptedPackage"
# Excel opens without a question what is locked with it (MS-XLS 2.2.10).
_EVERYBODYS = "VelvetSweatshop"
_READ = {
    "WordDocument": formats.DOC,
    "PowerPoint Document": formats.PPT,
    "Workbook": formats.XLS,
    "Book": formats.XLS,
    "__properties_version1.0": formats.OUTLOOK,
}
_UNREAD = {
    "PP40": "a PowerPoint 95 file",
    "VisioDocument": "a Visio file",
}
# PowerPoint 97's says more (MS-PPT 2.3.2); the text that it points to is of another form.
_CURRENT_USER, _LEAST_CURRENT_USER_BYTES = "Current User", 28

# The library writes what it has unlocked to a file first, and the child can write none.
xls97.tempfile = SimpleNamespace(TemporaryFile=io.BytesIO)


def kind(content: bytes) -> Format | None:
    """What a file holds, None for another Office file behind a lock. Objects inside it are none of its kind.

    Raises:
        Refused: FILE_IS_BROKEN, or FILE_TYPE_UNSUPPORTED with what it is instead.
    """
    with opened(content) as file:
        if file.exists(PACKAGE):
            return None
        found = next((each for name, each in _READ.items() if file.exists(name)), None)
        if found is formats.PPT and _is_of_95(file):
            raise Refused("FILE_TYPE_UNSUPPORTED", found=_UNREAD["PP40"])
        if found is None:
            other = next((each for name, each in _UNREAD.items() if file.exists(name)), "")
            raise Refused("FILE_TYPE_UNSUPPORTED", found=other or "an OLE file of another program")
        return found


def unlocked(content: bytes) -> bytes:
    """A locked file without its lock, where Excel would ask for no password.

    Raises:
        Refused: FILE_IS_PROTECTED.
    """
    out = io.BytesIO()
    try:
        file = msoffcrypto.OfficeFile(io.BytesIO(content))
        file.load_key(password=_EVERYBODYS)
        file.decrypt(out)
    except Exception:  # a wrong password shows itself in many ways; whichever it is, the file stays locked
        raise Refused("FILE_IS_PROTECTED") from None
    return out.getvalue()


def _is_of_95(file: olefile.OleFileIO) -> bool:
    return bool(file.exists(_CURRENT_USER) and file.get_size(_CURRENT_USER) < _LEAST_CURRENT_USER_BYTES)


@contextmanager
def opened(content: bytes) -> Iterator[olefile.OleFileIO]:
    """A file, open until the block is left. Raises Refused FILE_IS_BROKEN."""
    try:
        file = olefile.OleFileIO(io.BytesIO(content))
    except (OSError, ValueError, IndexError):
        raise Refused("FILE_IS_BROKEN") from None
    with file:
        yield file
