"""Bytes become text: by mark, by declaration, by what they look like; or they are refused."""

from __future__ import annotations

import codecs
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from services.parser.documents import text
from services.parser.documents.decoding import Decoded, decode
from services.parser.documents.document import Refused
from services.parser.documents.limits import DEFAULT_LIMITS
from services.parser.documents.sandbox import Sandbox
from tests import reading
from tests.text_files import page_of, read

RUSSIAN = "Насос номер семь стоит у северного причала. Каждую весну его осматривают и красят заново.\n"
UKRAINIAN = "Їжак іде до гаю, а ґава сидить на дереві. Щоранку рибалки виходять у море за здобиччю.\n"
JAPANESE = "港の北側にあるポンプは、毎年春に点検されます。鍵は受付で借りてください。\n"
CHINESE = "北码头的水泵每年春天都要检查一次，钥匙请到前台领取，用完后请归还。\n"
TAIWANESE = "北碼頭的幫浦每年春天都要檢查一次，鑰匙請到櫃檯領取，用完後請歸還。\n"
KOREAN = "북쪽 부두의 펌프는 매년 봄에 점검합니다. 열쇠는 접수처에서 빌리십시오.\n"
FRENCH = "À l’été, la pompe du quai nord est contrôlée ; la clé se trouve à la réception, près de l’entrée.\n"
POLISH = "Każdej wiosny pompa przy północnym nabrzeżu jest sprawdzana; klucz można odebrać u źródła.\n"
GREEK = "Η αντλία της βόρειας προβλήτας ελέγχεται κάθε άνοιξη και το κλειδί βρίσκεται στη ρεσεψιόν.\n"
HEBREW = "המשאבה ברציף הצפוני נבדקת בכל אביב והמפתח נמצא בקבלה ליד הכניסה הראשית.\n"
THAI = "เครื่องสูบน้ำที่ท่าเรือด้านเหนือได้รับการตรวจสอบทุกปีในฤดูใบไม้ผลิ\n"
HINDI = "उत्तरी घाट का पंप हर वसंत में जाँचा जाता है।\n"
LEGACY = [
    (RUSSIAN, "windows-1251"), (RUSSIAN, "koi8-r"), (RUSSIAN, "iso-8859-5"), (RUSSIAN, "ibm866"),
    (UKRAINIAN, "koi8-u"), (JAPANESE, "shift_jis"), (JAPANESE, "euc-jp"), (JAPANESE, "iso-2022-jp"),
    (CHINESE, "gb18030"), (TAIWANESE, "big5"), (KOREAN, "euc-kr"), (FRENCH, "windows-1252"),
    (POLISH, "windows-1250"), (POLISH, "iso-8859-2"), (GREEK, "windows-1253"), (HEBREW, "windows-1255"),
    (THAI, "windows-874"),
]  # fmt: skip
# Python has no such name, or another table by it.
PYTHON = {"windows-874": "cp874", "shift_jis": "cp932"}


