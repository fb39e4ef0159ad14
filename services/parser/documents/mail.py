"""E-mail → pages: subject, correspondents and date, the text; attachments are named, not read."""

from __future__ import annotations

import base64
import binascii
import email.base64mime
import email.errors
import email.header
import email.quoprimime
import email.utils
import re
from collections.abc import Iterator
from contextlib import suppress
from email.message import Message
from email.parser import BytesParser
from email.policy import compat32

from services.parser.documents import decoding, flow, web
from services.parser.documents.document import Document, Refused
from services.parser.documents.flow import Piece
from services.parser.pages import BlockKind, Page

_SHOWN = ("From", "To", "Cc", "Date")
# Of messages in messages.
MOST_DEPTH = 10
_WORD = re.compile(r"\w+")
_FOLDS = re.compile(r"\s*[\r\n]+\s*")


def read(document: Document) -> Iterator[Page]:
    """Raises Refused FILE_IS_BROKEN."""
    try:
        # The newer policy parses each header by a grammar, which fails on what spammers write.
        message = BytesParser(policy=compat32).parsebytes(document.content())
    except RecursionError:
        raise Refused("FILE_IS_BROKEN") from None
    return flow.running(_message(message, document, 1))


def _message(message: Message, document: Document, depth: int) -> Iterator[Piece]:
    yield from flow.heading(depth, _header(message, "Subject"))
    lines = (f"{name}: {value}" for name in _SHOWN if (value := _header(message, name)))
    yield from flow.paragraph("\n".join(lines))
    yield from _part(message, document, depth)


def _part(part: Message, document: Document, depth: int) -> Iterator[Piece]:
    kind = part.get_content_type()
    if depth > MOST_DEPTH or (_is_attached(part) and kind != "message/rfc822"):
        document.left_out.append(_name(part) or kind)
    elif kind == "multipart/alternative":
        best = _best(_parts(part))
        document.left_out += [name for each in _parts(part) if each is not best for name in _unshown(each)]
        yield from _part(best, document, depth + 1)
    elif kind == "message/rfc822":
        for inner in _inside(part):
            yield from _message(inner, document, depth + 1)
    elif part.is_multipart():
        for inner in _parts(part):
            yield from _part(inner, document, depth + 1)
    elif kind == "text/html":
        yield from web.pieces(_text(part, kind))
    elif part.get_content_maintype() == "text":
        yield from paragraphs(_text(part, kind))
    elif not part.get("Content-ID"):
        document.left_out.append(_name(part) or kind)


def paragraphs(text: str) -> Iterator[Piece]:
    """A message's plain text, as an empty line divides it."""
    for paragraph in re.split(r"\n[ \t]*\n", flow.clean(text)):
        yield from flow.paragraph(paragraph)


def _best(parts: list[Message]) -> Message:
    """The plain one of alternatives, unless it says less than HTML; else the last, which is the richest."""
    texts = ((each, _text(each, "text/plain")) for each in parts if each.get_content_type() == "text/plain")
    plain, text = next(((each, text) for each, text in texts if text.strip()), (None, ""))
    rich = next((each for each in parts if _html(each)), None)
    if rich is not None and (plain is None or says_less(text, _html(rich))):
        return rich
    return plain or (parts[-1] if parts else Message())


def says_less(plain: str, markup: str) -> bool:
    """Whether it is much shorter than HTML's text, or lacks a word of its tables."""
    found = list(web.pieces(markup))
    tables = " ".join(each.text for each in found if each.kind is BlockKind.TABLE)
    words = set(_WORD.findall(plain))
    return 2 * len(plain.strip()) < sum(len(each.text) for each in found) or not words.issuperset(
        _WORD.findall(tables)
    )


def _html(part: Message) -> str:
    inner = (
        each for each in part.walk() if each.get_content_type() == "text/html" and not _is_attached(each)
    )
    return next((_text(each, "text/html") for each in inner), "")


def _unshown(part: Message) -> Iterator[str]:
    """What an alternative holds that is neither the text in other words nor a picture of it."""
    for each in part.walk():
        kind = each.get_content_type()
        is_text = kind in ("text/plain", "text/html", "text/enriched", "text/watch-html")
        if _is_attached(each) or not (each.is_multipart() or is_text or each.get("Content-ID")):
            yield _name(each) or kind


def _inside(part: Message) -> list[Message]:
    """Messages in a message. GroupWise packs them as base64, which RFC 2045 (6.4) forbids."""
    inner = _parts(part)
    if str(part.get("Content-Transfer-Encoding", "")).strip().lower() == "base64":
        packed = "".join(str(each.get_payload()) for each in inner)
        with suppress(binascii.Error, ValueError, RecursionError):
            return [BytesParser(policy=compat32).parsebytes(base64.b64decode(packed))]
    return inner


def _parts(part: Message) -> list[Message]:
    payload = part.get_payload()
    return [each for each in payload if isinstance(each, Message)] if isinstance(payload, list) else []


def _is_attached(part: Message) -> bool:
    return str(part.get("Content-Disposition", "")).lower().lstrip().startswith("attachment")


def _text(part: Message, kind: str) -> str:
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes) or not payload:
        return ""
    charset = str(part.get_content_charset() or "")
    try:
        return (
            web.decode(payload) if kind == "text/html" and not charset else decoding.decode(payload, charset)
        ).text
    except Refused:
        return payload.decode("utf-8", "replace")


def _header(message: Message, name: str) -> str:
    return _words(message.get(name, ""))


def _name(part: Message) -> str:
    try:
        return _words(email.utils.collapse_rfc2231_value(part.get_filename() or ""))
    except (LookupError, ValueError, TypeError):
        return ""


def _words(value: object) -> str:
    """A header's text, its encoded words decoded."""
    raw = _FOLDS.sub(" ", str(value))
    try:
        return flow.one_line(str(email.header.make_header(email.header.decode_header(raw))))
    except (email.errors.MessageError, LookupError, ValueError):
        return flow.one_line(raw)
