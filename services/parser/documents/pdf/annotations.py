"""What people put onto a page: values and marks in forms, notes, comments, attached files.

PDFium's text of a page has none of it. Where an annotation's appearance is all there is (a stamp, a
signature), it is made part of the page; what has a value of its own is read from that.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pypdfium2.raw as pdfium

from services.parser.documents.pdf.letters import UTF_16

CHECKED, UNCHECKED = "☒", "☐"
_HIDDEN = pdfium.FPDF_ANNOT_FLAG_HIDDEN | pdfium.FPDF_ANNOT_FLAG_NOVIEW
_IGNORED = frozenset((pdfium.FPDF_ANNOT_LINK, pdfium.FPDF_ANNOT_POPUP))
# Their appearance may be text; that of a highlight or a line is a drawing.
_WRITTEN = frozenset(
    (
        pdfium.FPDF_ANNOT_FREETEXT, pdfium.FPDF_ANNOT_STAMP, pdfium.FPDF_ANNOT_WIDGET,
        pdfium.FPDF_ANNOT_WATERMARK, pdfium.FPDF_ANNOT_REDACT,
    )
)  # fmt: skip
_MARKED = frozenset((pdfium.FPDF_FORMFIELD_CHECKBOX, pdfium.FPDF_FORMFIELD_RADIOBUTTON))
_CHOSEN = frozenset((pdfium.FPDF_FORMFIELD_COMBOBOX, pdfium.FPDF_FORMFIELD_LISTBOX))
_PASSWORD = pdfium.FPDF_FORMFLAG_TEXT_PASSWORD


class Box(NamedTuple):
    """Points in the page's own coordinates."""

    left: float
    bottom: float
    right: float
    top: float


class Value(NamedTuple):
    """Text in a box of the page.

    Attributes:
        size: Of its letters, in points; 0 where it is left to the viewer.
        many_lines: It begins at the top of the box, else it stands in the middle.
    """

    text: str
    box: Box
    size: float
    many_lines: bool


@dataclass
class Annotations:
    """What was found on a page.

    Attributes:
        values: What its fields hold.
        notes: Text that its author wrote onto the page, which may be part of an appearance, too.
        comments: What is shown when one asks for it.
        files: Names of what is attached.
        appearing: Something has an appearance that may be text, and no value.
    """

    values: list[Value] = field(default_factory=list)
    notes: list[Value] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    appearing: bool = False


def annotations_of(page: Any, form: Any) -> Annotations:
    """Reads those of a page, and hides the ones with a value: flattening the page then shows the others.

    Args:
        page: Loaded.
        form: PDFium's form environment, or None where the document has no form.
    """
    found = Annotations()
    for index in range(pdfium.FPDFPage_GetAnnotCount(page.raw)):
        annotation = pdfium.FPDFPage_GetAnnot(page.raw, index)
        if annotation:
            try:
                _take(annotation, form, found)
            finally:
                pdfium.FPDFPage_CloseAnnot(annotation)
    return found


def attached(pdf: Any) -> Iterator[str]:
    """Names of the files that the document carries."""
    for index in range(pdfium.FPDFDoc_GetAttachmentCount(pdf.raw)):
        yield _string(pdfium.FPDFAttachment_GetName, pdfium.FPDFDoc_GetAttachment(pdf.raw, index))


def _take(annotation: Any, form: Any, found: Annotations) -> None:
    kind, flags = pdfium.FPDFAnnot_GetSubtype(annotation), pdfium.FPDFAnnot_GetFlags(annotation)
    if kind in _IGNORED or flags & _HIDDEN:
        return
    if kind == pdfium.FPDF_ANNOT_FILEATTACHMENT:
        file = pdfium.FPDFAnnot_GetFileAttachment(annotation)
        found.files.append(_string(pdfium.FPDFAttachment_GetName, file))
        return
    if kind == pdfium.FPDF_ANNOT_WIDGET:
        if form and (value := _value(annotation, form)):
            found.values += [value] if value.text else []
            pdfium.FPDFAnnot_SetFlags(annotation, flags | pdfium.FPDF_ANNOT_FLAG_HIDDEN)
            return
    elif text := _string(pdfium.FPDFAnnot_GetStringValue, annotation, b"Contents"):
        if kind == pdfium.FPDF_ANNOT_FREETEXT:
            found.notes.append(Value(text, _box(annotation), 0, many_lines=True))
        elif not pdfium.FPDFAnnot_HasKey(annotation, b"StateModel"):  # "accepted" and its like are no text
            found.comments.append(text)
    found.appearing = found.appearing or (kind in _WRITTEN and _has_appearance(annotation))


def _value(annotation: Any, form: Any) -> Value | None:
    """What a field holds; of a password nothing, and none where its appearance is all there is."""
    kind = pdfium.FPDFAnnot_GetFormFieldType(form, annotation)
    flags = pdfium.FPDFAnnot_GetFormFieldFlags(form, annotation)
    if kind in _MARKED:
        text = CHECKED if pdfium.FPDFAnnot_IsChecked(form, annotation) else UNCHECKED
    elif kind in _CHOSEN:
        text = ", ".join(_chosen(annotation, form)) or _field_value(annotation, form)
    elif kind == pdfium.FPDF_FORMFIELD_TEXTFIELD:
        text = _field_value(annotation, form)
    else:
        return None
    size = ctypes.c_float()
    pdfium.FPDFAnnot_GetFontSize(form, annotation, size)
    is_text = kind == pdfium.FPDF_FORMFIELD_TEXTFIELD
    if not text.strip():
        return None
    shown = "" if is_text and flags & _PASSWORD else text
    many_lines = is_text and bool(flags & pdfium.FPDF_FORMFLAG_TEXT_MULTILINE)
    return Value(shown, _box(annotation), max(size.value, 0.0), many_lines)


def _field_value(annotation: Any, form: Any) -> str:
    return _string(pdfium.FPDFAnnot_GetFormFieldValue, form, annotation)


def _chosen(annotation: Any, form: Any) -> Iterator[str]:
    for option in range(pdfium.FPDFAnnot_GetOptionCount(form, annotation)):
        if pdfium.FPDFAnnot_IsOptionSelected(form, annotation, option):
            yield _string(pdfium.FPDFAnnot_GetOptionLabel, form, annotation, option)


def _box(annotation: Any) -> Box:
    rect = pdfium.FS_RECTF()
    pdfium.FPDFAnnot_GetRect(annotation, rect)
    return Box(rect.left, rect.bottom, rect.right, rect.top)


def _has_appearance(annotation: Any) -> bool:
    normal = pdfium.FPDF_ANNOT_APPEARANCEMODE_NORMAL
    return bool(_string(pdfium.FPDFAnnot_GetAP, annotation, normal))


def _string(function: Callable[..., int], *about: Any) -> str:
    """What PDFium writes into a buffer: UTF-16 with a zero at its end."""
    size = function(*about, None, 0)
    if size <= 2:
        return ""
    buffer = (ctypes.c_ushort * (size // 2))()
    function(*about, buffer, size)
    return bytes(buffer)[: size - 2].decode(UTF_16, "ignore")
