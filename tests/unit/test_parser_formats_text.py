"""Formats that are text themselves: RTF, HTML, mail, tables, data, markup, notebooks."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from services.parser.documents.limits import DEFAULT_LIMITS
from services.parser.documents.sandbox import Sandbox
from services.parser.pages import BlockKind, Mark
from tests.reading import of_kind, outline, pages, read


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox.open(DEFAULT_LIMITS, 1) as sandbox:
        yield sandbox


pytestmark = pytest.mark.asyncio(loop_scope="module")


RTF = (
    r"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}{\f1\fcharset204 Arial;}}"
    r"{\stylesheet{\s1 heading 1;}}{\info{\title hidden}}{\header Page head\par}"
    r"\pard\s1 Lanes\par\pard caf\'e9 \u8364? {\f1\'cf\'ee} a\tab b{\v secret}{\footnote Below.}\par"
    r"{\listtext\'b7\tab}first\par\pard\intbl a\cell b\cell\row\intbl c\cell d\cell\row\pard\par}"
)


async def test_rtf_has_headings_lists_tables_and_notes_in_its_code_pages(sandbox: Sandbox) -> None:
    (page,) = await pages(sandbox, RTF, "a.rtf")
    assert page.markdown == (
        "Page head\n\n# Lanes\n\ncafé € По a\tb[^1]\n\n- first\n\n| a | b |\n| --- | --- |\n| c | d |"
        "\n\n[^1]: Below."
    )


@pytest.mark.parametrize(
    ("markup", "shown"),
    [
        ("one\\\ntwo\\\r\nthree", "one\n\ntwo\n\nthree"),
        (r"{\listtext\tab \u8226 \tab}First\par", "- First"),
        (r"\u8364 \b bold\b0", "€bold"),
        ("{\n\\*\\cs7 gone}" r"{\b0\*\cs7\cf0 The quick fox}\par", "The quick fox"),
        ("\\u8364\n?5", "€5"),
    ],
)
async def test_rtf_of_other_writers_than_word_has_its_lines_and_all_of_its_letters(
    sandbox: Sandbox, markup: str, shown: str
) -> None:
    (page,) = await pages(sandbox, rf"{{\rtf1\ansi {markup}}}", "a.rtf")
    assert page.markdown == shown


async def test_a_text_about_rtf_is_a_text(sandbox: Sandbox) -> None:
    _, reading = await read(sandbox, b"{\\rtf1 is how RTF begins\n\n# H\n", "a.md")
    assert reading.format == "markdown"
    _, reading = await read(sandbox, RTF.encode(), "a.md")
    assert reading.format == "rtf"


PAGE = """<!DOCTYPE html><title>Locks</title><style>p{}</style><nav><a href=/>Home</a></nav><h1>Locks</h1>
<script>document.write("<p>never</p>")</script><p>Open &amp; free.
<p>A second<ul><li>one<ul><li>deep</ul><li>two</ul>
<table><tr><th>Part*</th><th>a|b</th></tr><tr><td rowspan=2>V-1</td><td>4</td></tr><tr><td>5</td></tr></table>
<pre class="language-py">x  = 1
y = 2</pre>"""


async def test_a_web_page_has_its_text_without_what_leads_elsewhere(sandbox: Sandbox) -> None:
    (page,) = await pages(sandbox, PAGE, "a.html")
    assert of_kind(page, BlockKind.OMITTED) == ["Home"]
    assert outline(page) == [(1, "Locks")]
    assert of_kind(page, BlockKind.TEXT) == ["Open & free.", "A second"]
    assert of_kind(page, BlockKind.LIST) == ["- one\n  - deep\n- two"]
    assert of_kind(page, BlockKind.TABLE) == ["| Part* | a\\|b |\n| --- | --- |\n| V-1 | 4 |\n|  | 5 |"]
    assert of_kind(page, BlockKind.CODE) == ["```py\nx  = 1\ny = 2\n```"]


async def test_a_table_that_lays_out_a_web_page_is_no_table(sandbox: Sandbox) -> None:
    cell = "<td><h2>News</h2><p>Rain.</p></td>"
    (page,) = await pages(sandbox, f"<table><tr>{cell}<td><p>Side</p></td></tr></table>", "a.html")
    assert page.markdown == "## News\n\nRain.\n\nSide"


async def test_sections_of_word_s_html_and_of_xhtml_are_passed_through(sandbox: Sandbox) -> None:
    (page,) = await pages(sandbox, "<p><![if !vml]>one<![endif]> <![CDATA[a < b]]></p>", "a.xhtml")
    assert page.markdown == "one a < b"


@pytest.mark.parametrize(
    ("markup", "shown"),
    [
        ("<p>a<p hidden>b<p>c", "a\n\nc"),
        ('<div style="color:red; display: none"><p>b<ul><li>c</ul></p>d</div>e', "e"),
        ("<ul><li hidden>a<ul><li>b</ul><li>c</ul>d", "- c\n\nd"),
        ("<table><tr hidden><td>a<p>b<tr><th>c<th>d</table>", "| c | d |\n| --- | --- |"),
        ("<p>a<span hidden>b<br></p>c", "a\n\nc"),
        ("<button>a</button><button>b</button> <del>c</del><ins>d</ins> e<ins>f</ins>", "a b c d ef"),
        ("<svg><text>a</text><text>b</text></svg>", "a b"),
        ("10<sup>6</sup> 10<sup>-3</sup> 1<sup>st</sup> x<sup>2</sup>", "10^6 10^-3 1st x2"),
    ],
)
async def test_a_web_page_s_words_are_those_that_it_shows_and_stand_apart(
    sandbox: Sandbox, markup: str, shown: str
) -> None:
    (page,) = await pages(sandbox, f"<!doctype html><html>{markup}</html>", "a.html")
    assert page.markdown == shown


async def test_a_web_page_is_decoded_as_it_declares(sandbox: Sandbox) -> None:
    content = "<meta charset=windows-1251><p>Шлюз открыт</p>".encode("cp1251")
    ((page,), reading) = await read(sandbox, content, "a.html")
    assert (page.markdown, reading.encoding) == ("Шлюз открыт", "windows-1251")


MAIL = """From: =?utf-8?q?J=C3=B6rg?= <j@example.org>
To: all@example.org
Subject: =?utf-8?b?U2NobGV1w59l?=
 closed
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: multipart/alternative; boundary=c

