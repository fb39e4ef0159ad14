"""Text as it is kept: line feeds end lines, no other control but tab and form feed, NFC."""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Iterable, Iterator

_LINE_ENDS, _SPACES = "\v\x85\u2028\u2029", (*range(0x09), *range(0x0E, 0x20), *range(0x7F, 0xA0))
_KEPT = dict.fromkeys(_SPACES, " ") | {ord(end): "\n" for end in _LINE_ENDS} | {0xFEFF: None}
_UNKEPT = re.compile("[\0-\x08\x0b\x0e-\x1f\x7f-\x9f\u2028\u2029\ufeff]")
# Colours of a terminal, and letters that a printer strikes twice: neither is text.
_TERMINAL = re.compile("\x1b\\[[0-?]*[ -/]*[@-~]|\x1b[()][0-9A-B]|[^\n]\x08")
# No character after a line feed or a space combines with it.
_LAST_BORDER = re.compile(r".*[\n ]", re.DOTALL)
_LONGEST = 1 << 20


def plain(texts: Iterable[str]) -> Iterator[str]:
    """The same text in the form in which it is kept, piece by piece; pieces may be cut anywhere.

    Separators (NUL, 1C to 1F) and other controls become spaces, so that no two words are joined; a
    vertical tab, NEL and Unicode's line and paragraph separators become line feeds.
    """
    newlines = io.IncrementalNewlineDecoder(None, translate=True)
    rest = ""
    for text in texts:
        whole = rest + newlines.decode(text)
        border = _LAST_BORDER.match(whole)
        end = border.end() if border else len(whole) if len(whole) > _LONGEST else 0
        yield _kept(whole[:end])
        rest = whole[end:]
    yield _kept(rest + newlines.decode("", final=True))


def _kept(text: str) -> str:
    if _UNKEPT.search(text):
        text = _TERMINAL.sub("", text).translate(_KEPT)
    return text if unicodedata.is_normalized("NFC", text) else unicodedata.normalize("NFC", text)
