"""Chunks: bounded, inside a page, with true offsets and the headings above them."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from services.orchestrator.chunks.cutting import MAX_TOKENS, Page, Passage, cut

WORDS = st.sampled_from(
    [
        "alpha",
        "beta",
        "# Head",
        "## Sub",
        "\n",
        "\n\n",
        "```",
        "| a | b |",
        "- item",
        "Ω≈ç",
        "🦊🦊",
        "x" * 300,
        ". ",
        "\r\n",
    ]
)
MARKDOWN = st.lists(WORDS, max_size=400).map(" ".join)


def passages(*texts: str, max_tokens: int = MAX_TOKENS) -> list[Passage]:
    return list(cut([Page(number, text) for number, text in enumerate(texts, 1)], max_tokens))


@settings(max_examples=60, deadline=None)
@given(st.lists(MARKDOWN, max_size=3), st.sampled_from([64, 128, 512]))
def test_no_chunk_is_over_the_limit_and_no_text_is_lost(texts: list[str], max_tokens: int) -> None:
    found = passages(*texts, max_tokens=max_tokens)
    for passage in found:
        assert 0 < passage.token_count <= max_tokens
        assert texts[passage.page - 1][passage.start : passage.end] == passage.text
    for number, text in enumerate(texts, 1):
        kept = "".join(p.text for p in found if p.page == number)
        assert "".join(kept.split()) == "".join(text.split())


def test_chunks_of_a_page_follow_each_other_without_overlap() -> None:
    found = passages("\n\n".join(f"Paragraph {n} " + "word " * 60 for n in range(40)))
    assert len(found) > 3
    assert all(left.end <= right.start for left, right in itertools.pairwise(found))


def test_a_chunk_names_the_headings_above_it_also_across_pages() -> None:
    found = passages("# Pumps\n\nIntro.\n\n## Seals\n\n" + "Seal text. " * 80, "Text of the next page.")
    assert found[0].heading == "Pumps"
    assert found[-1].heading == "Pumps › Seals"
    assert found[-1].page == 2


def test_a_heading_begins_a_chunk_once_the_one_before_is_worth_having() -> None:
    found = passages("# One\n\n" + "Water flows down. " * 60 + "\n\n# Two\n\n" + "Fire goes up. " * 60)
    assert [passage.heading for passage in found] == ["One", "Two"]
    assert found[1].text.startswith("# Two")


def test_a_page_number_above_a_heading_does_not_keep_the_heading_of_the_page_before() -> None:
    found = passages("# A\n\n## Old\n\n" + "Old text. " * 30, "2\n\n# B\n\n## New\n\n" + "New text. " * 30)
    assert [passage.heading for passage in found] == ["A › Old", "B › New"]


def test_small_sections_share_a_chunk() -> None:
    assert len(passages("# A\n\nshort\n\n# B\n\nshort too")) == 1


def test_a_hash_inside_a_code_fence_is_no_heading() -> None:
    found = passages("# Real\n\n```sh\n# not a heading\nls\n```\n")
    assert [passage.heading for passage in found] == ["Real"]


def test_a_heading_is_not_left_alone_when_its_text_is_too_long() -> None:
    found = passages("# Title\n\n" + "One more sentence about it. " * 400)
    assert found[0].text.startswith("# Title\n\nOne more")


def test_an_edit_at_the_end_leaves_the_chunks_before_it_as_they_were() -> None:
    body = "\n\n".join(f"# Part {n}\n\n" + f"Sentence {n} of the part. " * 50 for n in range(8))
    before = {passage.sha256 for passage in passages(body)}
    after = {passage.sha256 for passage in passages(body + "\n\nOne new paragraph.")}
    assert len(before - after) <= 1
