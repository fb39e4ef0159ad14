"""The text of a PDF's pages: each character, in the order that a person reads it."""

from __future__ import annotations

import base64
import itertools
import os
import tempfile
import zlib
from collections.abc import Callable, Mapping

import pytest

from services.parser.documents.document import Document
from services.parser.documents.limits import DEFAULT_LIMITS, Limits
from services.parser.documents.pdf import characters, reader
from services.parser.documents.pdf.lines import Line
from services.parser.documents.pdf.page import PageReader
from services.parser.pages import Mark, Page
from tests import raw_pdfs
from tests.raw_pdfs import FIRST, shown

# Small letters are Hebrew ones in this font, in the order of the alphabet.
HEBREW = {code: chr(0x5D0 + code - 0x61) for code in range(0x61, 0x7B)}
LATIN = {code: chr(code) for code in range(0x20, 0x61)}


def lines_of(pdf: bytes) -> list[Line]:
    """The lines of a first page."""
    return PageReader(characters.open_pdf(pdf), 10_000).read(1).lines


def texts(pdf: bytes) -> list[str]:
    return [line.text for line in lines_of(pdf)]


def with_letters(content: bytes, codes: Mapping[int, str]) -> bytes:
    """A page whose font says what its codes mean."""
    return raw_pdfs.page(content, font=b"/ToUnicode %d 0 R" % FIRST, more=[raw_pdfs.to_unicode(codes)])


def read(pdf: bytes, limits: Limits = DEFAULT_LIMITS) -> tuple[list[Page], list[str]]:
    """Pages, and the names of what was left out."""
    with tempfile.TemporaryFile() as file:
        file.write(pdf)
        file.flush()
        document = Document(file.fileno(), "a.pdf", limits)
        assert document.size == os.fstat(file.fileno()).st_size
        return list(reader.read(document)), document.left_out


def marks(pdf: bytes) -> list[tuple[Mark, ...]]:
    return [page.marks for page in read(pdf)[0]]


def test_characters_beyond_the_basic_plane_are_whole_and_half_ones_are_dropped() -> None:
    pdf = with_letters(shown("AxB C", 72, 700), {0x41: "𠮷", 0x42: "𝐀", 0x43: "\ud835", 0x78: "x"})
    assert texts(pdf) == ["𠮷x𝐀"]


@pytest.mark.parametrize(
    ("of_the_font", "read_as"),
    [
        ("\u2fbc", "高"),
        ("ﬃ", "ffi"),
        ("e\u0301", "é"),
        ("\ufb2a", "\u05e9\u05c1"),
        ("\x02\u200bz", "z"),
    ],
)
def test_forms_that_only_fonts_know_become_letters(of_the_font: str, read_as: str) -> None:
    assert texts(with_letters(shown("A", 72, 700), {0x41: of_the_font})) == [read_as]


@pytest.mark.parametrize(
    ("letter_at", "read_as"), [(72, "L\xf6we"), (90, "L\xa8owe")], ids=["over the letter", "before it"]
)
def test_an_accent_that_is_drawn_over_a_letter_is_a_part_of_it(letter_at: int, read_as: str) -> None:
    codes = {0x41: "\xa8", 0x4C: "L", 0x6F: "o", 0x77: "w", 0x65: "e"}
    parts = shown("L", 65, 700) + shown("A", 72, 700) + shown("owe", letter_at, 700)
    assert "".join(texts(with_letters(parts, codes))).replace(" ", "") == read_as


def test_a_raised_small_number_is_a_power_and_no_more_digits() -> None:
    def number(rise: int, size: int) -> list[str]:
        raised = b"BT /F1 12 Tf 72 700 Td (10) Tj %d Ts /F1 %d Tf (6) Tj ET"
        return texts(raw_pdfs.page(raised % (rise, size)))

    assert number(5, 7) == ["10^6"]
    assert number(-3, 7) == number(0, 12) == number(0, 7) == ["106"]


def test_a_hyphen_that_a_page_shows_stays_whatever_its_font_calls_it() -> None:
    pdf = with_letters(shown("01-2301-77 well-known", 72, 700), {**LATIN, **_small(), 0x2D: "\xad"})
    assert texts(pdf) == ["01-2301-77 well-known"]


def test_a_hyphen_that_ends_a_line_is_kept_for_whoever_joins_the_lines() -> None:
    assert texts(raw_pdfs.page(shown("in the har-", 72, 700) + shown("bour", 72, 686))) == [
        "in the har-",
        "bour",
    ]


