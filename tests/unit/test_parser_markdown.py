"""Markdown is read by CommonMark: what is a heading, what is none, and where a page is cut."""

from __future__ import annotations

from email import message_from_string
from importlib.metadata import distributions

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.parser.documents import commonmark, paging
from services.parser.documents.markdown import read
from services.parser.pages import BlockKind
from tests.reading import of_kind, outline
from tests.text_files import blocks_of, page_of, pages_of

LINES = [
    "# a", "## b #", "word", "", "", "- x", "  - y", "1. z", "> q", ">", "```", "~~~py", "    code",
    "| a | b |", "|---|---|", "| 1 | 2 |", "===", "---", "<!-- c", "-->", "<!-- d --> e", "<div>", "</div>",
    "<pre>", "[l]: u", "\ta", "- ", "- - # h", "  ```", "\f", "a\fb", "\u3000", "$$",
    "e <!-- f --> g", "| 3 <!-- h --> | 4 |", "[//]: # (i)", "$$ j", "`k",
]  # fmt: skip


def outline_of(content: str) -> list[tuple[int, str]]:
    return outline(page_of(read, content))


def titles(content: str) -> list[str]:
    return [title for _, title in outline_of(content)]


@pytest.mark.parametrize(
    ("line", "title"),
    [
        ("## C#", "C#"),
        ("## Bay 9##", "Bay 9##"),
        ("## Closed ##", "Closed"),
        ("# *Cold* __start__ ~~now~~", "Cold start now"),
        ("# [The pump](http://a.example 'b') and ![its](i.png) `code`", "The pump and its code"),
        ("# Salt &amp; sand \\*", "Salt & sand *"),
        ("# Install {#install .wide}", "Install"),
        ("# Set {a, b}", "Set {a, b}"),
        ("# Vec<T> <b>bold</b> <!-- toc -->", "Vec<T> bold"),
        ("# Array[int]", "Array[int]"),
        ("# Claim[^1]\n\n[^1]: Note.", "Claim"),
        ("## [1.0.0] - 2020\n\n[1.0.0]: http://a.example", "1.0.0 - 2020"),
    ],
)
def test_a_title_has_no_markup(line: str, title: str) -> None:
    assert titles(line) == [title]


def test_underlined_titles_are_headings() -> None:
    assert outline_of("Pump Manual\n===========\n\nCold\n*start*\n-----\n") == [
        (1, "Pump Manual"),
        (2, "Cold start"),
    ]


def test_a_paragraph_with_a_line_under_it_is_no_title() -> None:
    assert titles("word " * 100 + "\n---\n") == []


def test_headings_of_html_are_headings() -> None:
    assert outline_of('<h1 align="center">\n<img src="x"> Kiln &amp; glaze\n</h1>\n') == [(1, "Kiln & glaze")]


@pytest.mark.parametrize(
    "content",
    [
        "```\n# a\n```",
        "~~~\n```\n# a\n~~~",
        "    # a",
        "<pre>\n# a\n\n# b\n</pre>",
        "<script>\n\n# a\n</script>",
        "$$\n# a\n\n# b\n$$",
        "> # a",
        "- # a",
        "<!--\n# a\n\n# b\n-->",
        "---\nkey: 1\n# a\n\n# b\n---",
        "+++\nkey = 1\n# a\n+++",
        "#hashtag",
    ],
)
def test_what_is_no_heading(content: str) -> None:
    assert titles(content) == []


def test_a_code_span_that_begins_a_line_opens_no_fence() -> None:
    assert titles("```make install``` runs all.\n\n# Usage\n") == ["Usage"]


def test_front_matter_and_comments_stand_in_the_page_and_in_no_chunk() -> None:
    front, comment = (
        "---\ntitle: Kiln\n# internal: do not publish\ntags:\n- a\n---",
        "<!-- old\n\n# Plan\n-->",
    )
    page = page_of(read, f"{front}\n\n# Firing\n\n{comment}\n\n- one\n\n  <!-- hidden -->\n\n- two\n")
    assert of_kind(page, BlockKind.OMITTED) == [front, comment, "<!-- hidden -->"]
    assert of_kind(page, BlockKind.LIST) == ["- one", "- two"]


def test_text_between_two_rules_is_no_front_matter() -> None:
    page = page_of(read, "---\n\nNote: this is text.\n\nAnd so is this.\n\n---\n")
    assert of_kind(page, BlockKind.OMITTED) == []


def test_text_beside_a_comment_and_behind_one_without_an_end_stays() -> None:
    assert of_kind(page_of(read, "<!-- a --> kept\n"), BlockKind.TEXT) == [" kept"]
    assert of_kind(page_of(read, "<!-- open\n\nkept\n"), BlockKind.TEXT) == ["<!-- open\n\nkept"]


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ("one <!-- a --> two\n", ["one", " two"]),
        ("- one <!-- a\nb --> two\n- three\n\n  ~~~\n  <!-- code -->\n  ~~~\n",
         ["- one", " two", "- three\n\n  ~~~\n  <!-- code -->\n  ~~~"]),
        ("## one <!-- a -->\n", ["## one"]),
        ("one\n\n[//]: # (a)\n\n[note]: <> 'a'\n", ["one"]),
        ("`<!-- one -->` \\<!-- two --> ``a ` <!-- b -->`` <!-- open\n",
         ["`<!-- one -->` \\<!-- two --> ``a ` <!-- b -->`` <!-- open"]),
    ],
)  # fmt: skip
def test_a_comment_inside_a_line_stands_in_no_chunk(content: str, shown: list[str]) -> None:
    assert [text for kind, text in blocks_of(page_of(read, content)) if kind != "omitted"] == shown


