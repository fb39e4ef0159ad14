"""Chunks: bounded, inside a page, with true offsets, headings above them and what else they need."""

from __future__ import annotations

import itertools
import unicodedata
from statistics import mean

from hypothesis import given, settings
from hypothesis import strategies as st

from services.orchestrator.chunks.cutting import DEFAULT_SIZES, Block, ChunkSizes, Page, Passage, cut
from waybill import tokens

WORDS = st.sampled_from(
    ["alpha", "beta.", "Ω≈ç", "🦊🦊", "x" * 300, ". ", "\r\n", "水位は高い。", "e\u0301", "- item\n"]
)
TEXTS = st.lists(WORDS, min_size=1, max_size=300).map(" ".join).filter(str.strip)
KINDS = st.sampled_from(["heading", "text", "list", "table", "code", "omitted"])


def heading(level: int, title: str) -> tuple[Block, str]:
    return Block("heading", 0, 0, level, title), "#" * level + " " + title


def block(text: str, kind: str = "text", lead: str = "", *, continued: bool = False) -> tuple[Block, str]:
    return Block(kind, 0, 0, lead=lead, continued=continued), text


def page_of(*parts: tuple[Block, str], number: int = 1) -> Page:
    """A page that consists of these blocks, blank lines between them."""
    text, blocks = "", list[Block]()
    for shape, content in parts:
        start = len(text)
        text += content
        blocks.append(
            Block(shape.kind, start, len(text), shape.level, shape.title, shape.lead, shape.continued)
        )
        text += "\n\n"
    return Page(number, text, blocks)


def passages(*pages: Page, sizes: ChunkSizes = DEFAULT_SIZES) -> list[Passage]:
    return list(cut(pages, sizes))


def sentences(about: str, count: int) -> str:
    return " ".join(f"{about} is sentence number {n} of them." for n in range(count))


@settings(max_examples=60)
@given(
    st.lists(st.lists(st.tuples(KINDS, TEXTS), min_size=1, max_size=6), min_size=1, max_size=3),
    st.sampled_from([64, 128, 512]),
)
def test_no_chunk_is_over_the_limit_and_no_text_is_lost(
    drawn: list[list[tuple[str, str]]], max_tokens: int
) -> None:
    pages = [
        page_of(
            *(
                heading(2, text[:40]) if kind == "heading" else block(text, kind, "| lead |")
                for kind, text in parts
            ),
            number=number,
        )
        for number, parts in enumerate(drawn, 1)
    ]
    found = passages(*pages, sizes=ChunkSizes(max_tokens))
    for passage in found:
        assert 0 < passage.token_count <= max_tokens
        assert passage.token_count == tokens.count([passage.embedded_text])[0]
        assert pages[passage.page - 1].markdown[passage.start : passage.end] == passage.text
    for page in pages:
        kept = "".join(passage.text for passage in found if passage.page == page.number)
        for each in page.blocks:
            if each.kind not in ("heading", "omitted"):
                wanted = "".join(page.markdown[each.start : each.end].split())
                assert wanted in "".join(kept.split())


def test_chunks_of_a_page_follow_each_other_without_overlap() -> None:
    found = passages(page_of(*(block(f"Paragraph {n} " + "word " * 60) for n in range(40))))
    assert len(found) > 3
    assert all(left.end <= right.start for left, right in itertools.pairwise(found))


def test_with_an_overlap_a_chunk_begins_with_the_end_of_the_one_before() -> None:
    page = page_of(heading(1, "A"), block(sentences("It", 120)))
    found = passages(page, sizes=ChunkSizes(overlap_tokens=60))
    for left, right in itertools.pairwise(found):
        shared = page.markdown[right.start : left.end]
        assert 20 < tokens.count([shared])[0] <= 60
        assert shared.startswith("It is")
        assert left.text.endswith(shared)
    assert found[-1].end == len(page.markdown.rstrip())


def test_a_chunk_names_the_headings_above_it_once_also_across_pages() -> None:
    first = page_of(heading(1, "Pumps"), heading(2, "Seals"), block(sentences("A seal", 30)))
    found = passages(first, page_of(block("Text of the next page."), number=2))
    assert [passage.heading for passage in found] == ["Pumps › Seals", "Pumps › Seals"]
    assert found[0].text.startswith("A seal is"), (
        "the breadcrumb says the headings, and nothing says them again"
    )


def test_a_heading_begins_a_chunk_once_the_one_before_is_worth_having() -> None:
    found = passages(page_of(
        heading(1, "One"), block(sentences("Water", 30)), heading(1, "Two"), block(sentences("Fire", 30))
    ))  # fmt: skip
    assert [(passage.heading, passage.text.split()[0]) for passage in found] == [
        ("One", "Water"),
        ("Two", "Fire"),
    ]


