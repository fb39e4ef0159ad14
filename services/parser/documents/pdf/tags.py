"""Headings by a page's structure tags. Imported in the child alone."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any, NamedTuple

import pypdfium2.raw as pdfium

_DEEPEST = 64
_MOST_ELEMENTS = 20_000
_LEVELS = {"Title": 1, "H1": 1, "H2": 2, "H3": 3, "H4": 4, "H5": 5, "H6": 6}


class Tag(NamedTuple):
    """A heading of the structure tree.

    Attributes:
        element: Its number among the page's.
        level: From 1.
    """

    element: int
    level: int


def headings(page: Any) -> dict[int, Tag]:
    """The heading that each marked content of a loaded page belongs to; nothing for what is no heading."""
    tree = pdfium.FPDF_StructTree_GetForPage(page.raw)
    if not tree:
        return {}
    try:
        return dict(_Walk().tree(tree))
    finally:
        pdfium.FPDF_StructTree_Close(tree)


class _Walk:
    """One way through a tree that may be as large and as deep as its maker likes."""

    def __init__(self) -> None:
        self._elements = 0
        self._buffer = ctypes.create_string_buffer(64)

    def tree(self, tree: Any) -> Iterator[tuple[int, Tag]]:
        for index in range(pdfium.FPDF_StructTree_CountChildren(tree)):
            yield from self._below(pdfium.FPDF_StructTree_GetChildAtIndex(tree, index), None, 1, 1)

    def _below(self, element: Any, tag: Tag | None, sections: int, depth: int) -> Iterator[tuple[int, Tag]]:
        self._elements += 1
        if not element or depth > _DEEPEST or self._elements > _MOST_ELEMENTS:
            return
        kind = self._kind(element)
        sections += kind == "Sect"
        if level := sections if kind == "H" else _LEVELS.get(kind, 0):
            tag = Tag(self._elements, level)
        for index in range(pdfium.FPDF_StructElement_CountChildren(element)):
            if child := pdfium.FPDF_StructElement_GetChildAtIndex(element, index):
                yield from self._below(child, tag, sections, depth + 1)
            elif tag:
                yield pdfium.FPDF_StructElement_GetChildMarkedContentID(element, index), tag

    def _kind(self, element: Any) -> str:
        size = pdfium.FPDF_StructElement_GetType(element, self._buffer, len(self._buffer))
        return self._buffer.raw[: max(size - 2, 0)].decode("utf-16-le", "replace")
