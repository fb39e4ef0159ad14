"""Bytes → text: finds the character encoding, and decodes the whole by it.

In order: a byte order mark; what the format declares; UTF-8; UTF-16 and UTF-32 without a mark; then what
a sample looks like. An encoding counts only if the whole document decodes by it. Why chardet:
`docs/decisions/0005-text-decoding.md`.
"""

from __future__ import annotations

import codecs
import encodings
import itertools
import pkgutil
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from services.parser.documents import guessing
from services.parser.documents.document import Document, Refused

Pieces = Callable[[], Iterable[bytes]]

# UTF-32 first: its little-endian mark begins with that of UTF-16.
_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
# What writers of the first mean, as browsers read it (WHATWG Encoding, section 4.2).
_MEANT = {
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "euc_kr": "cp949",
    "shift_jis": "cp932",
    "shift_jis_2004": "cp932",
    "euc_jis_2004": "euc_jp",
    "big5": "big5hkscs",
    "iso2022_jp": "iso2022_jp_2",
}
_NAMES = {"cp932": "shift_jis", "cp949": "euc-kr", "big5hkscs": "big5", "iso2022_jp_2": "iso-2022-jp"}
_MULTIBYTE = re.compile(r"utf-8|gb|hz|big5|euc|shift_jis|iso2022|johab|cp9(32|49|50)")
_SINGLE_BYTE = re.compile(r"cp\d|iso8859|koi8|mac-|kz1048|ptcp154|hp-roman8|tis-620")
_BEYOND_ASCII = re.compile(rb"[\x80-\xff]")
_SAMPLE_BYTES, _LINE_BYTES = 64 * 1024, 256
# A damaged text has so many good characters beyond ASCII for each bad byte.
_GOOD_PER_BAD, _GOOD_PER_BAD_GUESS = 10, 100
_FEWEST_GOOD, _FEW_GOOD = 2, 20
_LATIN = re.compile("[\0-\u024f\u2000-\u2bff\ufffd]*")


@dataclass(frozen=True, slots=True)
class Decoded:
    """A text, and the encoding that it was in: "utf-8", "windows-1252"."""

    text: str
    encoding: str


@dataclass(frozen=True, slots=True)
class _Found:
    codec: str
    mark_bytes: int = 0
    damaged: int = 0

    @property
    def name(self) -> str:
        codec = codecs.lookup(self.codec).name
        if codec in _NAMES:
            return _NAMES[codec]
        named = re.sub(r"^cp(125\d|874)$", r"windows-\1", codec)
        named = re.sub(r"^cp(?=\d)", "ibm", named).replace("iso8859", "iso-8859").replace("_", "-")
        return re.sub(r"^(utf-\d\d)-", r"\1", named)

    def texts(self, pieces: Iterable[bytes]) -> Iterator[str]:
        errors = "replace" if self.damaged else "strict"
        return _texts(pieces, self.codec, self.mark_bytes, errors)


def decode(content: bytes, declared: str = "") -> Decoded:
    """The text of bytes.

    Args:
        content: Without a byte order mark or with one, which is no part of the text.
        declared: What the format says of itself: XML's declaration, HTML's meta, a mail's charset. It is
            believed if the whole decodes by it, but a code page of single bytes, by which anything
            decodes, gives way to UTF-8.

    Raises:
        Refused: TEXT_UNDECODABLE, FILE_TYPE_UNSUPPORTED (binary content).
    """
    found = _find(lambda: (content,), declared)
    return Decoded("".join(found.texts((content,))), found.name)


def texts(document: Document, declared: str = "") -> Iterator[str]:
    """The text of a document, piece by piece; says its encoding, and what could not be decoded.

    Raises:
        Refused: See decode; before the first piece.
    """
    found = _find(document.pieces, declared)
    document.encoding = found.name
    if found.damaged:
        document.left_out.append(f"{found.damaged} undecodable bytes")
    return found.texts(document.pieces())


def _find(pieces: Pieces, declared: str) -> _Found:
    head = next(iter(pieces()), b"")[:_SAMPLE_BYTES]
    if marked := next((mark for mark in _MARKS if head.startswith(mark)), b""):
        return _marked(pieces, _MARKS[marked], len(marked))
    single, multi = _declared(declared)
    for codec in filter(None, (multi, guessing.wide(head), guessing.shifted(head))):
        if _fault(pieces, codec) < 0:
            return _Found(codec)
    fault = _fault(pieces, "utf-8", final=True)
    sample = head if fault < 0 else _telling(pieces())
    if guessing.is_binary(sample, utf8=fault < 0):
        raise Refused("FILE_TYPE_UNSUPPORTED")
    if fault < 0:
        return _Found("utf-8")
    bad, good = _damage(pieces, "utf-8")
    if good >= _GOOD_PER_BAD * bad or _has_strays(pieces, sample, bad, good):
        return _Found("utf-8", damaged=bad)
    for name in itertools.chain(single, guessing.guesses(sample)):
        if found := _guessed(pieces, name):
            return found
    raise Refused("TEXT_UNDECODABLE", byte_offset=str(fault))