def test_a_table_goes_on_behind_a_comment_and_no_header_of_it_has_one() -> None:
    page = page_of(read, "| a <!-- b --> | c |\n|--|--|\n| 1 <!-- d --> | 2 |\n")
    tables = [block for block in page.blocks if block.kind is BlockKind.TABLE]
    assert [(block.lead, block.continued) for block in tables] == [
        ("| a  | c |\n|--|--|", False),
        ("| a  | c |\n|--|--|", True),
        ("| a  | c |\n|--|--|", True),
    ]


def test_math_without_an_end_takes_no_heading() -> None:
    assert titles("$$ x = 1\n\n# a\n\nnow 5 $$\n") == ["a"]


def test_blocks_are_of_their_kinds() -> None:
    content = "a\n\n- b\n- c\n\n| d |\n|---|\n| e |\n\n```f\ng\n```\n\n> h\n\n    i\n\n<div>j</div>"
    assert blocks_of(page_of(read, content)) == [
        ("text", "a"),
        ("list", "- b\n- c"),
        ("table", "| d |\n|---|\n| e |"),
        ("code", "```f\ng\n```"),
        ("text", "> h"),
        ("code", "    i"),
        ("text", "<div>j</div>"),
    ]


def test_a_long_list_is_taken_apart_into_its_items() -> None:
    items = [f"- item {number} " + "word " * 100 for number in range(5)]
    page = page_of(read, "\n".join(items))
    assert of_kind(page, BlockKind.LIST) == [item.rstrip() for item in items]


def test_a_fence_that_is_cut_goes_on_as_code_and_what_follows_keeps_its_headings() -> None:
    code = "".join(f"# step {number}: widen the gate\nset_lane({number})\n" for number in range(600))
    pages = pages_of(read, f"# Lanes\n\n```python\n{code}```\n\n## Storm rules\n\nClose all.\n")
    assert [title for page in pages for title in outline(page)] == [(1, "Lanes"), (2, "Storm rules")]
    parts = [block for page in pages for block in page.blocks if block.kind is BlockKind.CODE]
    assert {part.lead for part in parts} == {"```python"}
    assert [part.continued for part in parts] == [False, *[True] * (len(parts) - 1)]
    assert (
        "\n".join(text for page in pages for text in of_kind(page, BlockKind.CODE)) == f"```python\n{code}```"
    )


def test_a_table_that_is_cut_has_its_header_rows_as_lead() -> None:
    head = "| part | place |\n| --- | --- |"
    pages = pages_of(read, head + "".join(f"\n| P-{number} | shelf {number} |" for number in range(1_000)))
    assert len(pages) > 1
    assert {block.lead for page in pages for block in page.blocks} == {head}
    assert all(page.markdown.endswith(" |") for page in pages)


def test_a_title_is_not_the_last_thing_on_a_page() -> None:
    pages = pages_of(
        read, "".join("word " * 299 + "end\n\n# Title\n\n" + "word " * 299 + "\n\n" for _ in range(9))
    )
    assert len(pages) > 2
    assert not any(page.blocks[-1].kind is BlockKind.HEADING for page in pages)


def test_a_form_feed_cuts_a_page_also_inside_a_fence() -> None:
    pages = pages_of(read, "one\ftwo\n\n```sh\na\fb\n```\n")
    assert [page.markdown for page in pages] == ["one", "two\n\n```sh\na", "b\n```"]
    assert pages[2].blocks[0].lead == "```sh"
    assert pages[2].blocks[0].continued


@given(st.lists(st.sampled_from(LINES), max_size=40))
def test_blocks_cover_any_page(lines: list[str]) -> None:
    pages_of(read, "\n".join(lines))


def test_slices_give_the_same_blocks_as_the_whole() -> None:
    content = "\n\n".join(
        f"# {n}\n\n```\n# in\n\n# code\n```\n\n- a\n\n  b\n\n| c |\n|---|\n| d |" for n in range(40)
    )
    whole = [stretches[0].start for stretches in commonmark.blocks(content)]
    assert [stretches[0].start for stretches in commonmark.blocks(content, slice_chars=50)] == whole


@pytest.mark.parametrize(
    "content",
    [
        ">" * 100_000, "[" * 100_000, "`" * 100_000, "- " * 50_000, "> - " * 25_000, "$$x\n\n" * 20_000,
        "<!-- a\n" * 40_000, "# " + "![](" * 25_000, "\n" * 500_000, " " * 500_000, "| a |\n|---|\n" * 20_000,
        "```\n" + "x\n" * 200_000, "# " + "*a_" * 30_000,
        "a <!-- b --> " * 20_000, "a <!-- " * 50_000, "`<!--``-->" * 30_000, "[a]: # (\n" * 30_000,
        "$$x\n\n" * 10_000 + "# a\n\n$$\n", "|" * 100_000 + "\n" + "|-" * 100_000,
    ],
    ids=lambda content: repr(content[:8]),
)  # fmt: skip
@pytest.mark.timeout(120)
def test_hostile_markdown_takes_linear_time(content: str) -> None:
    assert all(len(page.markdown) <= paging.MOST_PAGE_CHARS * 9 // 8 for page in pages_of(read, content))


def test_readmes_that_nobody_here_made_are_read_whole() -> None:
    """Markdown descriptions of installed packages."""
    metadata = [message_from_string(each.read_text("METADATA") or "") for each in distributions()]
    descriptions = [
        str(each.get_payload())
        for each in metadata
        if each.get("Description-Content-Type", "").startswith("text/markdown")
    ]
    assert len(descriptions) > 20
    found = [outline(page) for description in descriptions for page in pages_of(read, description)]
    assert sum(map(len, found)) > 200
