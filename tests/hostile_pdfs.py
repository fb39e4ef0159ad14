"""Makers of PDFs that mean harm, as bytes. Small to upload, large to open."""

from __future__ import annotations

import io
import random
import zlib
from collections.abc import Sequence

from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.pdfgen.canvas import Canvas

_FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"


def simple(text: str = "Quiet water", pages: int = 1) -> bytes:
    """A harmless PDF with one line of text a page."""
    out = io.BytesIO()
    canvas = Canvas(out, invariant=1)
    for number in range(1, pages + 1):
        canvas.drawString(72, 720, f"{text} {number}")
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def encrypted() -> bytes:
    """Opens only with a password."""
    out = io.BytesIO()
    canvas = Canvas(out, encrypt=StandardEncryption("open sesame", canPrint=0), invariant=1)
    canvas.drawString(72, 720, "secret")
    canvas.save()
    return out.getvalue()


def truncated() -> bytes:
    """The first tenth of a PDF: too little for PDFium to rebuild."""
    whole = simple(pages=20)
    return whole[: len(whole) // 10]


def random_bytes(seed: int = 7) -> bytes:
    """Begins like a PDF and goes on as noise."""
    return b"%PDF-1.7\n" + random.Random(seed).randbytes(20_000)


def without_text() -> bytes:
    """One blank page."""
    return _one_page(b"0 0 m 10 10 l S")


def without_its_second_page() -> bytes:
    """Three pages of text, the second of which is an object that is not there."""
    resources = b"/Resources << /Font << /F1 4 0 R >> >>"
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] " + resources + b" /Contents %d 0 R >>"
    return _file(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Count 3 /Kids [3 0 R 99 0 R 5 0 R] >>",
            page % 6,
            _FONT,
            page % 7,
            _stream(b"BT /F1 12 Tf 72 720 Td (The first page stands.) Tj ET"),
            _stream(b"BT /F1 12 Tf 72 720 Td (The third page stands.) Tj ET"),
        ]
    )


def double_deflate(unpacked_bytes: int = 1_000_000_000) -> bytes:
    """A page of spaces, deflated twice: 2.4 KB that want 1 GB."""
    outer, inner = zlib.compressobj(9), zlib.compressobj(9)
    blank, packed = b" " * 1_000_000, b""
    for _ in range(unpacked_bytes // len(blank)):
        packed += outer.compress(inner.compress(blank))
    packed += outer.compress(inner.flush()) + outer.flush()
    return _one_page(packed, b"/Filter [/FlateDecode /FlateDecode]")


def nested_forms(depth: int = 8, width: int = 10) -> bytes:
    """Form XObjects that draw each other: width ** depth drawings in 2.4 KB."""
    first = 6
    forms = []
    for level in range(depth):
        names = b" ".join(b"/F%d %d 0 R" % (i, first + level + 1) for i in range(width))
        last = level == depth - 1
        content = b"BT /F1 12 Tf (x) Tj ET" if last else b" ".join(b"/F%d Do" % i for i in range(width))
        resources = b"/Font << /F1 4 0 R >>" if last else b"/XObject << %s >>" % names
        head = b"/Type /XObject /Subtype /Form /BBox [0 0 600 800] /Resources << %s >>" % resources
        forms.append(_stream(content, head))
    return _one_page(b"/F0 Do", resources=b"/XObject << /F0 6 0 R >>", more=forms)


def million_kids(count: int = 1_000_000) -> bytes:
    """A page tree that lists one page a million times."""
    return _one_page(b"BT /F1 12 Tf 72 720 Td (kid) Tj ET", kids=count)


def huge_media_box() -> bytes:
    """A page of 2,000,000,000 points each way."""
    return _one_page(b"BT /F1 12 Tf 72 720 Td (far) Tj ET", media_box=b"0 0 2000000000 2000000000")


def many_text_operators(count: int = 2_000_000) -> bytes:
    """One page that shows text two million times, deflated to some 100 KB."""
    content = b"BT /F1 1 Tf 1 0 0 1 72 720 Tm\n" + b"(ab) Tj 1 0 Td\n" * count + b"ET"
    return _one_page(zlib.compress(content, 9), b"/Filter /FlateDecode")


def _one_page(
    content: bytes,
    stream_entries: bytes = b"",
    *,
    resources: bytes = b"/Font << /F1 4 0 R >>",
    media_box: bytes = b"0 0 612 792",
    kids: int = 1,
    more: Sequence[bytes] = (),
) -> bytes:
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [%s] /Resources << %s >> /Contents 5 0 R >>"
    return _file(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Count %d /Kids [%s] >>" % (kids, b"3 0 R " * kids),
            page % (media_box, resources),
            _FONT,
            _stream(content, stream_entries),
            *more,
        ]
    )


def _stream(content: bytes, entries: bytes = b"") -> bytes:
    return b"<< /Length %d %s >>\nstream\n%s\nendstream" % (len(content), entries, content)


def _file(objects: Sequence[bytes]) -> bytes:
    body = bytearray(b"%PDF-1.7\n")
    offsets = []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    start, size = len(body), len(objects) + 1
    body += b"xref\n0 %d\n0000000000 65535 f \n%s" % (size, table)
    body += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, start)
    return bytes(body)
