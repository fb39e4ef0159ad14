"""What office-oxide loses in a package, written so that it does not. Imported in the child alone.

It passes over words that have a reading set above them, signs that Word draws in one of two ways, and space
between the runs of a workbook's comments and shapes: "is" and " some" become "issome".
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping

Rewrite = Callable[[bytes], bytes]

_MOST_BYTES = 64_000_000
_TEXT = re.compile(rb"<(?:\w+:)?t(?:\s[^<>]*)?>([^<]*)</(?:\w+:)?t>")
_WORD_PART = re.compile(r"word/[\w-]+\.xml")
_COMMENTS = re.compile(r"xl/(?:\w+/)?comments?\d*\.xml")
_SHAPES = re.compile(r"xl/drawings/drawing\d+\.xml")
_RUBY = re.compile(rb"<w:ruby>.*?<w:rubyBase>(.*?)</w:rubyBase>\s*</w:ruby>", re.DOTALL)
_SIGN = re.compile(
    rb"<mc:AlternateContent>\s*<mc:Choice[^<>]*>\s*<w16se:symEx[^<>]*/>\s*</mc:Choice>\s*"
    rb"<mc:Fallback>(.*?)</mc:Fallback>\s*</mc:AlternateContent>",
    re.DOTALL,
)
_COMMENT = re.compile(rb"(?<=<text>).*?(?=</text>)", re.DOTALL)
_READING = re.compile(rb"<rPh\b.*?</rPh>", re.DOTALL)
_SHAPE = re.compile(rb"(?<=<xdr:txBody>).*?(?=</xdr:txBody>)", re.DOTALL)
_PARAGRAPH = re.compile(rb"<a:p>.*?</a:p>", re.DOTALL)


def whole(content: bytes) -> bytes:
    """The package itself where the engine loses nothing of it, else a copy that it reads whole."""
    if not content.startswith(b"PK"):  # a file of Office 97 may hold a package
        return content
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(each.file_size for each in archive.infolist()) > _MOST_BYTES:
                return content
            changed = _changed(archive)
            return _copy(archive, changed) if changed else content
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError):
        return content  # the engine says what is wrong with it


def _changed(archive: zipfile.ZipFile) -> dict[str, bytes]:
    changed = {}
    for name in set(archive.namelist()):
        rewrite = next((each for part, each in _REWRITES.items() if part.fullmatch(name)), None)
        if rewrite and (new := rewrite(old := archive.read(name))) != old:
            changed[name] = new
    return changed


def _copy(archive: zipfile.ZipFile, changed: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as copy:
        for name in dict.fromkeys(archive.namelist()):
            copy.writestr(name, changed.get(name) or archive.read(name))
    return out.getvalue()


def _word(part: bytes) -> bytes:
    if b"<w:ruby>" in part:
        part = _RUBY.sub(lambda found: _joined(found[1], b"w:t"), part)
    return _SIGN.sub(rb"\1", part) if b"<w16se:symEx" in part else part


def _comments(part: bytes) -> bytes:
    return _COMMENT.sub(lambda found: _joined(_READING.sub(b"", found[0]), b"t"), part)


def _shapes(part: bytes) -> bytes:
    return _SHAPE.sub(lambda found: b"<a:p><a:r><a:t>%s</a:t></a:r></a:p>" % _lines(found[0]), part)


def _lines(shape: bytes) -> bytes:
    return b"\n".join(b"".join(_TEXT.findall(each)) for each in _PARAGRAPH.findall(shape)).strip()


def _joined(runs: bytes, element: bytes) -> bytes:
    """The texts of runs as one element."""
    return b'<%s xml:space="preserve">%s</%s>' % (element, b"".join(_TEXT.findall(runs)), element)


_REWRITES: Mapping[re.Pattern[str], Rewrite] = {_WORD_PART: _word, _COMMENTS: _comments, _SHAPES: _shapes}
