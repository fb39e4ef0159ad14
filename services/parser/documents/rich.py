"""RTF → pages, word by word: no tree is built, so groups may nest as deep as they like."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from services.parser.documents import flow
from services.parser.documents.document import Document, Refused
from services.parser.documents.flow import NEW_PAGE, PICTURE, Piece
from services.parser.pages import BlockKind, Page

_TOKEN = re.compile(
    rb"\\([a-z]{1,32})(-?\d{1,10})? ?|\\'([0-9a-f]{2})|\\(\r?\n|[^a-z])|([{}])|[\r\n]|([^\\{}\r\n]+)|\\",
    re.IGNORECASE,
)
# Groups that a reader sees nothing of; any that begins with \\* and is not known is another.
_UNSEEN = frozenset(
    (
        b"fonttbl", b"colortbl", b"info", b"fldinst", b"themedata", b"colorschememapping", b"datastore",
        b"latentstyles", b"listtable", b"listoverridetable", b"rsidtbl", b"generator", b"xmlnstbl",
        b"filetbl", b"revtbl", b"atnid", b"atnref", b"bkmkstart", b"bkmkend", b"template", b"private",
        b"objdata", b"xe", b"tc", b"pntxtb", b"pntxta", b"nonshppict", b"mmath", b"background", b"sp",
        b"ftnsep", b"ftnsepc",
        b"aftnsep", b"aftnsepc", b"passwordhash", b"wgrffmtfilter",
    )
)  # fmt: skip
_EDGES = frozenset(
    (b"header", b"headerl", b"headerr", b"headerf", b"footer", b"footerl", b"footerr", b"footerf")
)
_KNOWN = (
    frozenset((b"shppict", b"pict", b"annotation", b"atnauthor", b"shpinst", b"pn", b"listtext")) | _EDGES
)
_SIGNS = {
    b"tab": "\t", b"line": "\n", b"emdash": "—", b"endash": "–", b"bullet": "•", b"lquote": "‘",
    b"rquote": "’", b"ldblquote": "“", b"rdblquote": "”", b"emspace": " ", b"enspace": " ", b"qmspace": " ",
}  # fmt: skip
_SYMBOLS = {b"~": "\u00a0", b"_": "-", b"-": "", b"\\": "\\", b"{": "{", b"}": "}"}
# What a backslash before it makes \par, as RTF 1.9.1 says and as TextEdit writes.
_LINE_ENDS = frozenset((b"\r\n", b"\n", b"\r"))
_CHARSETS = {
    77: "mac-roman", 128: "cp932", 129: "cp949", 130: "johab", 134: "gb18030", 136: "big5hkscs",
    161: "cp1253", 162: "cp1254", 163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257",
    204: "cp1251", 222: "cp874", 238: "cp1250",
}  # fmt: skip
_HEADING = re.compile(r"\s*heading (\d)", re.IGNORECASE)
_MOST_STYLES = 10_000


@dataclass(slots=True)
class _Group:
    """What holds until a brace closes."""

    unseen: bool = False
    skip: int = 1
    font: int = 0
    hidden: bool = False
    sink: str = "body"


@dataclass(slots=True)
class _Paragraph:
    level: int = 0
    in_table: bool = False
    depth: int = 0
    text: list[str] = field(default_factory=list)
    marker: list[str] = field(default_factory=list)


def read(document: Document) -> Iterator[Page]:
    """Raises Refused FILE_IS_BROKEN."""
    content = document.content()
    if not content.lstrip().startswith(b"{\\rtf"):
        raise Refused("FILE_IS_BROKEN")
    return flow.running(_Reader().pieces(content))


class _Reader:
    """Collects pieces; groups, fonts and styles as they come."""

    def __init__(self) -> None:
        self._groups = [_Group()]
        self._fonts: dict[int, str] = {}
        self._styles: dict[int, int] = {}
        self._codec = "cp1252"
        self._bytes = bytearray()
        self._skip = 0
        self._star = False
        self._begun = False
        self._style = 0
        self._paragraph = _Paragraph()
        self._row: list[str] = []
        self._rows: list[list[str]] = []
        self._aside: dict[str, list[str]] = {"edge": [], "note": [], "style": [], "marker": []}
        self._later: list[Piece] = []
        self._notes = 0
        self._out: list[Piece] = []

    def pieces(self, content: bytes) -> Iterator[Piece]:
        at = 0
        while match := _TOKEN.match(content, at):
            at = match.end()
            word, number, code, symbol, brace, text = match.groups()
            if word is not None and word.lower() == b"bin":
                at += max(int(number or 0), 0)
            elif code is not None:
                self._byte(int(code, 16))
            elif text is not None:
                self._plain(text)
            else:
                self._decode()
                self._command(word, number, symbol, brace)
            if self._out:
                yield from self._taken()
        self._decode()
        self._end_paragraph()
        self._end_table()
        yield from self._taken()
        yield from self._later

    def _taken(self) -> list[Piece]:
        out, self._out = self._out, []
        return out

    def _command(
        self, word: bytes | None, number: bytes | None, symbol: bytes | None, brace: bytes | None
    ) -> None:
        if not (brace or word or symbol):  # the file's own line ends say nothing
            return
        self._skip = 0  # what stands in for a character is plain, and ends where anything else begins
        begun, self._begun = self._begun, brace == b"{"
        if brace == b"{":
            self._groups.append(replace(self._groups[-1]))
        elif brace == b"}":
            self._close()
        elif symbol == b"*":
            self._star = begun  # OpenOffice 1 writes it before a style in the middle of a group, too
        elif symbol in _LINE_ENDS:
            self._break(b"par")
        elif symbol is not None:
            self._say(_SYMBOLS.get(symbol, ""))
        elif word is not None:
            self._word(word.lower(), int(number) if number else None)
        if symbol != b"*":
            self._star = False

    def _word(self, word: bytes, number: int | None) -> None:
        group = self._groups[-1]
        if word in _UNSEEN or (self._star and word not in _KNOWN):
            group.unseen = group.unseen or word != b"fonttbl"
            group.sink = "font" if word == b"fonttbl" else group.sink
        elif word in _EDGES:
            group.sink = "edge"
        elif word in _DESTINATIONS:
            _DESTINATIONS[word](self, group)
        elif word in _SIGNS:
            self._say(_SIGNS[word])
        elif word == b"u":
            self._unicode(number or 0)
        elif word in (b"par", b"sect", b"page", b"cell", b"nestcell", b"row", b"nestrow"):
            self._break(word)
        else:
            self._set(word, number, group)

    def _set(self, word: bytes, number: int | None, group: _Group) -> None:
        match word:
            case b"uc":
                group.skip = max(number or 0, 0)
            case b"f":
                group.font = number or 0
            case b"fcharset" if group.sink == "font" and number in _CHARSETS:
                self._fonts[group.font] = _CHARSETS[number]
            case b"ansicpg" if number:
                self._codec = _codec(f"cp{number}")
            case b"mac":
                self._codec = "mac-roman"
            case b"v" | b"deleted":
                group.hidden = number != 0
            case b"plain":
                group.hidden = False
            case b"pard":
                self._paragraph.level = self._paragraph.depth = 0
                self._paragraph.in_table = False
            case b"s" if group.sink == "style":
                self._style = number or 0
            case b"s":
                self._paragraph.level = self._styles.get(number or 0, 0)
            case b"outlinelevel" if number is not None and 0 <= number < 9:
                self._paragraph.level = number + 1
            case b"intbl":
                self._paragraph.in_table = True
            case b"ilvl":
                self._paragraph.depth = min(max(number or 0, 0), 8)

    def _close(self) -> None:
        group = self._groups[-1]
        if len(self._groups) > 1:
            self._groups.pop()
        around = self._groups[-1]
        if group.sink == "note" != around.sink:
            text = flow.one_line("".join(self._aside["note"]))
            self._aside["note"] = []
            self._later += flow.paragraph(f"[^{self._notes}]: {text}" if text else "")
        elif group.sink == "edge" != around.sink:
            self._out += flow.paragraph("".join(self._aside["edge"]), BlockKind.OMITTED)
            self._aside["edge"] = []
        elif group.sink == "marker" != around.sink:
            self._paragraph.marker, self._aside["marker"] = self._aside["marker"], []
        elif group.sink == "style":
            self._end_style()

    def _end_style(self) -> None:
        name, self._aside["style"] = "".join(self._aside["style"]), []
        found = _HEADING.match(name)
        if found and len(self._styles) < _MOST_STYLES:
            self._styles[self._style] = int(found[1])

    def _byte(self, value: int) -> None:
        if self._skip:
            self._skip -= 1
        else:
            self._bytes.append(value)

    def _plain(self, text: bytes) -> None:
        skipped = min(self._skip, len(text))
        self._skip -= skipped
        self._bytes += text[skipped:]

    def _unicode(self, number: int) -> None:
        self._say(chr(number % 0x10000))
        self._skip = self._groups[-1].skip

    def _decode(self) -> None:
        """Bytes may be halves of a character, so they are decoded together."""
        if self._bytes:
            codec = self._fonts.get(self._groups[-1].font, self._codec)
            self._say(self._bytes.decode(codec, "replace"))
            self._bytes.clear()

    def _say(self, text: str) -> None:
        group = self._groups[-1]
        if text and not group.unseen and not group.hidden and group.sink != "font":
            self._aside.get(group.sink, self._paragraph.text).append(text)

    def _break(self, word: bytes) -> None:
        group = self._groups[-1]
        if group.sink != "body":
            self._say("\n")
        elif word in (b"cell", b"nestcell"):
            self._row.append("".join(self._paragraph.text))
            self._paragraph.text = []
        elif word in (b"row", b"nestrow"):
            self._rows.append(self._row)
            self._row = []
        elif self._paragraph.in_table:
            self._paragraph.text.append("\n")
        else:
            self._end_paragraph()
            if word == b"page":
                self._out.append(NEW_PAGE)

    def _end_paragraph(self) -> None:
        paragraph = self._paragraph
        text = "".join(paragraph.text)
        if text.strip():
            self._end_table()
            self._out += _pieces_of(paragraph, text)
        self._paragraph = replace(paragraph, text=[], marker=[])

    def _end_table(self) -> None:
        if self._row:
            self._rows.append(self._row)
        rows, self._rows, self._row = self._rows, [], []
        self._out += flow.table(flow.filled(rows))

    def _begin_note(self, group: _Group) -> None:
        if group.sink == "body":
            self._notes += 1
            self._say(f"[^{self._notes}]")
        group.sink = "note"

    def _begin_picture(self, group: _Group) -> None:
        group.unseen = True
        self._out.append(PICTURE)

    @staticmethod
    def _begin_marker(group: _Group) -> None:
        group.sink = "marker"

    @staticmethod
    def _begin_styles(group: _Group) -> None:
        group.sink = "style"


_DESTINATIONS: dict[bytes, Callable[[_Reader, _Group], None]] = {
    b"footnote": _Reader._begin_note,
    b"annotation": _Reader._begin_note,
    b"pict": _Reader._begin_picture,
    b"listtext": lambda _, group: _Reader._begin_marker(group),
    b"pntext": lambda _, group: _Reader._begin_marker(group),
    b"stylesheet": lambda _, group: _Reader._begin_styles(group),
}


def _pieces_of(paragraph: _Paragraph, text: str) -> Iterator[Piece]:
    marker = "".join(paragraph.marker).strip()
    if paragraph.level:
        return flow.heading(paragraph.level, f"{marker} {text}")
    if marker:
        return flow.item(paragraph.depth, text, marker if marker[0].isalnum() else "-")
    return flow.paragraph(text)


def _codec(name: str) -> str:
    try:
        return codecs.lookup(name).name
    except LookupError:
        return "cp1252"