def _has_strays(pieces: Pieces, sample: bytes, bad: int, good: int) -> bool:
    """Whether it is UTF-8 with letters of a code page pasted in: single ones, and no more than its own.

    A few characters of another encoding may be UTF-8 by chance, but hardly Latin letters; where a mark
    behind a letter is, alphabets mix within words.
    """
    if good < max(bad, _FEWEST_GOOD) or guessing.mixes_alphabets(sample, "utf-8"):
        return False
    if good < _FEW_GOOD and not _LATIN.fullmatch(sample.decode("utf-8", "replace")):
        return False
    return not any("\ufffd\ufffd" in text for text in _texts(pieces(), "utf-8", 0, "replace"))


def _guessed(pieces: Pieces, name: str) -> _Found | None:
    codecs_of_name = tuple(_codecs([name]))
    for codec in codecs_of_name:
        if _fault(pieces, codec) < 0:
            return _Found(codec)
    for codec in filter(_MULTIBYTE.match, codecs_of_name):
        bad, good = _damage(pieces, codec)
        if good >= _GOOD_PER_BAD_GUESS * bad:
            return _Found(codec, damaged=bad)
    return None


def _marked(pieces: Pieces, codec: str, mark_bytes: int) -> _Found:
    fault = _fault(pieces, codec, mark_bytes)
    if fault < 0:
        return _Found(codec, mark_bytes)
    bad, good = _damage(pieces, codec)
    if good >= _GOOD_PER_BAD * bad:
        return _Found(codec, mark_bytes, bad)
    raise Refused("TEXT_UNDECODABLE", byte_offset=str(fault))


def _declared(label: str) -> tuple[tuple[str, ...], str]:
    """Code pages of single bytes to try late, and an encoding of several bytes to try first."""
    found = tuple(_codecs([label.strip().lower().removeprefix("x-").replace("windows-", "cp")]))
    multi = next((codec for codec in found if _MULTIBYTE.match(codec)), "")
    if multi:
        return (), multi
    return tuple(codec for codec in found if _SINGLE_BYTE.match(codec)), ""


def _codecs(names: Iterable[str]) -> Iterator[str]:
    """Python's codecs of encodings: what the writer means first."""
    for name in names:
        try:
            b"a".decode(codec := codecs.lookup(name).name)
        except (LookupError, ValueError):
            continue
        if codec in _MEANT:
            yield _MEANT[codec]
        yield codec


def _telling(pieces: Iterable[bytes]) -> bytes:
    """Lines that are not ASCII, from shortly before where they are not: the rest tells no encoding."""
    lines: list[bytes] = []
    size = 0
    for piece in pieces:
        for line in () if piece.isascii() else piece.splitlines(keepends=True):
            if (found := _BEYOND_ASCII.search(line)) and size < _SAMPLE_BYTES:
                lines.append(line[max(0, found.start() - _LINE_BYTES) :][:_SAMPLE_BYTES])
                size += len(lines[-1])
        if size >= _SAMPLE_BYTES:
            break
    return b"".join(lines)


def _fault(pieces: Pieces, codec: str, mark_bytes: int = 0, *, final: bool = False) -> int:
    """The offset of the first byte that is not the codec's; -1 where there is none.

    A character that the file's end cuts is a fault only if `final`: what is cut short is still text.
    """
    decoder = codecs.getincrementaldecoder(codec)()
    offset = 0
    for piece in pieces():
        begun = len(decoder.getstate()[0])
        try:
            decoder.decode(piece if offset else piece[mark_bytes:])
        except UnicodeDecodeError as error:
            return offset - begun + error.start + (0 if offset else mark_bytes)
        offset += len(piece)
    return offset - len(decoder.getstate()[0]) if final and decoder.getstate()[0] else -1


def _damage(pieces: Pieces, codec: str) -> tuple[int, int]:
    """Bad bytes, and good characters beyond ASCII (of UTF-16 and UTF-32: any)."""
    bad = good = 0
    for text in _texts(pieces(), codec, 0, "replace"):
        replaced = text.count("\ufffd")
        bad += replaced
        good += len(text) - replaced - (0 if codec.startswith("utf-") and codec != "utf-8" else _ascii(text))
    return bad, good


def _ascii(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("ascii", "ignore"))


def _texts(pieces: Iterable[bytes], codec: str, mark_bytes: int, errors: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(codec)(errors)
    for piece in pieces:
        yield decoder.decode(piece[mark_bytes:])
        mark_bytes = 0
    if errors == "replace":
        yield decoder.decode(b"", True)


def _warm_up() -> None:
    """Imports all codecs and chardet's models: the child can open no file."""
    for module in pkgutil.iter_modules(encodings.__path__):
        with suppress(LookupError):
            codecs.lookup(module.name)
    list(guessing.guesses("Привет, мир. Où êtes-vous ?".encode("cp1251", "ignore") + b"\xe9"))


_warm_up()
