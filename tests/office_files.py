"""Makers of office documents, books and other archives, as bytes: what programs write, and little else."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_WORD = (
    'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" '
    f'xmlns:r="{_OFFICE}"'
)  # fmt: skip
_SHEET = f'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="{_OFFICE}"'
_SLIDE = (
    'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" '
    f'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main" xmlns:r="{_OFFICE}"'
)
_OPEN = " ".join(
    f'xmlns:{short}="urn:oasis:names:tc:opendocument:xmlns:{long}:1.0"'
    for short, long in {
        "office": "office", "text": "text", "table": "table", "draw": "drawing", "style": "style",
        "presentation": "presentation", "manifest": "manifest",
    }.items()
)  # fmt: skip
_TYPES = {
    "docx": ("word/document.xml", "wordprocessingml.document"),
    "xlsx": ("xl/workbook.xml", "spreadsheetml.sheet"),
    "pptx": ("ppt/presentation.xml", "presentationml.presentation"),
}


def archive(members: Mapping[str, str | bytes]) -> bytes:
    """A ZIP archive; of a member named `mimetype` nothing is packed, as the standards want it."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        for name, content in members.items():
            packing = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            file.writestr(name, content, packing)
    return out.getvalue()


def member(file: bytes, name: str) -> bytes:
    """One member of an archive."""
    with zipfile.ZipFile(io.BytesIO(file)) as found:
        return found.read(name)


def with_members(file: bytes, members: Mapping[str, str | bytes]) -> bytes:
    """An archive with more members, or others."""
    with zipfile.ZipFile(io.BytesIO(file)) as found:
        return archive({name: found.read(name) for name in found.namelist()} | dict(members))


def office(kind: str, members: Mapping[str, str | bytes]) -> bytes:
    """A package of Microsoft's with its main part named."""
    main, name = _TYPES[kind]
    types = (
        f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="xml" ContentType="application/xml"/>'
        f'<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/{main}" '
        f'ContentType="application/vnd.openxmlformats-officedocument.{name}.main+xml"/></Types>'
    )
    packages = {"[Content_Types].xml": types, "_rels/.rels": relations({"officeDocument": main})}
    return archive({**packages, **members})


def relations(targets: Mapping[str, str]) -> str:
    """A part's relations: their names are their ids, without what stands behind a dash of their type."""
    each = (
        f'<Relationship Id="{name}" Type="{_OFFICE}/{name.partition("-")[0]}" Target="{target}"/>'
        for name, target in targets.items()
    )
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{"".join(each)}</Relationships>'


def docx(body: str, **parts: str) -> bytes:
    """A text document. Parts are "styles", "numbering", "footnotes", "comments", "header"."""
    roots = {"header": "hdr"}
    section = '<w:sectPr><w:headerReference w:type="default" r:id="header"/></w:sectPr>'
    members = {
        "word/document.xml": f"<w:document {_WORD}><w:body>{body}{section}</w:body></w:document>",
        "word/_rels/document.xml.rels": relations({name: f"{name}.xml" for name in parts}),
    }
    for name, content in parts.items():
        root = roots.get(name, name)
        members[f"word/{name}.xml"] = f"<w:{root} {_WORD}>{content}</w:{root}>"
    return office("docx", members)


def paragraph(text: str, style: str = "", more: str = "") -> str:
    """A paragraph of a text document."""
    named = f'<w:pStyle w:val="{style}"/>' if style else ""
    return f"<w:p><w:pPr>{named}{more}</w:pPr>{run(text) if text else ''}</w:p>"


def run(text: str) -> str:
    """A stretch of a paragraph."""
    return f'<w:r><w:t xml:space="preserve">{text}</w:t></w:r>'


def row(*cells: str, span: int = 1) -> str:
    """A row of a text document's table; `span` is how many columns the first cell covers."""
    first = f'<w:tcPr><w:gridSpan w:val="{span}"/></w:tcPr>' if span > 1 else ""
    made = (f"<w:tc>{'' if at else first}{paragraph(cell)}</w:tc>" for at, cell in enumerate(cells))
    return f"<w:tr>{''.join(made)}</w:tr>"


def xlsx(sheets: Mapping[str, str], styles: str = "") -> bytes:
    """A workbook of sheets' rows."""
    listed = "".join(
        f'<sheet name="{name}" sheetId="{at}" r:id="worksheet-{at}"/>'
        for at, name in enumerate(sheets, start=1)
    )
    parts = {f"worksheet-{at}": f"worksheets/sheet{at}.xml" for at in range(1, len(sheets) + 1)}
    members = {
        "xl/workbook.xml": f"<workbook {_SHEET}><sheets>{listed}</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": relations({**parts, "styles": "styles.xml"}),
        "xl/styles.xml": f"<styleSheet {_SHEET}>{styles}</styleSheet>",
    }
    for at, rows in enumerate(sheets.values(), start=1):
        data = f"<worksheet {_SHEET}><sheetData>{rows}</sheetData></worksheet>"
        members[f"xl/worksheets/sheet{at}.xml"] = data
    return office("xlsx", members)


