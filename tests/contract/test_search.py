"""Questions to the index: filters, phrases, excerpts, what a score is made of, and when nothing fits."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping

import grpc
import pytest

from tests.conftest import MigratedPostgres
from tests.contract.makers_storage import SPACE, Index, chunk, found, refused, unit_vector
from tests.contract.test_document_index import INVALID, index_at
from waybill.common.v1.space_pb2 import Space
from waybill.storage.v1.document_index_service_pb2 import SearchResponse

OPENAI = Space(model="text-embedding-3-small", dimension=1536)
FILLER = [f"The lighthouse keeper of island number {n} writes a letter about weather." for n in range(30)]


@pytest.fixture
async def index(database: MigratedPostgres) -> AsyncIterator[Index]:
    """A new tenant's index."""
    async with index_at(database) as made:
        yield made


async def add_pages(
    index: Index, key: str, *texts: str, space: Space = SPACE, metadata: Mapping[str, str] | None = None
) -> str:
    """A published document with one chunk a page; chunk n has the vector of seed n."""
    version_id = (await index.begin(key, repr(texts), space=space, metadata=metadata or {})).version_id
    await index.put_chunks(version_id, *(chunk(n, text, page=n + 1) for n, text in enumerate(texts)))
    vectors = {n: unit_vector(n, space.dimension) for n in range(len(texts))}
    await index.put_vectors(version_id, vectors, space)
    await index.publish(version_id, len(texts))
    return version_id


def keys(answer: SearchResponse) -> list[str]:
    """Documents of the hits, best first."""
    return [hit.document_key for hit in answer.hits]


# Filters


async def test_a_search_keeps_to_documents_that_say_what_was_asked_for(index: Index) -> None:
    await add_pages(index, "a.md", "harbour rules of 2024", metadata={"year": "2024", "kind": "rule"})
    await add_pages(index, "b.md", "harbour rules of 2025", metadata={"year": "2025", "kind": "rule"})
    assert keys(await index.search("harbour", metadata={"year": "2025"})) == ["b.md"]
    assert len(keys(await index.search("harbour", metadata={"kind": "rule"}))) == 2
    only = await index.search("harbour", unit_vector(0), metadata={"kind": "rule", "year": "2026"})
    assert (keys(only), only.coverage.chunks) == ([], 0)
    assert "filter" in only.hint


async def test_new_metadata_of_unchanged_content_counts_at_once_and_that_of_a_new_version_when_published(
    index: Index,
) -> None:
    await add_pages(index, "a.md", "harbour", metadata={"state": "draft"})
    await index.begin("a.md", repr(("harbour",)), metadata={"state": "final"}, validate_only=True)
    assert keys(await index.search("harbour", metadata={"state": "draft"})) == ["a.md"]
    await index.begin("a.md", repr(("harbour",)), metadata={"state": "final"})
    assert keys(await index.search("harbour", metadata={"state": "final"})) == ["a.md"]
    begun = await index.begin("a.md", "other content", metadata={"state": "withdrawn"})
    assert keys(await index.search("harbour", metadata={"state": "final"})) == ["a.md"]
    await index.put_chunks(begun.version_id, chunk(0, "harbour again"))
    await index.put_vectors(begun.version_id, {0: unit_vector(0)})
    await index.publish(begun.version_id, 1)
    assert keys(await index.search("harbour", metadata={"state": "withdrawn"})) == ["a.md"]


async def test_a_search_keeps_to_its_pages_by_words_and_by_vector(index: Index) -> None:
    await add_pages(index, "a.md", *(f"harbour on page {n}" for n in range(1, 8)))
    for query, vector in (("harbour", b""), ("", unit_vector(0))):
        pages = (await index.search(query, vector, first_page=3, last_page=5)).hits
        assert sorted(hit.chunk.page for hit in pages) == [3, 4, 5]
        assert len((await index.search(query, vector, last_page=2)).hits) == 2
        assert len((await index.search(query, vector, first_page=6)).hits) == 2


@pytest.mark.parametrize("changed", [{"first_page": -1}, {"last_page": -1}, {"metadata": {"a": "\0"}}])
async def test_a_filter_that_makes_no_sense_is_refused(index: Index, changed: dict[str, object]) -> None:
    async with refused("INVALID_REQUEST", INVALID):
        await index.search("harbour", **changed)  # type: ignore[arg-type]


# Words


async def test_a_rare_word_weighs_more_than_common_ones(index: Index) -> None:
    await add_pages(index, "common.md", *FILLER)
    await add_pages(index, "rare.md", "A letter mentions code E-1042 once, in the weather of an island.")
    answer = await index.search("letter of the island keeper about E-1042")
    assert keys(answer)[0] == "rare.md"
    assert answer.hits[0].parts.matched[0].word


async def test_a_quoted_phrase_must_be_there_word_for_word(index: Index) -> None:
    await add_pages(index, "a.md", "the pilot boards the ship", "boards of the pilot", "The Pilot\nboards!")
    for asked in ({}, {"vector": unit_vector(1)}):
        answer = await index.search('who said "pilot boards"?', **asked)
        assert sorted(found(answer)) == ["The Pilot\nboards!", "the pilot boards the ship"]
    nothing = await index.search('"boards pilot"')
    assert (found(nothing), "quoted" in nothing.hint) == ([], True)


async def test_the_heading_and_what_a_passage_needs_before_it_are_searched(index: Index) -> None:
    version_id = (await index.begin()).version_id
    row = chunk(0, "| Northport | 7 m |", "Depths")
    row.lead = "| harbour | draught |"
    row.sha256 = _hash_of(row.heading, row.lead, row.text)
    await index.put_chunks(version_id, row)
    await index.put_vectors(version_id, {0: unit_vector(0)})
    await index.publish(version_id, 1)
    for question in ("draught", "depths", "Northport"):
        assert len((await index.search(question)).hits) == 1


