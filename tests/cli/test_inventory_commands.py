"""`documents`, `chunks`, `collections`, `runs` and `delete` of many: what they print, and what they ask."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.cells import cell_len

from tests.cli.conftest import Waybill
from tests.cli.fakes import NASTY, Orchestrator, make_document, make_run
from tests.cli.test_commands import assert_inert, documented
from waybill.cli.durations import ago, spent
from waybill.cli.exits import Exit
from waybill.common.v1.backend_pb2 import BackendChoice, Mode
from waybill.orchestrator.v1.document_pb2 import Document
from waybill.orchestrator.v1.orchestrator_service_pb2 import DeleteDocumentsResponse
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.storage.v1.chunk_pb2 import Chunk

Unfinished = DeleteDocumentsResponse.Unfinished

READ_HERE = [
    BackendChoice(service="parser", backend="local", mode=Mode.MODE_HYBRID, reason="VENDOR_UNREACHABLE"),
    BackendChoice(service="embedder", backend="openai", mode=Mode.MODE_HYBRID, reason="MODE_HYBRID"),
]


def make_chunk(ordinal: int = 0, **fields: Any) -> Chunk:
    """A passage."""
    defaults: dict[str, Any] = {
        "ordinal": ordinal,
        "page": 3,
        "heading": "Top › Below",
        "text": "The keeper winds\nthe clockwork.",
        "token_count": 17,
    }
    return Chunk(**(defaults | fields))


@pytest.fixture
def index(orchestrator: Orchestrator) -> Orchestrator:
    """Five documents in two collections; one is degraded, one not published."""
    orchestrator.documents = [
        make_document(1, metadata={"lang": "en"}),
        make_document(2, state=Document.STATE_READY_DEGRADED, backends=READ_HERE, lacking=["PARSED_LOCALLY"]),
        make_document(3),
        make_document(4, collection="manuals", pages=1_200, size_bytes=512),
        make_document(5, collection="manuals", state=Document.STATE_UNPUBLISHED, version_id=""),
    ]
    orchestrator.documents[4].ClearField("publish_time")
    orchestrator.chunks = [make_chunk(0), make_chunk(1, heading="", text="word " * 90)]
    return orchestrator


@pytest.mark.parametrize(
    ("command", "key", "section"),
    [
        ("documents", "documents", "document"),
        ("collections", "collections", "collection"),
        ("chunks document-1.md", "chunks", "chunk"),
    ],
)
def test_listings_have_the_documented_keys(
    waybill: Waybill, index: Orchestrator, command: str, key: str, section: str
) -> None:
    result = waybill(*command.split(), "--json")
    (shape,) = [json.loads(line) for line in result.stdout.splitlines()]
    assert (result.exit_code, result.stderr, list(shape)) == (0, "", [key])
    assert shape[key]
    assert all(list(one) == documented(section) for one in shape[key])


def test_documents_are_a_table_for_each_collection(waybill: Waybill, index: Orchestrator) -> None:
    lines = [" ".join(line.split()) for line in waybill("documents").stdout.splitlines()]
    assert lines == [
        "collection default",
        "key pages chunks size made by published",
        "docum…-1.md 12 5 1.2 MB 5 min ago",
        "docum…-2.md 12 5 1.2 MB local, openai 5 min ago",
        "READY_DEGRADED: read on this machine (VENDOR_UNREACHABLE)",
        "docum…-3.md 12 5 1.2 MB 5 min ago",
        "collection manuals",
        "key pages chunks size published",
        "document-4.md 1,200 5 512 B 5 min ago",
        "document-5.md",
        "UNPUBLISHED: no run has published it yet",
    ]


def test_documents_go_over_pages_up_to_the_limit_and_say_that_there_are_more(
    waybill: Waybill, index: Orchestrator
) -> None:
    listed = json.loads(waybill("documents", "--json").stdout)["documents"]
    assert [one["document_key"] for one in listed] == [f"document-{n}.md" for n in range(1, 6)]
    some = waybill("documents", "--limit", "3")
    assert "-3.md" in some.stdout
    assert "-4.md" not in some.stdout
    assert "more than these 3" in some.stderr
    assert "more than" not in waybill("documents", "--limit", "5").stderr


def test_documents_are_filtered_by_collection_and_metadata(waybill: Waybill, index: Orchestrator) -> None:
    def keys(*arguments: str) -> list[str]:
        listed = json.loads(waybill("documents", *arguments, "--json").stdout)["documents"]
        return [one["document_key"] for one in listed]

    assert keys("--collection", "manuals") == ["document-4.md", "document-5.md"]
    assert keys("--where", "lang=en") == ["document-1.md"]
    nothing = waybill("documents", "--where", "lang=de", "--tenant", "acme")
    assert (nothing.exit_code, nothing.stdout) == (0, "")
    assert "waybill runs --tenant acme" in nothing.stderr


def test_collections_are_counted(waybill: Waybill, index: Orchestrator) -> None:
    lines = [line.split() for line in waybill("collections").stdout.splitlines()]
    assert lines == [["collection", "documents", "chunks"], ["default", "3", "15"], ["manuals", "2", "10"]]


def test_a_chunk_shows_its_place_its_heading_and_how_it_begins(waybill: Waybill, index: Orchestrator) -> None:
    lines = waybill("chunks", "document-1.md").stdout.splitlines()
    assert lines[0].split() == ["0", "page", "3", "17", "tokens"]
    assert [line.strip() for line in lines[1:3]] == ["Top › Below", "The keeper winds the clockwork."]
    assert lines[4].endswith("…")


def test_a_document_that_is_not_there_says_where_to_look(waybill: Waybill, index: Orchestrator) -> None:
    result = waybill("chunks", "nothing.md")
    assert (result.exit_code, result.stdout) == (Exit.NOT_FOUND, "")
    assert "waybill documents" in result.stderr


@pytest.mark.parametrize("command", ["documents", "chunks KEY", "collections", "runs"])
@pytest.mark.parametrize(
    "name", ["a-very-long-name-" * 12 + ".pdf", "漢字の名前" * 20, NASTY], ids=str.isascii
)
def test_any_name_is_inert_and_fits(
    waybill: Waybill, orchestrator: Orchestrator, command: str, name: str
) -> None:
    orchestrator.documents = [make_document(1, document_key=name, collection=name)]
    orchestrator.chunks = [make_chunk(heading=name, text=name * 3)]
    orchestrator.has(make_run(1, document_key=name, collection=name))
    result = waybill(*(name if word == "KEY" else word for word in command.split()))
    assert result.exit_code == 0
    assert_inert(result.stdout)
    assert max(map(cell_len, result.stdout.splitlines())) <= 60


# Runs


def test_runs_tell_when_they_came_and_how_long_they_took(
    waybill: Waybill, orchestrator: Orchestrator
) -> None:
    now = datetime.now(UTC)
    create, end = now - timedelta(minutes=3), now - timedelta(minutes=3) + timedelta(seconds=1.2)
    orchestrator.has(
        make_run(1, create_time=create, end_time=end),
        make_run(2, create_time=create, state=Run.STATE_RUNNING, collection="manuals"),
    )
    running, where, ready, _ = waybill("runs", COLUMNS="80").stdout.splitlines()
    assert (running.split("  ")[1], ready.split("  ")[1]) == ("3 min ago", "3 min ago, took 1.2 s")
    assert where.startswith("  manuals: document-2.md")


def test_runs_that_changed_nothing_are_hidden_unless_asked_for(
    waybill: Waybill, orchestrator: Orchestrator
) -> None:
    orchestrator.has(make_run(1), make_run(2, state=Run.STATE_UNCHANGED), make_run(3, state=Run.STATE_FAILED))

    def keys(*arguments: str) -> list[str]:
        listed = json.loads(waybill("runs", *arguments, "--json").stdout)["runs"]
        return [run["document_key"] for run in listed]

    assert keys() == ["document-3.md", "document-1.md"]
    assert keys("--all") == ["document-3.md", "document-2.md", "document-1.md"]
    assert keys("--state", "failed") == ["document-3.md"]
    assert keys("--state", "UNCHANGED", "--state", "READY") == ["document-2.md", "document-1.md"]
    assert "--all" in waybill("runs", "--state", "CANCELLED").stderr


def test_runs_are_asked_for_by_document_and_time(waybill: Waybill, orchestrator: Orchestrator) -> None:
    before = datetime.now(UTC)
    assert waybill("runs", "--document", "a.md", "--collection", "manuals", "--since", "2h").exit_code == 0
    (asked,) = orchestrator.requests
    assert (asked.document_key, asked.collection) == ("a.md", "manuals")
    since = asked.accepted_from.ToDatetime(UTC) + timedelta(hours=2)
    assert before - timedelta(seconds=1) < since <= datetime.now(UTC)


@pytest.mark.parametrize("arguments", [["--state", "DONE"], ["--since", "soon"]])
def test_a_filter_of_runs_that_cannot_be_is_a_usage_error(waybill: Waybill, arguments: list[str]) -> None:
    result = waybill("runs", *arguments)
    assert (result.exit_code, result.stdout) == (Exit.USAGE, "")
    assert "READY_DEGRADED" in result.stderr or "soon" in result.stderr


def test_ages_and_lengths_read_as_people_say_them() -> None:
    ages = [timedelta(seconds=-1), timedelta(seconds=59), timedelta(minutes=90), timedelta(days=3)]
    assert [ago(age) for age in ages] == ["0 s ago", "59 s ago", "1 h ago", "3 d ago"]
    assert [spent(nano) for nano in (0, 1_200_000, 400_000_000, 90_000_000_000, 10**12)] == [
        "…",
        "1.2 ms",
        "400 ms",
        "90.0 s",
        "17 min",
    ]


# Deleting many


def keys_of(orchestrator: Orchestrator) -> list[str]:
    return [one.document_key for one in orchestrator.documents]


def test_a_collection_is_deleted_over_pages_and_counted(waybill: Waybill, index: Orchestrator) -> None:
    result = waybill("delete", "--collection", "default", "--yes")
    assert result.exit_code == 0
    assert result.stdout.startswith("deleted 3 documents, 3 versions, 15 chunks")
    assert keys_of(index) == ["document-4.md", "document-5.md"]


def test_deleting_many_has_the_documented_keys(waybill: Waybill, index: Orchestrator) -> None:
    index.unfinished = [Unfinished(document_key="late.md", run_id=make_run().run_id)]
    result = waybill("delete", "--where", "lang=en", "--yes", "--json")
    shape = json.loads(result.stdout)
    assert list(shape) == [
        *documented("delete many")[:1],
        *documented("delete"),
        *documented("delete many")[1:],
    ]
    assert (shape["documents"], shape["chunks"]) == (1, 5)
    assert shape["unfinished"] == [{"document_key": "late.md", "run_id": make_run().run_id}]
    assert result.exit_code == Exit.REFUSED


def test_what_has_a_run_under_way_stays_and_is_said(waybill: Waybill, index: Orchestrator) -> None:
    index.unfinished = [Unfinished(document_key="late.md", run_id=make_run().run_id)] * 2
    result = waybill("delete", "--collection", "manuals", "--yes")
    assert result.exit_code == Exit.REFUSED
    assert result.stderr.count("late.md") == 1
    assert f"waybill cancel {make_run().run_id}" in result.stderr


@pytest.mark.parametrize("answer", ["n\n", "\n", ""])
def test_many_are_only_deleted_when_the_answer_is_yes(
    waybill: Waybill, index: Orchestrator, answer: str
) -> None:
    result = waybill("delete", "--collection", "default", input=answer)
    assert (result.exit_code, result.stdout) == (Exit.REFUSED, "")
    assert re.search(r"Delete 3 documents \(document-1\.md, .*\) of collection default\?", result.stderr)
    assert "--yes" in result.stderr
    assert len(keys_of(index)) == 5
    assert waybill("delete", "--collection", "default", input="y\n").exit_code == 0
    assert len(keys_of(index)) == 2


def test_deleting_says_which_or_nothing_happens(waybill: Waybill, index: Orchestrator) -> None:
    for arguments in ([], ["a.md", "--where", "lang=en"], ["--yes"]):
        assert waybill("delete", *arguments).exit_code == Exit.USAGE
    nothing = waybill("delete", "--where", "lang=de")
    assert (nothing.exit_code, nothing.stdout.split(",")[0]) == (0, "deleted 0 documents")
    assert not index.requests
    assert len(keys_of(index)) == 5