def sheet_row(number: int, *cells: str, style: int = 0) -> str:
    """A row of a sheet. A number stays one, "=1+2" is a formula, "=1+2:3" one with its value."""
    made = []
    for at, cell in enumerate(cells):
        place = f'r="{chr(ord("A") + at)}{number}" s="{style}"'
        formula, _, value = cell[1:].partition(":")
        if cell.startswith("="):
            made.append(f"<c {place}><f>{formula}</f>{f'<v>{value}</v>' if value else ''}</c>")
        elif cell.replace(".", "").isdigit():
            made.append(f"<c {place}><v>{cell}</v></c>")
        else:
            made.append(f'<c {place} t="inlineStr"><is><t>{cell}</t></is></c>')
    return f'<row r="{number}">{"".join(made)}</row>'


def pptx(*slides: tuple[str, str, str]) -> bytes:
    """Slides: each its title, its text and its notes."""
    ids = "".join(f'<p:sldId id="{256 + at}" r:id="slide-{at}"/>' for at in range(len(slides)))
    members = {
        "ppt/presentation.xml": f"<p:presentation {_SLIDE}><p:sldIdLst>{ids}</p:sldIdLst></p:presentation>",
        "ppt/_rels/presentation.xml.rels": relations(
            {f"slide-{at}": f"slides/slide{at}.xml" for at in range(len(slides))}
        ),
    }
    for at, (title, text, notes) in enumerate(slides):
        shapes = _shape(1, "title", title) + _shape(2, "body", text)
        members[f"ppt/slides/slide{at}.xml"] = _slide("sld", shapes)
        members[f"ppt/notesSlides/notes{at}.xml"] = _slide("notes", _shape(2, "body", notes))
        members[f"ppt/slides/_rels/slide{at}.xml.rels"] = relations(
            {"notesSlide": f"../notesSlides/notes{at}.xml"}
        )
    return office("pptx", members)


def _slide(root: str, shapes: str) -> str:
    return f"<p:{root} {_SLIDE}><p:cSld><p:spTree>{shapes}</p:spTree></p:cSld></p:{root}>"


def _shape(number: int, kind: str, text: str) -> str:
    named = f'<p:cNvPr id="{number}" name="{kind}"/><p:cNvSpPr/><p:nvPr><p:ph type="{kind}"/></p:nvPr>'
    said = f"<p:txBody><a:bodyPr/><a:p><a:r><a:t>{text}</a:t></a:r></a:p></p:txBody>"
    return f"<p:sp><p:nvSpPr>{named}</p:nvSpPr><p:spPr/>{said}</p:sp>" if text else ""


def opendocument(kind: str, body: str, *, styles: str = "", encrypted: bool = False) -> bytes:
    """An OpenDocument file; kind is "text", "spreadsheet" or "presentation"."""
    entry = f"<manifest:file-entry>{'<manifest:encryption-data/>' if encrypted else ''}</manifest:file-entry>"
    inner = f"<office:body><office:{kind}>{body}</office:{kind}></office:body>"
    return archive(
        {
            "mimetype": f"application/vnd.oasis.opendocument.{kind}",
            "content.xml": f"<office:document-content {_OPEN}>{inner}</office:document-content>",
            "styles.xml": f"<office:document-styles {_OPEN}>{styles}</office:document-styles>",
            "META-INF/manifest.xml": f"<manifest:manifest {_OPEN}>{entry}</manifest:manifest>",
        }
    )


def epub(chapters: Mapping[str, str], *, spine: list[str] | None = None, encryption: str = "") -> bytes:
    """A book; the spine is the order of reading."""
    items = "".join(
        f'<item id="{name}" href="{name}" media-type="application/xhtml+xml"/>' for name in chapters
    )
    root = '<rootfile full-path="book/package.opf"/>'
    order = "".join(f'<itemref idref="{name}"/>' for name in spine or chapters)
    members = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": f"<container><rootfiles>{root}</rootfiles></container>",
        "book/package.opf": f"<package><manifest>{items}</manifest><spine>{order}</spine></package>",
    }
    members |= {f"book/{name}": f"<html><body>{text}</body></html>" for name, text in chapters.items()}
    return archive(members | ({"META-INF/encryption.xml": encryption} if encryption else {}))
