"""A second reader of a PDF's objects, for the few documents of which PDFium's interface tells too little.

It is pure Python and slow, and what it reads may be damaged: what it cannot tell in its time stays untold.
"""

from __future__ import annotations

import io
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from pypdf import PdfReader
from pypdf.generic import ArrayObject, DictionaryObject, IndirectObject

T = TypeVar("T")
_CPU_SECONDS = 4.0


class _TooLong(BaseException):
    """No Exception: the reader's own handlers must let it through."""


def told(content: bytes, ask: Callable[[PdfReader], T], otherwise: T) -> T:
    """What the reader answers, or `otherwise` where it fails or takes too long."""
    try:
        with _bounded():
            return ask(PdfReader(io.BytesIO(content)))
    except (Exception, _TooLong):
        return otherwise


@contextmanager
def _bounded() -> Iterator[None]:
    def stop(_number: int, _frame: object) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, _CPU_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def part(holder: DictionaryObject, *names: str) -> DictionaryObject:
    """The dictionary below these names, empty where there is none."""
    for name in names:
        below = holder.get(name)
        below = below.get_object() if below is not None else None
        if not isinstance(below, DictionaryObject):
            return DictionaryObject()
        holder = below
    return holder


def references(holder: DictionaryObject, name: str) -> list[IndirectObject]:
    """What a name refers to: an object, or those of a list."""
    if name not in holder:
        return []
    value = holder.raw_get(name)
    whole = value.get_object() if isinstance(value, IndirectObject) else value
    items = list.__iter__(whole) if isinstance(whole, ArrayObject) else iter([value])
    return [each for each in items if isinstance(each, IndirectObject)]


def forms(page: DictionaryObject) -> dict[int, DictionaryObject]:
    """What a page draws by name, and what that draws, by object number."""
    found: dict[int, DictionaryObject] = {}
    waiting = [page]
    while waiting:
        drawings = part(waiting.pop(), "/Resources", "/XObject")
        for name in drawings:
            for reference in references(drawings, name):
                drawing = reference.get_object()
                if reference.idnum not in found and isinstance(drawing, DictionaryObject):
                    found[reference.idnum] = drawing
                    waiting.append(drawing)
    return found