@pytest.mark.parametrize(
    ("rotate", "turn"), [(0, "0 1 -1 0"), (90, "0 1 -1 0"), (0, "0 -1 1 0"), (180, "-1 0 0 -1")]
)
def test_a_page_whose_text_runs_another_way_is_read_along_it(rotate: int, turn: str) -> None:
    a, b, c, d = map(int, turn.split())
    rows = [("Station", "Depth"), ("Alpha", "12 m"), ("Bravo", "15 m")]
    content = b"".join(
        shown(text, 300 + a * 100 * column - c * 16 * row, 400 + b * 100 * column - d * 16 * row, turn=turn)
        for row, cells in enumerate(rows)
        for column, text in enumerate(cells)
    )
    lines = lines_of(raw_pdfs.page(content, rotate=rotate))
    assert [line.text for line in lines] == ["Station Depth", "Alpha 12 m", "Bravo 15 m"]
    assert [word.turn for line in lines for word in line.words] == [0] * 8
    assert all(word.left < word.right for line in lines for word in line.words)
    assert [round(a.baseline - b.baseline) for a, b in itertools.pairwise(lines)] == [16, 16]
    assert [round(line.words[1].left - line.left) for line in lines] == [100, 100, 100]


def test_text_that_crosses_its_page_comes_last_in_lines_of_its_own() -> None:
    content = (
        shown("The mole was raised", 72, 770)
        + shown("Archive copy", 30, 200, turn="0 1 -1 0", size=18)
        + shown("DRAFT", 100, 300, turn="0.707 0.707 -0.707 0.707", size=60)
        + shown("in two stages.", 72, 756)
    )
    lines = lines_of(raw_pdfs.page(content))
    assert [line.text for line in lines] == ["The mole was raised", "in two stages.", "DRAFT", "Archive copy"]
    assert [line.words[0].turn for line in lines] == [0, 0, 45, 90]


def test_a_page_of_steep_upside_down_and_endless_text_keeps_all_its_words() -> None:
    ways = ["-1 0 0 -1", "-1 0 0 1", "1e30 0 0 1", "0 0 0 0", "1 5 -5 1", "1e-30 0 0 1e-30"]
    content = b"".join(shown(f"word{at} next", 100, 100 + 40 * at, turn=way) for at, way in enumerate(ways))
    words = [word for line in lines_of(raw_pdfs.page(content)) for word in line.words]
    assert {f"word{at}" for at in (0, 1, 4)} <= {word.text for word in words}
    assert all(abs(number) < 1e7 for word in words for number in word[1:5])


def test_right_to_left_words_come_in_the_order_that_they_are_read_in() -> None:
    pdf = with_letters(shown("fed cba", 100, 700) + shown("ihg 12-34 cba", 100, 686), {**LATIN, **HEBREW})
    assert texts(pdf) == ["אבג דהו", "אבג 12-34 זחט"]


def test_a_right_to_left_table_is_read_from_its_right_side_and_keeps_numbers_and_latin_words_whole() -> None:
    content = b"".join(
        shown(name, 300, y) + shown(price, 100, y)
        for name, price, y in [("fed cba", "120.50 EUR", 700), ("ih", "9 EUR", 686)]
    )
    lines = lines_of(with_letters(content, {**LATIN, **HEBREW}))
    assert [line.text for line in lines] == ["אבג דהו 120.50 EUR", "חט 9 EUR"]
    assert all(a.right <= b.left for line in lines for a, b in itertools.pairwise(line.words))


def test_a_right_to_left_phrase_in_a_latin_line_is_turned_round_within_itself() -> None:
    content = shown("ONE cba fed TWO", 100, 700) + shown("MORE LATIN WORDS", 100, 686)
    lines = lines_of(with_letters(content, {**LATIN, **HEBREW}))
    assert [line.text for line in lines] == ["ONE דהו אבג TWO", "MORE LATIN WORDS"]
    lefts = [word.left for word in lines[0].words]
    assert lefts == sorted(lefts)


def test_a_damaged_stream_is_told_from_a_sound_one_a_blank_page_and_a_drawing() -> None:
    text = b"".join(shown(f"Line {number} of the page", 72, 800 - 14 * number) for number in range(40))
    pdf = raw_pdfs.document(
        [
            raw_pdfs.packed(text),
            raw_pdfs.packed(text, damaged_from=2),
            raw_pdfs.packed(text, damaged_from=200),
            raw_pdfs.stream(b""),
            raw_pdfs.stream(b"1 1 1 rg 0 0 595 842 re f"),
            raw_pdfs.stream(b"0 0 m 100 100 l S"),
        ]
    )
    assert marks(pdf) == [(), (Mark.FAILED,), (Mark.CUT,), (), (), (Mark.WITHOUT_TEXT,)]


