"""A PDF's packed streams: PDFium shows what it could unpack of them, and says nothing of the rest."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterator
from mmap import mmap
from typing import NamedTuple

_STREAM = re.compile(rb"(?<!end)stream\r?\n")
_OBJECT = re.compile(rb"(\d{1,10})\s+\d{1,5}\s+obj\b")
_DEFLATED = re.compile(
    rb"/Filter\s*\[?\s*(?:/(?:(?P<base85>ASCII85Decode|A85)|(?P<hex>ASCIIHexDecode|AHx))\s*)?/(?:FlateDecode|Fl)\b"
)
# Pictures and fonts are large, and have no text; the table of objects is PDFium's to mend.
_OTHER = re.compile(rb"/Subtype\s*/Image\b|/Length1\b|/Type\s*/XRef\b")
_NOT_DEFLATED = b"\xff" * 8
_OBJECT_STREAM = re.compile(rb"/Type\s*/ObjStm\b")
_LONGEST_DICTIONARY = 4096
_PIECE = 1 << 20
_MOST_UNPACKED = 400_000_000  # bytes of a document; 1 CPU second
_SLOWER = 100  # times, than unpacking, is what letters stand for
_FLUSHED = b"\0\0\xff\xff"  # some producers end so, whole but without the last block


class Streams(NamedTuple):
    """What was seen.

    Attributes:
        damaged: Numbers of objects whose stream ends in an error.
        has_damaged_objects: One of them holds other objects.
        has_layers: The document has content that may be switched off.
    """

    damaged: frozenset[int]
    has_damaged_objects: bool
    has_layers: bool


def looked_over(content: mmap) -> Streams:
    """Unpacks all that may hold text. What is encrypted is taken for sound."""
    has_layers = content.find(b"/OCProperties") >= 0
    if content.find(b"/Encrypt") >= 0:
        return Streams(frozenset(), has_damaged_objects=False, has_layers=has_layers)
    damaged: dict[int, bool] = {}
    room, has_damaged_objects = _MOST_UNPACKED, False
    for number, dictionary, packed in _streams(content):
        in_bytes = _in_bytes(dictionary, packed, room)
        if in_bytes and in_bytes is not packed:
            room -= _SLOWER * len(packed)
        is_sound, size, layers = _unpacked(in_bytes, room)
        holds_objects = _OBJECT_STREAM.search(dictionary) is not None
        has_layers = has_layers or (holds_objects and layers)
        has_damaged_objects = has_damaged_objects or (holds_objects and not is_sound)
        damaged[number] = not is_sound  # of an object that was written anew the last one counts
        room -= size
        if room <= 0:
            break
    return Streams(frozenset(n for n, is_bad in damaged.items() if is_bad), has_damaged_objects, has_layers)


def _streams(content: mmap) -> Iterator[tuple[int, bytes, bytes]]:
    """Object number, dictionary and bytes of each deflated stream."""
    behind = 0
    while match := _STREAM.search(content, behind):
        end = content.find(b"endstream", match.end())
        end = len(content) if end < 0 else end
        before = content[max(behind, match.start() - _LONGEST_DICTIONARY) : match.start()]
        behind = end
        heads = list(_OBJECT.finditer(before))
        if heads:
            dictionary = before[heads[-1].end() :]
            if _DEFLATED.search(dictionary) and not _OTHER.search(dictionary):
                yield int(heads[-1][1]), dictionary, content[match.end() : end]


def _in_bytes(dictionary: bytes, packed: bytes, room: int) -> bytes:
    """What letters stand for, where a stream is written in letters; nothing where there is no room for it."""
    written = _DEFLATED.search(dictionary)
    if not (written and written.lastgroup):
        return packed
    if _SLOWER * len(packed) > room:
        return b""
    try:
        if written["base85"]:
            return base64.a85decode(packed.partition(b"~")[0], ignorechars=b" \t\n\r\v\f\0")
        digits = b"".join(packed.partition(b">")[0].split())
        return base64.b16decode(digits + b"0" * (len(digits) % 2), casefold=True)
    except ValueError:
        return _NOT_DEFLATED


def _unpacked(packed: bytes, room: int) -> tuple[bool, int, bool]:
    """Whether a stream is sound, how long it is, and whether it speaks of layers."""
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)  # some producers leave the checksum out
    rest, size, layers, checksum = packed[2:], 0, False, 1
    try:
        while rest and not unpacker.eof and size < room:
            piece = unpacker.decompress(rest, _PIECE)
            rest = unpacker.unconsumed_tail
            size += len(piece)
            checksum = zlib.adler32(piece, checksum)
            layers = layers or b"/OCProperties" in piece
            if not piece:
                break
    except zlib.error:
        return False, size, layers
    told = unpacker.unused_data[:4]
    if unpacker.eof and len(told) == 4 and int.from_bytes(told, "big") != checksum:
        return False, size, layers
    end = packed.rstrip(b"\r\n")
    whole = unpacker.eof or size >= room or not end or end.endswith(_FLUSHED)
    return whole, size, layers
