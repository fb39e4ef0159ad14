"""Makers of small PDFs, object by object, as bytes."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence

# Objects that a caller adds are numbered from here on.
FIRST = 6


def page(
    content: bytes,
    *,
    rotate: int = 0,
    font: bytes = b"",
    resources: bytes = b"",
    catalog: bytes = b"",
    entries: bytes = b"",
    more: Sequence[bytes] = (),
) -> bytes:
    """One page of 595 by 842 points, with Helvetica as /F1 (object 5) and content streams as they come.

    Args:
        content: The page's operators.
        rotate: Degrees.
        font: More entries of the font.
        resources: More resources of the page.
        catalog: More entries of the catalog.
        entries: More entries of the page.
        more: Further objects, from number FIRST on.
    """
    return document([stream(content)], rotate, font, resources, catalog, entries, more)


def document(
    contents: Sequence[bytes],
    rotate: int = 0,
    font: bytes = b"",
    resources: bytes = b"",
    catalog: bytes = b"",
    entries: bytes = b"",
    more: Sequence[bytes] = (),
) -> bytes:
    """A page for each content stream (see `stream`); for None an object that is no page."""
    first = FIRST + len(more)
    kids = range(first, first + 2 * len(contents), 2)
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R %s >>" % catalog,
        b"<< /Type /Pages /Count %d /Kids [%s] >>"
        % (len(contents), b" ".join(b"%d 0 R" % kid for kid in kids)),
        b"null",
        b"null",
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding %s >>" % font,
        *more,
    ]
    for kid, content in zip(kids, contents, strict=True):
        objects += [
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Rotate %d /Contents %d 0 R "
            b"/Resources << /Font << /F1 5 0 R >> %s >> %s >>" % (rotate, kid + 1, resources, entries),
            content,
        ]
    return _file(objects)


def stream(content: bytes, entries: bytes = b"") -> bytes:
    """A stream object."""
    return b"<< %s /Length %d >>\nstream\n%s\nendstream" % (entries, len(content), content)


def packed(content: bytes, *, damaged_from: int | None = None) -> bytes:
    """A deflated stream object, its bytes from a place on overwritten."""
    data = zlib.compress(content, 9)
    if damaged_from is not None:
        data = data[:damaged_from] + b"\xff" * (len(data) - damaged_from)
    return stream(data, b"/Filter /FlateDecode")


def to_unicode(codes: Mapping[int, str]) -> bytes:
    """A font's table of what its codes mean; half characters are taken as they are."""
    pairs = b" ".join(
        b"<%02X> <%s>" % (code, text.encode("utf-16-be", "surrogatepass").hex().encode())
        for code, text in codes.items()
    )
    return stream(
        b"/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /X def "
        b"1 begincodespacerange <00> <FF> endcodespacerange %d beginbfchar %s endbfchar endcmap end end"
        % (len(codes), pairs)
    )


def shown(text: str, x: float, y: float, *, turn: str = "1 0 0 1", size: float = 12) -> bytes:
    """Operators that show a text."""
    return b"BT /F1 %g Tf %s %g %g Tm (%s) Tj ET " % (size, turn.encode(), x, y, text.encode("latin-1"))


def _file(objects: Sequence[bytes]) -> bytes:
    out, places = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    return (
        out
        + b"xref\n0 %d\n0000000000 65535 f \n%strailer << /Root 1 0 R /Size %d >>\nstartxref\n%d\n%%%%EOF"
        % (
            len(objects) + 1,
            table,
            len(objects) + 1,
            len(out),
        )
    )