def refusal(content: bytes) -> Refused:
    with pytest.raises(Refused) as caught:
        decode(content)
    return caught.value


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox.open(DEFAULT_LIMITS, 1) as sandbox:
        yield sandbox


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("content", "encoding"), LEGACY, ids=lambda value: value if value.isascii() else "")
async def test_what_an_older_machine_wrote_is_read_in_the_child(
    sandbox: Sandbox, content: str, encoding: str
) -> None:
    written = (content * 3).encode(PYTHON.get(encoding, encoding))
    pages, found = await reading.read(sandbox, written, "a.txt")
    assert pages[0].markdown == (content * 3).strip()
    assert (
        found.encoding == encoding
        or written.decode(PYTHON.get(found.encoding, found.encoding)) == content * 3
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16le", "utf-16be", "utf-32le", "utf-32be"])
def test_a_byte_order_mark_tells_the_encoding_and_leaves_no_trace(encoding: str) -> None:
    assert decode("\ufeffShip 😀".encode(encoding)) == Decoded("Ship 😀", encoding)


@pytest.mark.parametrize(
    "content", [RUSSIAN, JAPANESE, FRENCH, HINDI, "Exported, no mark\n", "1.08311,100\r\n" * 9]
)
@pytest.mark.parametrize("encoding", ["utf-16le", "utf-16be", "utf-32le", "utf-32be"])
def test_wide_characters_need_no_mark(content: str, encoding: str) -> None:
    assert decode(content.encode(encoding)) == Decoded(content, encoding)


@pytest.mark.parametrize("content", ["one\0two", "a\0\0\0b\0c\0" * 99, "x=1\0yy=22\0" * 9, "abc\0def\0" * 9])
def test_a_text_with_nuls_is_a_text_and_they_divide_its_words(content: str) -> None:
    assert page_of(text.read, content).markdown == content.replace("\0", " ").strip()


@pytest.mark.parametrize(
    "content",
    ["caf\xe9 au lait", "25 °C", "© 2020 Firm", "£5", "naïve", "“quoted” text: it’s", "10 €", "Das Café"],
)
def test_a_few_letters_or_marks_are_western(content: str) -> None:
    assert decode(content.encode("cp1252")) == Decoded(content, "windows-1252")


def test_a_nul_in_an_older_text_does_not_make_it_utf_16() -> None:
    for nul in ("\0", " \0"):
        content = f"Größe der Pumpe:{nul}5 m, Länge der Straße: 7 m"
        assert decode(content.encode("cp1252")) == Decoded(content, "windows-1252")


def test_one_letter_far_behind_is_enough() -> None:
    assert decode(b"plain " * 50_000 + "été\n".encode("cp1252")).text.endswith("été\n")


def test_what_the_format_declares_is_believed_if_it_decodes() -> None:
    assert decode("Юг".encode("koi8-r"), "KOI8-R").text == "Юг"
    assert decode("ジ".encode("cp932"), "x-sjis") != decode("ジ".encode("cp932"), "koi8-r")
    assert decode("ジ".encode("cp932"), "Shift_JIS").text == "ジ"
    assert decode(FRENCH.encode("cp1252"), "gb2312").text != FRENCH.encode("cp1252").decode("cp1251")


def test_a_code_page_that_is_declared_gives_way_to_utf_8() -> None:
    assert decode(FRENCH.encode(), "iso-8859-1") == Decoded(FRENCH, "utf-8")


@pytest.mark.parametrize(
    "label", ["", "nonsense", "hex", "undefined", "unicode_escape", "utf-16", "\0", "us-ascii"]
)
def test_a_declaration_that_is_none_is_passed_over(label: str) -> None:
    assert decode(FRENCH.encode("cp1252"), label) == Decoded(FRENCH, "windows-1252")


def test_what_browsers_mean_by_a_label_is_meant() -> None:
    assert decode("l’été".encode("cp1252"), "iso-8859-1") == Decoded("l’été", "windows-1252")
    assert decode("①".encode("cp932"), "shift_jis").text == "①"
    assert decode("똠방각하".encode("cp949"), "ks_c_5601-1987").text == "똠방각하"


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_a_bad_byte_costs_one_character_and_is_told(encoding: str) -> None:
    whole = (CHINESE * 40).encode(encoding)
    border = len(CHINESE.encode(encoding)) * 2
    pages, document = read(text.read, whole[:border] + b"\xff" + whole[border:])
    assert pages[0].markdown.count("\ufffd") == 1
    assert (document.encoding, document.left_out) == (encoding, ["1 undecodable bytes"])


def test_a_line_of_a_code_page_does_not_make_mojibake_of_utf_8() -> None:
    content = "Die Tür ist auf. Größe: 5 µm.\n".encode() + "Straße, Müller und König\n".encode("latin-1")
    page, document = page_of(text.read, content), read(text.read, content)[1]
    assert page.markdown == "Die Tür ist auf. Größe: 5 µm.\nStra\ufffde, M\ufffdller und K\ufffdnig"
    assert (document.encoding, document.left_out) == ("utf-8", ["3 undecodable bytes"])


def test_marks_behind_letters_of_a_code_page_are_no_utf_8() -> None:
    content = "Der „Spaß“ war „groß“, und wir gehen jetzt nach Hause, weil es spät ist."
    assert decode(content.encode("cp1252")) == Decoded(content, "windows-1252")


def test_a_text_that_is_cut_inside_a_character_is_read() -> None:
    assert decode((JAPANESE * 9).encode("cp932")[:-2]).text == (JAPANESE * 9)[:-2]
    assert decode((FRENCH * 9).encode() + b"\xc3").text == FRENCH * 9 + "\ufffd"


@pytest.mark.parametrize(("content", "encoding"), [("ありがとう" * 3, "cp932"), ("見積\n", "big5")])
def test_a_few_asian_words_are_no_text_of_a_mainframe(content: str, encoding: str) -> None:
    assert decode(content.encode(encoding)).encoding != "ibm500"


def test_a_letter_of_a_mainframe_is_read() -> None:
    content = "Dear Sir, we confirm the delivery of 40 boxes on Monday. Kind regards.\n" * 3
    assert decode(content.encode("cp500")).text == content


@pytest.mark.parametrize(
    "content",
    [
        b"PK\x03\x04\0\0",
        bytes(range(256)) * 40,
        b"\x7fELF\x02\x01\x01" + b"\0" * 40 + b"\x80\x81\xff\x02\x03",
    ],
)
def test_binary_content_is_no_text(content: bytes) -> None:
    assert refusal(content).reason == "FILE_TYPE_UNSUPPORTED"


def test_what_cannot_be_decoded_is_refused_with_its_first_byte() -> None:
    refused = refusal(codecs.BOM_UTF16_LE + "ab".encode("utf-16le") + b"\x00\xd8" * 4)
    assert (refused.reason, refused.metadata) == ("TEXT_UNDECODABLE", {"byte_offset": "6"})