def test_a_page_that_has_content_and_came_out_empty_has_failed() -> None:
    pdf = raw_pdfs.document(
        [
            raw_pdfs.stream(zlib.compress(shown("text", 72, 700)), b"/Filter /Unheard"),
            raw_pdfs.stream(shown("text", 72, 700), b"/Filter /LZWDecode"),
            raw_pdfs.stream(b"BT /F1 12 Tf 72 700 Td (a text without its end Tj ET"),
            raw_pdfs.stream(b"q 0.1 0 0 0.1 0 0 cm /P << /Lang (en) >> BDC BT /F1 12 Tf T* () Tj ET EMC Q"),
            b"null",
        ]
    )
    assert marks(pdf) == [(Mark.FAILED,), (Mark.FAILED,), (Mark.FAILED,), (), ()]


def test_a_stream_that_is_not_what_its_checksum_tells_is_damaged() -> None:
    packed = zlib.compress(shown("text", 72, 700))
    sound, changed = packed, packed[:-1] + bytes([packed[-1] ^ 1])
    deflated = b"/Filter /FlateDecode"
    pdf = raw_pdfs.document([raw_pdfs.stream(each, deflated) for each in (sound, packed[:-4], changed)])
    assert marks(pdf) == [(), (), (Mark.CUT,)]


