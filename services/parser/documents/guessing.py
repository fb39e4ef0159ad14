"""What character encoding unmarked bytes are in, told from a sample of them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import suppress

import chardet
from chardet.pipeline import DetectionDict

_TEXT_CONTROLS = b"\t\n\v\f\r\x0e\x0f\x1b\x1c\x1d\x1e\x1f"  # 0E, 0F and 1B shift between ISO 2022's sets
_CONTROLS = bytes(code for code in (*range(1, 0x20), 0x7F) if code not in _TEXT_CONTROLS)
_PRINTABLE = bytes((*b"\n\r", *range(0x20, 0x7F)))
_HIGH = bytes(range(0x80, 0x100))
_SHIFTS = {"iso2022_kr": re.compile(rb"\x1b\$\)C"), "iso2022_jp_2": re.compile(rb"\x1b\$[@B(]")}
# Where windows-1250 to -1258 all have the same marks: quotes, dashes, bullets, €, ©, °.
_MARKS = b"\x80\x82\x84-\x89\x8b\x91-\x99\x9b\xa0\xa3\xa7\xa9\xab-\xae\xb0\xb1\xb4-\xb8\xbb"
_MARKS_ALONE = re.compile(rb"[\x00-\x7f" + _MARKS + rb"]*")
# An apostrophe, a dash or a soft hyphen may stand there; anything else is a letter of another code page.
_MARK_IN_WORD = re.compile(rb"[A-Za-z][^\x00-\x7f\x92\x96\x97\xad\xb4][A-Za-z]")
_WESTERN = re.compile(
    rb"[\x00-\x7f" + _MARKS + rb"\x9c\xbf\xa1\xc0-\xc5\xc7-\xcf\xd1-\xd6\xd8-\xdc\xdf-\xef\xf1-\xfc]*"
)
_FEW_BYTES, _LOW_CONFIDENCE, _FAIR_CONFIDENCE = 4, 0.05, 0.3
# In these no letter is ASCII. Of a few words in an Asian encoding chardet makes one of them, and hardly.
_EBCDIC = frozenset(("cp037", "cp273", "cp424", "cp500", "cp875", "cp1026", "cp1140"))
_ALPHABETS = "\u0370-\u1cff\ufb1d-\ufefc"  # Greek to Thai and beyond, but no script that needs no spaces
_OTHER = re.compile(f"[{_ALPHABETS}]")
_MIXED = re.compile(f"(?<=[A-Za-z])[{_ALPHABETS}]|[{_ALPHABETS}](?=[A-Za-z])")
_COMMON = re.compile("[\t\n\r -~\u3001\u3002\uff0c]")


def is_binary(sample: bytes, *, utf8: bool) -> bool:
    """Whether there are too many controls for a text: fewer where it is no UTF-8, and a fifth of NULs."""
    controls = _count(sample, _CONTROLS)
    if utf8:
        return controls * 10 > len(sample)
    return controls * 30 > len(sample) or sample.count(0) * 5 > len(sample)


def wide(sample: bytes) -> str:
    """The form of UTF-16 or UTF-32 that bytes with NULs among them are in; empty where in neither."""
    nuls = sample.count(0)
    if not nuls:
        return ""
    for codec in ("utf-32-le", "utf-32-be"):
        if len(sample) >= 4 and _is_text(_strict(sample[: len(sample) // 4 * 4], codec)):
            return codec
    even = sample.count(0) - sample[1::2].count(0)
    printable = _count(sample, _PRINTABLE) > 0.85 * (len(sample) - nuls)
    for codec, other, there in (("utf-16-le", "utf-16-be", nuls - even), ("utf-16-be", "utf-16-le", even)):
        # Letters of ASCII with NULs between are UTF-16 only where nearly every second byte is one.
        if printable and (there < 0.98 * nuls or nuls < 0.4 * len(sample)):
            continue
        pairs = sample[: len(sample) // 2 * 2]
        text, swapped = _strict(pairs, codec), pairs.decode(other, "replace")
        if _is_text(text) and len(_COMMON.findall(text)) > 8 * len(_COMMON.findall(swapped)):
            return codec
    return ""


def shifted(sample: bytes) -> str:
    """The form of ISO 2022 that seven-bit bytes change their character sets by; empty where they do not."""
    if not sample.isascii():
        return ""
    return next((codec for codec, shift in _SHIFTS.items() if shift.search(sample)), "")


def guesses(sample: bytes) -> Iterator[str]:
    """Python's names of eight-bit encodings, the likeliest first; none where nothing fits.

    chardet is asked, but for three things. It takes marks and single letters for Hebrew, Arabic or Greek
    ones; for a few bytes its order is chance, where windows-1252 is likeliest by far; and one bad byte
    makes it take Chinese for Cyrillic, though hardly, so then halves of the sample are shown to it.
    """
    sample = sample.replace(b"\0", b" ")  # chardet takes any for a sign of binary content
    if _MARKS_ALONE.fullmatch(sample) and not sample.isascii() and not _MARK_IN_WORD.search(sample):
        yield "cp1252"
    first = _detected(sample)
    if first["confidence"] < _LOW_CONFIDENCE:
        if _count(sample, _HIGH) <= _FEW_BYTES and _WESTERN.fullmatch(sample):
            yield "cp1252"
        yield from _of_halves(sample)
    yield from _plausible(sample, [first])
    yield from _plausible(sample, chardet.detect_all(sample, compat_names=False, no_match_encoding="ascii"))


def _of_halves(sample: bytes) -> Iterator[str]:
    middle = sample.find(b"\n", len(sample) // 2) + 1
    for half in (sample[:middle], sample[middle:]):
        found = _detected(half)
        if found["encoding"] and found["confidence"] >= _FAIR_CONFIDENCE:
            yield found["encoding"]


def _plausible(sample: bytes, results: Iterable[DetectionDict]) -> Iterator[str]:
    names = (
        found["encoding"]
        for found in results
        if found["confidence"] >= _FAIR_CONFIDENCE or found["encoding"] not in _EBCDIC
    )
    return (_usual(sample, name) for name in names if name and not mixes_alphabets(sample, name))


def _detected(sample: bytes) -> DetectionDict:
    return chardet.detect(sample, compat_names=False, no_match_encoding="ascii")


def _usual(sample: bytes, codec: str) -> str:
    """windows-1252 where that says the same."""
    with suppress(LookupError, UnicodeDecodeError):
        return "cp1252" if sample.decode("cp1252") == sample.decode(codec) else codec
    return codec


def mixes_alphabets(sample: bytes, codec: str) -> bool:
    """Whether a codec makes most letters of other alphabets stand beside Latin ones."""
    try:
        text = sample.decode(codec, "replace")
    except LookupError:
        return False
    return 2 * len(_MIXED.findall(text)) > len(_OTHER.findall(text))


def _count(sample: bytes, codes: bytes) -> int:
    return len(sample) - len(sample.translate(None, codes))


def _strict(sample: bytes, codec: str) -> str:
    """Empty where the bytes are none of the codec's; a pair that the sample's end cuts is no matter."""
    for end in (len(sample), len(sample) - 2):
        try:
            return sample[:end].decode(codec)
        except UnicodeDecodeError:
            continue
    return ""


def _is_text(text: str) -> bool:
    """Nearly all of it assigned, and no control."""
    strange = sum(
        unicodedata.category(char) in ("Cc", "Cn", "Co") and char not in "\t\n\v\f\r" for char in text
    )
    return bool(text) and strange * 50 <= len(text)