def test_small_sections_share_a_chunk_that_stands_under_what_they_have_in_common() -> None:
    (found,) = passages(page_of(
        heading(1, "Doc"), heading(2, "A"), block("Short."), heading(2, "B"), block("Short, too.")
    ))  # fmt: skip
    assert (found.heading, found.text) == ("Doc", "## A\n\nShort.\n\n## B\n\nShort, too.")


def test_a_section_that_fits_is_whole_though_the_one_before_it_leaves_room_for_its_beginning() -> None:
    whole = sentences("The second", 40)
    found = passages(
        page_of(heading(1, "A"), block(sentences("The first", 12)), heading(1, "B"), block(whole))
    )
    assert found[1].text == whole


def test_a_page_number_above_a_heading_does_not_keep_the_heading_of_the_page_before() -> None:
    old = page_of(heading(1, "A"), heading(2, "Old"), block(sentences("Old text", 30)))
    new = page_of(block("2"), heading(1, "B"), heading(2, "New"), block(sentences("New text", 30)), number=2)
    assert [passage.heading for passage in passages(old, new)] == ["A › Old", "B › New"]


def test_headings_alone_at_a_pages_end_are_said_by_the_next_pages_breadcrumb_alone() -> None:
    found = passages(
        page_of(block(sentences("Text", 30)), block("7", "omitted"), heading(1, "Next")),
        page_of(block("What is next."), number=2),
    )
    assert [(passage.page, passage.heading) for passage in found] == [(1, ""), (2, "Next")]


def test_headings_with_nothing_below_them_are_a_chunk_of_their_own() -> None:
    found = passages(
        page_of(heading(1, "Title slide")), page_of(heading(1, "Other"), block("Text."), number=2)
    )
    assert [(passage.page, passage.text) for passage in found] == [(1, "# Title slide"), (2, "Text.")]
    assert [passage.text for passage in passages(page_of(heading(1, "The end")))] == ["# The end"]


def test_what_is_omitted_is_in_no_chunk() -> None:
    found = passages(
        page_of(block("Running header", "omitted"), block("Before."), block("--", "omitted"), block("After."))
    )
    assert [passage.text for passage in found] == ["Before.", "After."]


def test_each_part_of_a_long_table_has_its_header_row() -> None:
    header = "| Part | Place |\n| --- | --- |"
    rows = "\n".join(f"| P-{n} | shelf {n % 7} |" for n in range(200))
    found = passages(page_of(block(f"{header}\n{rows}", "table", header)))
    assert len(found) > 2
    assert [passage.lead for passage in found] == ["", *[header] * (len(found) - 1)]
    assert all(header in passage.embedded_text and passage.text.endswith("|") for passage in found)


def test_a_table_that_began_on_the_page_before_has_its_header_row_at_once() -> None:
    (found,) = passages(page_of(block("| P-9 | shelf 2 |", "table", "| Part | Place |", continued=True)))
    assert (found.lead, found.text) == ("| Part | Place |", "| P-9 | shelf 2 |")


def test_chinese_ends_a_chunk_where_a_sentence_ends() -> None:
    found = passages(
        page_of(block("".join(f"第{n}号水泵在春天检查一次，然后记录水位。" for n in range(120))))
    )
    assert len(found) > 3
    assert all(passage.text.endswith("。") and passage.text.startswith("第") for passage in found)


def test_a_long_section_is_cut_into_chunks_of_about_the_same_size() -> None:
    counts = [passage.token_count for passage in passages(page_of(block(sentences("It", 120))))]
    assert len(counts) > 1
    assert min(counts) > 0.8 * max(counts)


def test_chunks_of_long_prose_are_well_filled() -> None:
    pages = [
        page_of(*(block(sentences(f"Part {n}", 9)) for n in range(9)), number=number)
        for number in range(1, 5)
    ]
    assert mean(passage.token_count for passage in passages(*pages)) > 400


def test_an_edit_at_the_end_leaves_the_chunks_before_it_as_they_were() -> None:
    parts = [part for n in range(8) for part in (heading(1, f"Part {n}"), block(sentences(f"Part {n}", 30)))]
    before = {passage.sha256 for passage in passages(page_of(*parts))}
    after = {passage.sha256 for passage in passages(page_of(*parts, block("One new paragraph.")))}
    assert len(before - after) <= 1


def test_no_chunk_begins_with_a_vowel_sign_of_the_letter_before_it() -> None:
    found = passages(page_of(block("ปั๊มน้ำปิดเปิดทุกวัน" * 90)), sizes=ChunkSizes(64))
    assert len(found) > 5
    assert all(unicodedata.category(passage.text[0]) not in ("Mn", "Mc") for passage in found)
