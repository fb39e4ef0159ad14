"""What people put onto a page of a PDF is text where the page shows it."""

from __future__ import annotations

import io
from collections.abc import Callable

from reportlab.pdfgen.canvas import Canvas

from services.parser.documents.pdf import characters
from services.parser.documents.pdf.page import PageReader
from tests import raw_pdfs
from tests.raw_pdfs import FIRST, shown

BOX = b"/Type /Annot"


def form(draw: Callable[[Canvas], None]) -> bytes:
    out = io.BytesIO()
    canvas = Canvas(out, invariant=1)
    draw(canvas)
    canvas.save()
    return out.getvalue()


def annotated(*annotations: bytes, content: bytes = b"", more: tuple[bytes, ...] = ()) -> bytes:
    """A page with a line of text and with annotations; further objects come behind these."""
    numbers = b" ".join(b"%d 0 R" % (FIRST + at) for at in range(len(annotations)))
    return raw_pdfs.page(
        shown("Report of May", 72, 770) + content,
        entries=b"/Annots [%s]" % numbers,
        more=[*(b"<< %s %s >>" % (BOX, each) for each in annotations), *more],
    )


def texts(pdf: bytes) -> list[str]:
    return [line.text for line in PageReader(characters.open_pdf(pdf), 10_000).read(1).lines]


def test_values_and_marks_of_a_form_stand_beside_their_labels() -> None:
    def draw(canvas: Canvas) -> None:
        fields = canvas.acroForm
        for label, y in [
            ("Vessel:", 700),
            ("Port:", 670),
            ("Shore power", 640),
            ("Crane", 610),
            ("Berth:", 580),
        ]:
            canvas.drawString(100, y, label)
        fields.textfield(name="vessel", value="Nordstjerna of Brekke", x=180, y=694, width=200, height=20)
        fields.choice(
            name="port", value="Oslo", options=["Bergen", "Oslo"], x=180, y=664, width=90, height=20
        )
        fields.checkbox(name="power", checked=True, x=80, y=637, size=14)
        fields.checkbox(name="crane", checked=False, x=80, y=607, size=14)
        fields.textfield(name="berth", value="", x=180, y=574, width=200, height=20)

    assert texts(form(draw)) == [
        "Vessel: Nordstjerna of Brekke",
        "Port: Oslo",
        "☒ Shore power",
        "☐ Crane",
        "Berth:",
    ]


def test_a_value_without_a_label_beside_it_stands_below_what_is_above_it() -> None:
    def draw(canvas: Canvas) -> None:
        canvas.drawString(100, 700, "Remarks")
        canvas.drawString(100, 600, "End")
        canvas.acroForm.textfield(
            name="a",
            value="first line\nsecond line",
            x=100,
            y=630,
            width=200,
            height=60,
            fieldFlags="multiline",
        )

    assert texts(form(draw)) == ["Remarks", "first line", "second line", "End"]


def test_a_password_in_a_form_is_not_read() -> None:
    def draw(canvas: Canvas) -> None:
        canvas.drawString(100, 740, "Account")
        canvas.acroForm.textfield(
            name="a", value="open sesame", x=100, y=700, width=200, height=20, fieldFlags="password"
        )

    assert "sesame" not in " ".join(texts(form(draw)))


def test_a_note_on_the_page_is_read_as_it_appears_and_once() -> None:
    appearance = raw_pdfs.stream(
        shown("Crack at bollard 17", 2, 5),
        b"/Type /XObject /Subtype /Form /BBox [0 0 250 20] /Resources << /Font << /F1 5 0 R >> >>",
    )
    free = (
        b"/Subtype /FreeText /Rect [72 690 322 710] /Contents (Crack at bollard 17) /AP << /N %d 0 R >>"
        % (FIRST + 1)
    )
    pdf = annotated(free, content=shown("The end", 72, 650), more=(appearance,))
    assert texts(pdf) == ["Report of May", "Crack at bollard 17", "The end"]


def test_a_note_without_an_appearance_is_read_in_its_place() -> None:
    free = b"/Subtype /FreeText /Rect [72 690 322 710] /Contents (Seen by the warden)"
    assert texts(annotated(free, content=shown("The end", 72, 650)))[1] == "Seen by the warden"


def test_comments_follow_their_page_unless_they_repeat_it() -> None:
    pdf = annotated(
        b"/Subtype /Text /Rect [72 500 92 520] /Contents (Repair before winter.)",
        b"/Subtype /Highlight /Rect [72 760 200 780] /Contents (Report of May)",
        content=shown("The end", 72, 400),
    )
    assert texts(pdf) == ["Report of May", "The end", "Repair before winter."]


def test_what_is_hidden_and_where_links_lead_is_no_text() -> None:
    pdf = annotated(
        b"/F 2 /Subtype /FreeText /Rect [72 690 322 710] /Contents (secret)",
        b"/Subtype /Link /Rect [72 690 322 710] /Contents (a link)",
    )
    assert texts(pdf) == ["Report of May"]


def test_files_attached_to_a_page_are_named() -> None:
    pdf = annotated(
        b"/Subtype /FileAttachment /Rect [72 500 92 520] /FS << /Type /Filespec /UF (plan.dwg) >>"
    )
    assert PageReader(characters.open_pdf(pdf), 10_000).read(1).files == ("plan.dwg",)


def test_a_value_on_a_turned_page_stands_beside_its_label() -> None:
    pdf = raw_pdfs.page(
        shown("Vessel:", 100, 72, turn="0 1 -1 0"),
        rotate=90,
        entries=b"/Annots [%d 0 R]" % FIRST,
        more=[b"<< %s /Subtype /FreeText /Rect [85 200 105 300] /Contents (Nordstjerna) >>" % BOX],
    )
    assert texts(pdf) == ["Vessel: Nordstjerna"]
