"""`waybill search`: what it asks, and how it shows a hit."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Waybill
from tests.cli.fakes import Orchestrator, make_hit
from waybill.common.v1.backend_pb2 import BackendChoice, Mode
from waybill.storage.v1.chunk_pb2 import Excerpt, Place, ScoreParts, WordShare


def test_every_filter_is_asked_for(waybill: Waybill, orchestrator: Orchestrator) -> None:
    options = "--collection c --document a.md --document b.md --where year=2024 --where k=a=b --pages 3-7"
    assert waybill("search", "question", *options.split(), "--limit", "5").exit_code == 0
    (asked,) = orchestrator.requests
    assert (asked.query, asked.limit, asked.collection) == ("question", 5, "c")
    assert list(asked.document_keys) == ["a.md", "b.md"]
    assert dict(asked.metadata) == {"year": "2024", "k": "a=b"}
    assert (asked.first_page, asked.last_page) == (3, 7)


@pytest.mark.parametrize(("pages", "expected"), [("3", (3, 3)), ("3-", (3, 0)), ("-7", (0, 7))])
def test_pages_may_be_open_at_either_end(
    waybill: Waybill, orchestrator: Orchestrator, pages: str, expected: tuple[int, int]
) -> None:
    assert waybill("search", "question", f"--pages={pages}").exit_code == 0
    assert (orchestrator.requests[0].first_page, orchestrator.requests[0].last_page) == expected


@pytest.mark.parametrize("option", ["--pages=x", "--pages=-", "--where=year", "--where==2024"])
def test_a_filter_that_cannot_be_read_is_refused_before_anything_is_asked(
    waybill: Waybill, orchestrator: Orchestrator, option: str
) -> None:
    assert waybill("search", "question", option).exit_code == 2
    assert not orchestrator.requests


def test_a_hit_shows_its_excerpt_other_documents_and_what_its_score_is_made_of(
    waybill: Waybill, orchestrator: Orchestrator
) -> None:
    hit = make_hit("Before. The pilot boards. After.", score=0.75)
    hit.excerpt.CopyFrom(
        Excerpt(text="The pilot boards.", start_char=8, marks=[Excerpt.Mark(start=4, end=9)])
    )
    hit.also.append(Place(document_key="copy.md", page=9))
    matched = [WordShare(word="tide", share=0.1), WordShare(word="pilot", share=0.4)]
    hit.parts.CopyFrom(
        ScoreParts(words=0.5, excerpt=1.0, verbatim=True, cosine=0.25, weight=0.8, matched=matched)
    )
    orchestrator.hits = [hit]
    shown = waybill("search", "question", "--explain").stdout
    assert "…The pilot boards.…" in shown
    assert "also copy.md" in shown
    assert "0.75" in shown
    assert "pilot 0.400, tide 0.100" in " ".join(shown.split())
    assert "word for word" in " ".join(shown.split())
    assert "words 0.500" not in waybill("search", "question").stdout
    bold = waybill("search", "question", FORCE_COLOR="1", TERM="xterm-256color", NO_COLOR="").stdout
    assert "\x1b[1mpilot" in bold


def test_json_has_marks_places_and_parts(waybill: Waybill, orchestrator: Orchestrator) -> None:
    hit = make_hit()
    hit.excerpt.CopyFrom(Excerpt(text="A passage.", marks=[Excerpt.Mark(start=2, end=9)]))
    orchestrator.hits = [hit]
    (shown,) = json.loads(waybill("search", "question", "--json").stdout)["hits"]
    assert shown["excerpt"] == {"text": "A passage.", "start_char": 0, "marks": [[2, 9]]}
    assert (shown["also"], shown["parts"]["matched"]) == ([], {})


def test_what_a_document_lacks_is_said_with_its_reason_and_what_mends_it(
    waybill: Waybill, orchestrator: Orchestrator
) -> None:
    here = BackendChoice(
        service="parser", backend="local", mode=Mode.MODE_HYBRID, reason="VENDOR_UNREACHABLE"
    )
    none = BackendChoice(service="embedder", mode=Mode.MODE_HYBRID, reason="VENDOR_KEY_REFUSED")
    whole = BackendChoice(service="parser", backend="llamaparse", mode=Mode.MODE_HYBRID, reason="MODE_HYBRID")
    lacking = ["PARSED_LOCALLY", "VECTORS_PENDING"]
    orchestrator.hits = [make_hit(backends=[here, none], lacking=lacking), make_hit(backends=[whole])]
    result = waybill("search", "question")
    lines = [line.strip() for line in result.stdout.splitlines()]
    assert lines.count("read on this machine (VENDOR_UNREACHABLE)") == 1
    assert lines.count("vectors pending (VENDOR_KEY_REFUSED)") == 1
    assert "llamaparse" not in result.stdout, "what is as it should be is not said"
    told = " ".join(result.stderr.split())
    assert "1 of 2 hits" in told
    assert "heal --all" in told
    first, second = json.loads(waybill("search", "question", "--json").stdout)["hits"]
    assert first["lacking"] == lacking
    assert first["backends"][1] == {
        "service": "embedder", "backend": None, "mode": "hybrid", "reason": "VENDOR_KEY_REFUSED",
    }  # fmt: skip
    assert (second["lacking"], second["backends"][0]["backend"]) == ([], "llamaparse")


def test_nothing_is_said_of_heals_where_nothing_is_lacking(
    waybill: Waybill, orchestrator: Orchestrator
) -> None:
    orchestrator.hits = [make_hit()]
    assert "heal" not in waybill("search", "question").stderr


def test_chunks_without_a_vector_are_told_with_both_ways_to_give_them_one(
    waybill: Waybill, orchestrator: Orchestrator
) -> None:
    orchestrator.hits = [make_hit()]
    orchestrator.coverage.vectors = 2
    told = " ".join(waybill("search", "question").stderr.split())
    assert "3 of 5 chunks are found by words alone" in told
    assert "heal --all" in told
    assert "another embedding model a new ingest" in told
