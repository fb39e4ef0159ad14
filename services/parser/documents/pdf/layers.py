"""Layers that are switched off: PDFium draws without them, and yet reads their text.

Its interface does not say which layers are off. The document gets an appendix that puts a key into each
of them, which the interface does find at the content that belongs to it.
"""

from __future__ import annotations

import ctypes
import io
import re
from collections.abc import Iterator
from typing import Any

import pypdfium2.raw as pdfium
from pypdf import PdfReader
from pypdf.generic import (
    ArrayObject,
    DictionaryObject,
    IndirectObject,
    NameObject,
    NumberObject,
    StreamObject,
)

from services.parser.documents.pdf import second

_HIDDEN = "/WaybillHidden"
_KEY = _HIDDEN[1:].encode()
_DEEPEST_RULE = 32
_STARTXREF = re.compile(rb"startxref\s+(\d+)")


def with_hidden_marked(content: bytes) -> bytes | None:
    """The document with its appendix; None where nothing is hidden."""
    return second.told(content, lambda reader: _marked(reader, content), None)


def hidden_texts(page: Any) -> Iterator[int | None]:
    """Addresses of the text objects that a page of such a document does not show."""
    for index in range(pdfium.FPDFPage_CountObjects(page.raw)):
        yield from _hidden_below(pdfium.FPDFPage_GetObject(page.raw, index), hidden=False)


def _hidden_below(item: Any, *, hidden: bool) -> Iterator[int | None]:
    hidden = hidden or _has_key(item)
    kind = pdfium.FPDFPageObj_GetType(item)
    if kind == pdfium.FPDF_PAGEOBJ_TEXT and hidden:
        yield ctypes.cast(item, ctypes.c_void_p).value
    elif kind == pdfium.FPDF_PAGEOBJ_FORM:
        for index in range(pdfium.FPDFFormObj_CountObjects(item)):
            yield from _hidden_below(pdfium.FPDFFormObj_GetObject(item, index), hidden=hidden)


def _has_key(item: Any) -> bool:
    value = ctypes.c_int()
    return any(
        pdfium.FPDFPageObjMark_GetParamIntValue(pdfium.FPDFPageObj_GetMark(item, index), _KEY, value)
        for index in range(max(pdfium.FPDFPageObj_CountMarks(item), 0))
    )


def _marked(reader: PdfReader, content: bytes) -> bytes | None:
    off = _switched_off(second.part(reader.root_object, "/OCProperties"))
    if not off and b"/OCMD" not in content:
        return None
    changed: dict[int, DictionaryObject] = {}
    for page in reader.pages:
        drawings = second.forms(page)
        for holder in (page, *drawings.values()):
            properties = second.part(holder, "/Resources", "/Properties")
            layers = [layer for name in properties for layer in second.references(properties, name)]
            changed |= {each.idnum: _with_key(each.get_object()) for each in layers if _is_hidden(each, off)}
        for each in second.references(page, "/Annots"):
            annotation = each.get_object()
            if isinstance(annotation, DictionaryObject) and _is_off(annotation, off):
                changed[each.idnum] = _unseen(annotation)
        for number, drawing in drawings.items():
            if _is_off(drawing, off):
                changed[number] = _empty(drawing)
    return _appended(reader, content, changed) if changed else None


def _switched_off(properties: DictionaryObject) -> frozenset[int]:
    """Object numbers of the layers that the document's own state hides (ISO 32000-1, 8.11.4.3)."""
    state = second.part(properties, "/D")
    off = {layer.idnum for layer in second.references(state, "/OFF")}
    if state.get("/BaseState") == "/OFF":
        on = {layer.idnum for layer in second.references(state, "/ON")}
        off |= {layer.idnum for layer in second.references(properties, "/OCGs")} - on
    return frozenset(off)


def _is_off(item: DictionaryObject, off: frozenset[int]) -> bool:
    """Whether a drawing or an annotation belongs to a layer that is hidden."""
    return any(_is_hidden(layer, off) for layer in second.references(item, "/OC"))


