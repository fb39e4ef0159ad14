"""The documents of the outages: several formats, each a few requests of the embedder at most."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.office_files import docx, paragraph, pptx, sheet_row, xlsx
from tests.raw_pdfs import document, shown, stream

EXAMPLES = Path(__file__).parents[2] / "examples" / "documents"


def documents() -> Mapping[str, bytes]:
    """The content of each, by its name."""
    made = {path.name: path.read_bytes() for path in sorted(EXAMPLES.iterdir())}
    made["report.pdf"] = _pdf("report", 3)
    made["note.pdf"] = _pdf("note", 1)
    made["locks.md"] = _prose("locks", 14).encode()
    made["lane.csv"] = ("lane,boats\n" + "".join(f"{n},{n * 7}\n" for n in range(200))).encode()
    made["memo.docx"] = docx("".join(paragraph(f"Gate {n} of the lock is shut.") for n in range(40)))
    made["boats.xlsx"] = xlsx({"Boats": "".join(sheet_row(n, f"Boat {n}", f"{n * 3}") for n in range(1, 30))})
    made["talk.pptx"] = pptx(*((f"Lock {n}", f"The lock {n} is oiled at noon.", "") for n in range(4)))
    made["page.html"] = f"<html><body>{_prose('page', 4)}</body></html>".encode()
    return made


def _pdf(name: str, pages: int) -> bytes:
    return document(
        [stream(shown(f"The {name}: pump {page} ran dry at noon.", 72, 700)) for page in range(pages)]
    )


def _prose(name: str, sections: int) -> str:
    return "\n\n".join(
        f"# Lock {number} of {name}\n\n" + f"The lock {number} of {name} is oiled at noon. " * 25
        for number in range(sections)
    )
