"""Text that we did not write, made harmless for a terminal.

Rich markup is never interpreted (the consoles have it off); what is left are characters that a terminal,
or a reader's eye, would obey: they are shown by their number instead.
"""

from __future__ import annotations

import re
import unicodedata

# Format characters that scripts and emoji need: soft hyphen, zero-width non-joiner and joiner.
_NEEDED = frozenset("\u00ad\u200c\u200d")
# Controls, bidi and other format characters, undecodable bytes, line and paragraph separators.
_OBEYED = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def plain(text: str) -> str:
    """One line of text: blanks and line ends become a space, what a terminal obeys becomes visible."""
    return "".join(map(visible, re.sub(r"[ \t\r\n]+", " ", text))).strip()


def visible(character: str) -> str:
    """A character as it is, or by its number where a terminal would obey it."""
    if character in _NEEDED or unicodedata.category(character) not in _OBEYED:
        return character
    number = ord(character)
    return (
        f"\\x{number:02x}"
        if number < 0x100
        else f"\\u{number:04x}"
        if number < 0x10000
        else f"\\U{number:08x}"
    )