--c
Content-Type: text/plain

{plain}
--c
Content-Type: text/html; charset=utf-8

<p>Closed on <b>Monday</b>.</p>
--c--
--b
Content-Type: application/pdf
Content-Disposition: attachment; filename="plan.pdf"

x
--b--
"""


@pytest.mark.parametrize("plain", ["Closed on Monday.", ""])
async def test_a_mail_has_its_text_or_else_its_html_and_names_its_attachments(
    sandbox: Sandbox, plain: str
) -> None:
    (page,), reading = await read(sandbox, MAIL.format(plain=plain).encode(), "a.eml")
    assert page.markdown == (
        "# Schleuße closed\n\nFrom: Jörg <j@example.org>\nTo: all@example.org\n\nClosed on Monday."
    )
    assert reading.left_out == ("plan.pdf",)


def alternatives(plain: str, markup: str) -> str:
    parts = [("plain", plain), ("html", markup), ("calendar", "BEGIN:VCALENDAR")]
    inner = "".join(f"--Y\nContent-Type: text/{kind}\n\n{text}\n" for kind, text in parts)
    return f"Subject: x\nMIME-Version: 1.0\nContent-Type: multipart/alternative; boundary=Y\n\n{inner}--Y--\n"


@pytest.mark.parametrize(
    ("plain", "markup", "shown"),
    [
        ("See the other.", "<p>The valve is open, and the pump runs at 5 bar.</p>", "The valve"),
        ("Levels of today.", "<p>Levels</p><table><tr><th>Hall<th>m<tr><td>A<td>7</table>", "| A | 7 |"),
        ("The valve is *open*.", "<p>The valve is <b>open</b>.</p>", "*open*"),
    ],
)
async def test_a_mail_s_html_is_taken_where_its_plain_text_says_less(
    sandbox: Sandbox, plain: str, markup: str, shown: str
) -> None:
    (page,), reading = await read(sandbox, alternatives(plain, markup).encode(), "a.eml")
    assert shown in page.markdown
    assert reading.left_out == ("text/calendar",)


@pytest.mark.parametrize("encoding", ["7bit", "base64"])
async def test_a_mail_that_is_attached_to_another_follows_it(sandbox: Sandbox, encoding: str) -> None:
    inner = "From: b@example.org\nSubject: Inner\n\nThe valve is open.\n"
    packed = base64.b64encode(inner.encode()).decode() if encoding == "base64" else inner
    attached = (
        "Content-Type: message/rfc822\nContent-Disposition: attachment; filename=a.eml\n"
        f"Content-Transfer-Encoding: {encoding}\n\n{packed}"
    )
    head = "Subject: Outer\nContent-Type: multipart/mixed; boundary=Y\n\n--Y\n\nSee below.\n--Y\n"
    content = f"{head}{attached}\n--Y--\n"
    (page,), reading = await read(sandbox, content.encode(), "a.eml")
    assert page.markdown == (
        "# Outer\n\nSee below.\n\n### Inner\n\nFrom: b@example.org\n\nThe valve is open."
    )
    assert reading.left_out == ()


async def test_a_mail_s_header_that_no_rule_allows_stays_as_it_stands(sandbox: Sandbox) -> None:
    content = "From: a@example.org\nSubject: =?ü?q?x?= =?utf-8?b?!?= open\nMIME-Version: 1\n\nText"
    (page,) = await pages(sandbox, content, "a.eml")
    assert page.markdown.endswith("open\n\nFrom: a@example.org\n\nText")


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
async def test_a_table_of_text_repeats_its_header_on_each_page(sandbox: Sandbox, delimiter: str) -> None:
    rows = [f'{at}{delimiter}"a, ""b""; c{delimiter}d"{delimiter}x*y' for at in range(5_000)]
    first, *_, last = await pages(
        sandbox, "\r\n".join([delimiter.join(("No", "What", "Who")), *rows]), "a.csv"
    )
    assert first.markdown.startswith('| No | What | Who |\n| --- | --- | --- |\n| 0 | a, "b"; c')
    assert last.blocks[0].continued
    assert last.blocks[0].lead == "| No | What | Who |\n| --- | --- | --- |"
    assert last.markdown.endswith("| x*y |")


async def test_titles_above_a_table_of_text_are_no_header_of_it(sandbox: Sandbox) -> None:
    (page,) = await pages(sandbox, "Stations\n\nid,place,count\n1,Hall,2\n", "a.csv")
    assert of_kind(page, BlockKind.TEXT) == ["Stations"]
    assert of_kind(page, BlockKind.TABLE) == ["| id | place | count |\n| --- | --- | --- |\n| 1 | Hall | 2 |"]


async def test_a_column_that_is_blank_further_down_keeps_its_name_in_the_header(sandbox: Sandbox) -> None:
    (page,) = await pages(sandbox, "name,\nA,1\n", "a.csv")
    assert page.markdown == "| name |  |\n| --- | --- |\n| A | 1 |"


async def test_values_of_json_stay_as_they_are_written(sandbox: Sandbox) -> None:
    (page,) = await pages(sandbox, '{"f": 0.10, "e": 1E5, "n": NaN, "i": 1' + "0" * 30 + "}", "a.json")
    assert page.markdown == "f: 0.10\ne: 1E5\nn: NaN\ni: 1" + "0" * 30
    (page,) = await pages(sandbox, '[{"a": 1, "a": 2}, {"a": 3}]', "a.json")
    assert page.markdown == "a: 1\na: 2\n\na: 3"


async def test_json_records_are_a_table_and_other_values_lines_below_headings(sandbox: Sandbox) -> None:
    value = {
        "name": "locks",
        "gates": [{"id": 1, "open": True}, {"id": 2, "open": None}],
        "sea": {"level": {"m": 0.5}},
    }
    (page,) = await pages(sandbox, json.dumps(value), "a.json")
    assert page.markdown == (
        "name: locks\n\n# gates\n\n| id | open |\n| --- | --- |\n| 1 | true |\n| 2 |  |"
        "\n\n# sea\n\n## level\n\nm: 0.5"
    )


async def test_json_that_is_none_is_read_as_text_and_the_page_says_so(sandbox: Sandbox) -> None:
    (page,) = await pages(sandbox, '{"a": 1, // one\n}', "tsconfig.json")
    assert page.markdown == '{"a": 1, // one\n}'
    assert page.marks == (Mark.PLAIN,)


async def test_a_record_of_json_lines_is_a_paragraph_and_a_broken_line_stays(sandbox: Sandbox) -> None:
    (page,) = await pages(sandbox, '{"a": {"b": 1}, "c": [2, 3]}\n{broken\n"x"\n', "a.jsonl")
    assert of_kind(page, BlockKind.TEXT) == ["a.b: 1\nc: 2\nc: 3", "{broken", "x"]


async def test_xml_has_titles_paragraphs_and_named_values(sandbox: Sandbox) -> None:
    content = (
        '<?xml version="1.0" encoding="iso-8859-1"?><x:doc xmlns:x="u"><title>The <b>gré</b></title>'
        '<para><b>Mixed</b> text</para><price currency="EUR">44.95</price><row id="1"/></x:doc>'
    ).encode("latin-1")
    (page,) = await pages(sandbox, content, "a.xml")
    assert page.markdown == "# The gré\n\npara: Mixed text\nprice (currency: EUR): 44.95\nrow (id: 1)"


async def test_xml_that_is_not_well_formed_is_read_as_text(sandbox: Sandbox) -> None:
    (page,) = await pages(sandbox, "<a><b>kept</a>", "a.xml")
    assert (page.markdown, page.marks) == ("<a><b>kept</a>", (Mark.PLAIN,))


async def test_restructured_text_has_titles_and_literal_blocks(sandbox: Sandbox) -> None:
    literal = "See :ref:`gates <g>`::\n\n    # no title\n    ====\n\n"
    text = f"=====\nLocks\n=====\n\n{literal}Gates\n-----\n\n- one\n- two\n"
    (page,) = await pages(sandbox, text, "a.rst")
    assert outline(page) == [(1, "Locks"), (2, "Gates")]
    assert of_kind(page, BlockKind.CODE) == ["```\n# no title\n====\n```"]
    assert of_kind(page, BlockKind.LIST) == ["- one\n- two"]


async def test_a_notebook_has_its_code_with_its_output(sandbox: Sandbox) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Rain\n", "\n", "Before *noon*."]},
        {"cell_type": "code", "source": "1 + 1", "outputs": [{"data": {"text/plain": ["2"]}}]},
    ]
    notebook = {"cells": cells, "metadata": {"language_info": {"name": "python"}}, "nbformat": 4}
    (page,) = await pages(sandbox, json.dumps(notebook), "a.ipynb")
    assert outline(page) == [(1, "Rain")]
    assert page.markdown == "# Rain\n\nBefore *noon*.\n\n```python\n1 + 1\n```\n\n```\n2\n```"