@pytest.mark.parametrize(
    ("name", "written", "end"),
    [(b"ASCII85Decode", base64.a85encode, b"~>"), (b"ASCIIHexDecode", base64.b16encode, b">")],
)
def test_a_packed_stream_that_is_written_in_letters_may_be_damaged_too(
    name: bytes, written: Callable[[bytes], bytes], end: bytes
) -> None:
    packed = zlib.compress(b"".join(shown(f"Line {at}", 72, 800 - 14 * at) for at in range(40)))
    filters = b"/Filter [/%s /FlateDecode]" % name
    sound, half = written(packed), written(packed[: len(packed) // 2])
    contents = (sound, half, sound[:200] + b"\x7f" * 9 + sound[209:])
    pdf = raw_pdfs.document([raw_pdfs.stream(each + end, filters) for each in contents])
    assert marks(pdf) == [(), (Mark.CUT,), (Mark.CUT,)]


def test_a_page_that_is_none_has_failed_and_the_others_are_read() -> None:
    pdf = raw_pdfs.document(
        [raw_pdfs.stream(shown("first", 72, 700)), raw_pdfs.stream(shown("second", 72, 700))]
    )
    broken = pdf.replace(b"/Kids [6 0 R 8 0 R]", b"/Kids [6 0 R 3 0 R]")
    assert marks(broken) == [(), (Mark.FAILED,)]
    assert read(broken)[0][0].markdown == "first"


def test_text_beyond_the_limit_of_a_page_is_cut() -> None:
    pages, _ = read(raw_pdfs.page(shown("word " * 40, 72, 700)), Limits(page_text_bytes=50))
    assert pages[0].markdown == " ".join(["word"] * 10)
    assert pages[0].marks == (Mark.CUT,)


def test_layers_that_are_off_are_left_out_and_invisible_text_stays() -> None:
    form = b"/Type /XObject /Subtype /Form /BBox [0 0 600 800] /Resources << /Font << /F1 5 0 R >> >> %s"
    off, on, several, drawn_off, drawn = (b"%d 0 R" % (FIRST + at) for at in range(5))
    content = (
        shown("always", 72, 700)
        + b"/OC /Off BDC " + shown("off", 72, 680) + b"EMC /OC /On BDC " + shown("on", 72, 660)
        + b"EMC /OC /Several BDC " + shown("several", 72, 640) + b"EMC /Form1 Do /OC /Off BDC /Form2 Do EMC "
        + b"3 Tr " + shown("recognised", 72, 600)
    )  # fmt: skip
    pdf = raw_pdfs.page(
        content,
        catalog=b"/OCProperties << /OCGs [%s %s] /D << /OFF [%s] >> >>" % (off, on, off),
        resources=b"/Properties << /Off %s /On %s /Several %s >> /XObject << /Form1 %s /Form2 %s >>"
        % (off, on, several, drawn_off, drawn),
        more=[
            b"<< /Type /OCG /Name (Draft) >>",
            b"<< /Type /OCG /Name (Draft) >>",
            b"<< /Type /OCMD /OCGs [%s] >>" % off,
            raw_pdfs.stream(shown("form that is off", 72, 620), form % (b"/OC %s" % off)),
            raw_pdfs.stream(shown("form in a layer that is off", 72, 610), form % b""),
        ],
    )
    assert read(pdf)[0][0].markdown.split() == ["always", "on", "recognised"]


@pytest.mark.parametrize(
    ("rule", "shown_words"),
    [
        (b"[/Not %(on)b]", []),
        (b"[/Not %(off)b]", ["ruled"]),
        (b"[/And %(on)b %(off)b]", []),
        (b"[/Or %(on)b %(off)b]", ["ruled"]),
        (b"[/Or %(off)b [/Not %(on)b]]", []),
        (b"[]", ["ruled"]),
    ],
)
def test_a_layer_whose_rule_says_that_it_is_off_is_left_out(rule: bytes, shown_words: list[str]) -> None:
    off, on, ruled = (b"%d 0 R" % (FIRST + at) for at in range(3))
    pdf = raw_pdfs.page(
        b"/OC /Ruled BDC " + shown("ruled", 72, 680) + b"EMC",
        catalog=b"/OCProperties << /OCGs [%s %s] /D << /OFF [%s] >> >>" % (off, on, off),
        resources=b"/Properties << /Ruled %s >>" % ruled,
        more=[
            b"<< /Type /OCG /Name (Draft) >>",
            b"<< /Type /OCG /Name (Draft) >>",
            b"<< /Type /OCMD /VE %s >>" % (rule % {b"on": on, b"off": off}),
        ],
    )
    assert read(pdf)[0][0].markdown.split() == shown_words


def test_a_note_in_a_layer_that_is_off_is_left_out() -> None:
    layer, note = (b"%d 0 R" % (FIRST + at) for at in range(2))
    pdf = raw_pdfs.page(
        shown("always", 72, 680),
        catalog=b"/OCProperties << /OCGs [%s] /D << /OFF [%s] >> >>" % (layer, layer),
        entries=b"/Annots [%s]" % note,
        more=[
            b"<< /Type /OCG /Name (Draft) >>",
            b"<< /Type /Annot /Subtype /FreeText /Rect [72 500 300 520] /Contents (secret) /OC %s >>" % layer,
        ],
    )
    assert read(pdf)[0][0].markdown == "always"


@pytest.mark.parametrize(("rotate", "turn"), [(0, "1 0 0 1"), (90, "0 1 -1 0"), (180, "-1 0 0 -1")])
def test_text_outside_the_crop_box_is_left_out(rotate: int, turn: str) -> None:
    content = shown("inside", 300, 400, turn=turn) + shown("outside", 300, 30, turn=turn)
    pdf = raw_pdfs.page(content, rotate=rotate, entries=b"/CropBox [0 100 595 842]")
    assert texts(pdf) == ["inside"]


def test_files_that_a_document_carries_are_named() -> None:
    pdf = raw_pdfs.page(
        shown("Cover", 72, 700),
        catalog=b"/Names << /EmbeddedFiles << /Names [(inner) %d 0 R] >> >>" % FIRST,
        more=[
            b"<< /Type /Filespec /F (inner.pdf) /UF (inner.pdf) /EF << /F %d 0 R >> >>" % (FIRST + 1),
            raw_pdfs.stream(b"x", b"/Type /EmbeddedFile"),
        ],
    )
    assert read(pdf)[1] == ["inner.pdf"]


def _small() -> dict[int, str]:
    return {code: chr(code) for code in range(0x61, 0x7B)}


def glyphs(text: str, y: float) -> bytes:
    """Operators that show a text by the numbers that its letters have in Windows' own fonts."""
    return b"BT /F2 12 Tf 72 %g Td <%s> Tj ET " % (y, b"".join(b"%04X" % (ord(each) - 29) for each in text))


def with_glyphs(content: bytes) -> bytes:
    """A page with a second font /F2, which does not say what its glyphs are."""
    described = b"/BaseFont /ABCDEF+Segoe /FontDescriptor %d 0 R" % (FIRST + 2)
    fonts = (
        b"<< /Type /Font /Subtype /Type0 /BaseFont /ABCDEF+Segoe /Encoding /Identity-H "
        b"/DescendantFonts [%d 0 R] >>" % (FIRST + 1),
        b"<< /Type /Font /Subtype /CIDFontType2 %s /CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) "
        b"/Supplement 0 >> >>" % described,
        b"<< /Type /FontDescriptor /FontName /ABCDEF+Segoe /Flags 4 /StemV 80 >>",
    )
    return raw_pdfs.page(content, resources=b"/Font << /F1 5 0 R /F2 %d 0 R >>" % FIRST, more=fonts)


def test_a_page_whose_letters_only_its_font_knows_has_no_text_but_for_its_other_words() -> None:
    rubbish = glyphs("At 09:00, 12:30 and 17:45 the gates open.", 700)
    (page,), _ = read(with_glyphs(shown("Lock 4", 72, 760) + rubbish))
    assert (page.markdown, page.marks) == ("Lock 4", (Mark.WITHOUT_TEXT,))


def test_signs_that_only_their_font_knows_leave_a_page_its_text() -> None:
    signs = b"".join(glyphs(sign, 700 - 20 * line) for line, sign in enumerate("0123456789"))
    (page,), _ = read(with_glyphs(shown("A song for ten notes of one lock", 72, 760) + signs))
    assert "A song for ten notes of one lock" in page.markdown
    assert page.marks == ()