def _hash_of(heading: str, lead: str, text: str) -> str:
    return hashlib.sha256(f"{heading}\n\n{lead}\n{text}".encode()).hexdigest()


# Answers


async def test_the_excerpt_is_the_best_window_with_the_words_marked(index: Index) -> None:
    answer_in_it = "The Pilots board at the eastern buoy."
    await add_pages(index, "a.md", "Nothing of interest here. " * 40 + answer_in_it + " More follows." * 40)
    (hit,) = (await index.search("where do pilots board")).hits
    text = hit.excerpt.text
    assert answer_in_it in text
    assert len(text) <= 320
    assert hit.chunk.text[hit.excerpt.start_char :].startswith(text)
    assert {text[mark.start : mark.end] for mark in hit.excerpt.marks} == {"Pilots", "board"}


async def test_a_score_is_the_sum_that_its_parts_say(index: Index) -> None:
    await add_pages(index, "a.md", "The harbour master.", "Tides turn.", space=OPENAI)
    answer = await index.search("harbour", unit_vector(1, 1536), space=OPENAI)
    assert len(answer.hits) == 2
    for hit in answer.hits:
        parts = hit.parts
        sum_of_parts = parts.words + parts.excerpt / 2 + parts.weight * max(0.0, parts.cosine)
        assert hit.score == pytest.approx(sum_of_parts / (1.5 + parts.weight))
        assert sum(one.share for one in parts.matched) == pytest.approx(parts.words)
        assert 0 <= hit.score <= 1
    assert answer.hits[0].parts.weight == 0.8


async def test_a_passage_with_the_question_word_for_word_is_above_one_that_repeats_its_words(
    index: Index,
) -> None:
    await add_pages(index, "a.md", "reset git soft", "Undo it so: `git reset --soft HEAD^`, then edit.")
    (first, second) = (await index.search("git reset --soft")).hits
    assert first.chunk.text.startswith("Undo")
    assert (first.parts.verbatim, second.parts.verbatim) == (True, False)


async def test_word_vectors_speak_only_where_words_fail(index: Index) -> None:
    await add_pages(index, "a.md", "The harbour master.", "Tides turn.")
    by_words = await index.search("harbour", unit_vector(1))
    assert (found(by_words)[0], by_words.hits[0].parts.weight) == ("The harbour master.", 0)
    by_vector = await index.search("anchorage", unit_vector(1))
    assert found(by_vector) == ["Tides turn."]
    assert by_vector.hits[0].score == pytest.approx(1, abs=0.01)


async def test_a_question_that_nothing_fits_has_no_hit_and_a_hint(index: Index) -> None:
    await add_pages(index, "a.md", *FILLER)
    far = unit_vector(99)
    for question in ("How do I bake sourdough bread with a letter?", "photosynthesis"):
        answer = await index.search(question, far)
        assert (found(answer), bool(answer.hint)) == ([], True)
    assert not (await index.search("weather letter of a lighthouse keeper", far)).hint


async def test_a_word_that_stands_there_only_in_another_form_answers_beside_one_that_nothing_has(
    index: Index,
) -> None:
    await add_pages(index, "a.md", *FILLER, "He shivers in the cold.")
    answer = await index.search("shivering casualty")
    assert found(answer) == ["He shivers in the cold."]


async def test_a_search_sees_one_state_while_a_document_is_replaced(index: Index) -> None:
    """An answer has the old content or the new, never neither."""
    await index.add("a.md", "harbour 0")

    async def replace() -> None:
        for n in range(1, 8):
            await index.add("a.md", f"harbour {n}")

    replacing = asyncio.create_task(replace())
    while not replacing.done():
        assert len(found(await index.search("harbour"))) == 1
    await replacing


# What the first candidates may hide


async def test_many_copies_of_a_passage_do_not_hide_the_others(index: Index) -> None:
    copies = 130
    for start in range(0, copies, 26):
        await asyncio.gather(
            *(
                add_pages(index, f"copy-{n}.md", "a zircon flange of the pump")
                for n in range(start, start + 26)
            )
        )
    await add_pages(index, "other.md", "somewhere in the cellar a zircon flange lies beside the old lamp")
    found = await index.search("zircon flange")
    assert len(found.hits) == 2
    assert "other.md" in keys(found)


async def test_a_space_that_nobody_wrote_to_has_no_vectors_and_words_speak_alone(index: Index) -> None:
    await add_pages(index, "a.md", "harbour rules")
    space = Space(model="never-written-to", dimension=7)
    found = await index.search("harbour", unit_vector(1, 7), space=space)
    assert (keys(found), found.coverage.vectors) == (["a.md"], 0)
    async with refused("SPACE_UNKNOWN", grpc.StatusCode.FAILED_PRECONDITION):
        await index.search(vector=unit_vector(1, 7), space=space)


async def test_the_whole_question_word_for_word_comes_first_though_many_fit_its_words_better(
    index: Index,
) -> None:
    filler = "and many other things that lie in the cellar of the harbour office "
    apart = [f"an amber lamp {filler}a lathe {filler}a chuck {n}" for n in range(1, 31)]
    whole = f"amber lathe chuck {filler * 12}"
    await add_pages(index, "a.md", *apart, whole)
    for limit in (1, 10, 100):
        (first, *_) = (await index.search("amber lathe chuck", limit=limit)).hits
        assert (first.chunk.page, first.parts.verbatim) == (31, True)
