"""What characters of a PDF stand for: no controls, no half characters, no forms that only fonts know."""

from __future__ import annotations

import codecs
import re
import unicodedata

SOFT_HYPHEN = "\xad"
# Looked up before the child gives up its rights: afterwards no codec can be imported.
UTF_16 = codecs.lookup("utf-16-le").name
RIGHT_TO_LEFT = re.compile(
    r"[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\ud802\ud803\ud83a\ud83b\U00010800-\U00010fff\U0001e800-\U0001efff]"
)
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_DROPPED = (
    *range(0x20), *range(0x7F, 0xA0), 0x200B, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2060, 0x2070),
    0xFEFF, *range(0xFFF0, 0xFFFC), 0xFFFE, 0xFFFF,
)  # fmt: skip
# Radicals of ideographs, ligatures and the shapes that Hebrew and Arabic letters take inside a word.
_FORMS = (range(0x2E80, 0x2FE0), range(0xFB00, 0xFE00), range(0xFE70, 0xFEFD))


def _table() -> dict[int, str | None]:
    table: dict[int, str | None] = dict.fromkeys(_DROPPED)
    for code in (code for codes in _FORMS for code in codes):
        plain = unicodedata.normalize("NFKC", chr(code))
        # A mark shown alone decomposes to a space and the mark, some signs to a whole sentence.
        if " " not in plain:
            table[code] = plain
    # A font that shows a hyphen may call it a soft one.
    table[ord(SOFT_HYPHEN)] = "-"
    return table


_TABLE = _table()


def cleaned(text: str) -> str:
    """Text in NFC, from UTF-16 units of which each is a character of its own."""
    if _SURROGATE.search(text):
        text = text.encode(UTF_16, "surrogatepass").decode(UTF_16, "ignore")
    text = text.translate(_TABLE)
    return text if text.isascii() else unicodedata.normalize("NFC", text)