def _is_hidden(reference: IndirectObject, off: frozenset[int]) -> bool:
    """Whether a layer is off, or what says of several when it is seen (8.11.2.2)."""
    layer = reference.get_object()
    if not isinstance(layer, DictionaryObject) or layer.get("/Type") != "/OCMD":
        return reference.idnum in off
    if isinstance(rule := _plain(layer.get("/VE")), ArrayObject):
        return not _is_shown(rule, off)
    of = [each.idnum in off for each in second.references(layer, "/OCGs")]
    shown = {
        "/AllOn": not any(of),
        "/AnyOff": any(of),
        "/AllOff": all(of),
    }.get(str(layer.get("/P")), not all(of))
    return bool(of) and not shown


def _is_shown(rule: ArrayObject, off: frozenset[int], depth: int = 0) -> bool:
    """What an expression says: a list of an operator and of layers or expressions."""
    operator, *operands = [*list.__iter__(rule)] or [NameObject("/And")]
    if depth == _DEEPEST_RULE:
        return True
    values = [
        _is_shown(below, off, depth + 1)
        if isinstance(below := _plain(each), ArrayObject)
        else not (isinstance(each, IndirectObject) and each.idnum in off)
        for each in operands
    ]
    if operator == "/Not":
        return not all(values)
    return any(values) if operator == "/Or" else all(values)


def _plain(value: Any) -> Any:
    return value.get_object() if isinstance(value, IndirectObject) else value


def _unseen(annotation: DictionaryObject) -> DictionaryObject:
    changed = DictionaryObject(annotation)
    changed[NameObject("/F")] = NumberObject(int(changed.get("/F", 0)) | pdfium.FPDF_ANNOT_FLAG_HIDDEN)
    return changed


def _with_key(layer: Any) -> DictionaryObject:
    marked = DictionaryObject(layer)
    marked[NameObject(_HIDDEN)] = NumberObject(1)
    return marked


def _empty(drawing: DictionaryObject) -> DictionaryObject:
    empty = StreamObject()
    empty.update(
        {NameObject(name): drawing[name] for name in ("/Type", "/Subtype", "/BBox") if name in drawing}
    )
    return empty


def _appended(reader: PdfReader, content: bytes, changed: dict[int, DictionaryObject]) -> bytes | None:
    """The document with an incremental update (ISO 32000-1, 7.5.6), its table of objects a stream."""
    starts = _STARTXREF.findall(content[-2048:])
    if not starts or not content.startswith(b"%PDF-"):
        return None
    out = io.BytesIO()
    out.write(content + b"\n")
    number_of_table = int(str(reader.trailer["/Size"]))
    places = {}
    for number, item in sorted(changed.items()):
        places[number] = out.tell()
        out.write(b"%d 0 obj\n" % number)
        item.write_to_stream(out)
        out.write(b"\nendobj\n")
    places[number_of_table] = start = out.tell()
    out.write(b"%d 0 obj\n" % number_of_table)
    _table(reader, int(starts[-1]), places).write_to_stream(out)
    out.write(b"\nendobj\nstartxref\n%d\n%%%%EOF\n" % start)
    return out.getvalue()


def _table(reader: PdfReader, before: int, places: dict[int, int]) -> StreamObject:
    table = StreamObject()
    table.set_data(b"".join(b"\1" + place.to_bytes(5, "big") + b"\0" for place in places.values()))
    numbers = (NumberObject(each) for number in places for each in (number, 1))
    table.update(
        {
            NameObject("/Type"): NameObject("/XRef"),
            NameObject("/Size"): NumberObject(max(places) + 1),
            NameObject("/Index"): ArrayObject(numbers),
            NameObject("/W"): ArrayObject(map(NumberObject, (1, 5, 1))),
            NameObject("/Prev"): NumberObject(before),
        }
    )
    for name in ("/Root", "/Info", "/ID", "/Encrypt"):
        if name in reader.trailer:
            table[NameObject(name)] = reader.trailer.raw_get(name)
    return table
