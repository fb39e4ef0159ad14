"""EPUB → pages: a chapter is a page, in the order of the book's spine."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from urllib.parse import unquote
from xml.etree import ElementTree

from services.parser.documents import flow, web
from services.parser.documents.archives import Archive
from services.parser.documents.document import Document, Refused
from services.parser.documents.flow import NEW_PAGE, Piece
from services.parser.documents.recognition import CONTAINER
from services.parser.pages import Page

_ENCRYPTION = "META-INF/encryption.xml"
_TEXTS = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml", "text/x-oeb1-document")


def read(document: Document) -> Iterator[Page]:
    """Raises Refused: FILE_IS_PROTECTED (chapters are encrypted), FILE_IS_BROKEN."""
    archive = Archive(document.content())
    folder = archive.folder_of(CONTAINER) or ""
    chapters = list(_chapters(archive, folder))
    if not _encrypted(archive, folder).isdisjoint(chapters):
        raise Refused("FILE_IS_PROTECTED")
    there = [each for each in chapters if each in archive.names]
    document.left_out += [each for each in chapters if each not in archive.names]
    if not there:
        raise Refused("FILE_IS_BROKEN")
    return flow.given(_pieces(archive, there), document.limits.page_text_bytes)


def _pieces(archive: Archive, chapters: list[str]) -> Iterator[Piece]:
    for name in chapters:
        yield NEW_PAGE
        yield from web.pieces(web.decode(archive.read(name)).text)


def _chapters(archive: Archive, folder: str) -> Iterator[str]:
    """Members in the order in which they are read."""
    root = next(_all(_tree(archive, folder + CONTAINER), "rootfile"), None)
    package = folder + unquote(root.get("full-path", "")) if root is not None else ""
    tree = _tree(archive, package)
    items = {each.get("id"): each for each in _all(tree, "item")}
    for reference in _all(tree, "itemref"):
        item = items.get(reference.get("idref"))
        if item is not None and item.get("media-type") in _TEXTS:
            path = unquote(item.get("href", "").partition("#")[0])
            yield posixpath.normpath(posixpath.join(posixpath.dirname(package), path))


def _encrypted(archive: Archive, folder: str) -> set[str]:
    """Members that need a key; fonts often do, and are not read."""
    if folder + _ENCRYPTION not in archive.names:
        return set()
    found = _all(_tree(archive, folder + _ENCRYPTION), "CipherReference")
    return {folder + unquote(each.get("URI", "")) for each in found}


def _tree(archive: Archive, name: str) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(archive.read(name))  # noqa: S314 - see `trees`
    except ElementTree.ParseError:
        raise Refused("FILE_IS_BROKEN") from None


def _all(tree: ElementTree.Element, name: str) -> Iterator[ElementTree.Element]:
    return (each for each in tree.iter() if each.tag.rpartition("}")[2] == name)
