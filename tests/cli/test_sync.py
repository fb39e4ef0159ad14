"""`ingest --sync` and files of the same content: what is asked, deleted, kept and said."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Waybill
from tests.cli.fakes import RUN_ID, Orchestrator, make_document
from tests.cli.test_commands import documented
from waybill.cli.exits import Exit
from waybill.orchestrator.v1.document_pb2 import Document
from waybill.orchestrator.v1.orchestrator_service_pb2 import DeleteDocumentRequest
from waybill.runtime.errors import Precondition


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one file."""
    made = tmp_path / "docs"
    (made / "sub").mkdir(parents=True)
    (made / "sub" / "kept.md").write_text("kept")
    return made


def from_folder(folder: Path, key: str, **fields: Any) -> Document:
    """A document of the index that came from a folder."""
    return make_document(1, **({"document_key": key, "origin": str(folder.resolve())} | fields))


def deleted(orchestrator: Orchestrator) -> list[str]:
    """Keys that were asked to be deleted, in order."""
    return [one.document_key for one in orchestrator.requests if isinstance(one, DeleteDocumentRequest)]


def test_each_file_tells_its_folder_and_a_named_one_tells_none(
    waybill: Waybill, orchestrator: Orchestrator, folder: Path
) -> None:
    assert waybill("ingest", str(folder), str(folder / "sub" / "kept.md")).exit_code == 0
    origins = {header.document_key: header.origin for header in orchestrator.headers}
    assert origins == {"sub/kept.md": str(folder.resolve()), "kept.md": ""}


def test_a_folder_whose_name_is_no_text_has_one_all_the_same(
    waybill: Waybill, orchestrator: Orchestrator, tmp_path: Path
) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9")
    odd.mkdir()
    (odd / "a.md").write_text("x")
    assert waybill("ingest", str(odd)).exit_code == 0
    assert orchestrator.headers[0].origin == f"{tmp_path.resolve()}/caf\\xe9"


def test_only_what_came_from_the_folder_and_left_it_is_deleted(
    waybill: Waybill, orchestrator: Orchestrator, folder: Path
) -> None:
    orchestrator.documents = [
        from_folder(folder, "sub/kept.md"),
        from_folder(folder, "sub/gone.md"),
        from_folder(folder, "other.md", collection="manuals"),
        from_folder(folder.parent, "gone.md"),
        make_document(2, document_key="named.md"),
    ]
    result = waybill("ingest", str(folder), "--sync", "--yes")
    assert (result.exit_code, deleted(orchestrator)) == (0, ["sub/gone.md"])
    assert result.stdout.splitlines()[-1] == "REMOVED sub/gone.md"


def test_a_document_whose_file_is_there_though_it_was_not_sent_stays(
    waybill: Waybill, orchestrator: Orchestrator, folder: Path
) -> None:
    (folder / ".hidden.md").write_text("hidden")
    orchestrator.documents = [from_folder(folder, ".hidden.md")]
    assert waybill("ingest", str(folder), "--sync", "--yes").exit_code == 0
    assert not deleted(orchestrator)


def test_a_file_whose_name_is_no_text_keeps_nothing_else_from_being_deleted(
    waybill: Waybill, orchestrator: Orchestrator, folder: Path
) -> None:
    (folder / os.fsdecode(b"caf\xe9.md")).write_text("x")
    orchestrator.documents = [from_folder(folder, "gone.md")]
    assert waybill("ingest", str(folder), "--sync", "--yes").exit_code == Exit.DOCUMENT_FAILED
    assert deleted(orchestrator) == ["gone.md"]


def test_without_sync_nothing_is_deleted(waybill: Waybill, orchestrator: Orchestrator, folder: Path) -> None:
    orchestrator.documents = [from_folder(folder, "gone.md")]
    assert waybill("ingest", str(folder)).exit_code == 0
    assert not deleted(orchestrator)


@pytest.mark.parametrize(("answer", "goes"), [("y\n", True), ("n\n", False), ("", False)])
def test_the_answer_decides(
    waybill: Waybill, orchestrator: Orchestrator, folder: Path, answer: str, goes: bool
) -> None:
    orchestrator.documents = [from_folder(folder, "gone.md")]
    result = waybill("ingest", str(folder), "--sync", input=answer)
    assert "Delete 1 document whose file left the folder (gone.md)?" in result.stderr
    assert deleted(orchestrator) == (["gone.md"] if goes else [])
    assert result.exit_code == (Exit.OK if goes else Exit.REFUSED)


def test_nothing_is_asked_where_nothing_left(
    waybill: Waybill, orchestrator: Orchestrator, folder: Path
) -> None:
    orchestrator.documents = [from_folder(folder, "sub/kept.md")]
    result = waybill("ingest", str(folder), "--sync")
    assert result.exit_code == 0
    assert "Delete" not in result.stderr


def test_a_folder_that_is_not_there_deletes_nothing(
    waybill: Waybill, orchestrator: Orchestrator, folder: Path
) -> None:
    orchestrator.documents = [from_folder(folder, "gone.md")]
    for path in (folder / "missing", folder / "sub" / "kept.md"):
        result = waybill("ingest", str(path), "--sync", "--yes")
        assert result.exit_code == Exit.USAGE
    assert not orchestrator.headers
    assert not deleted(orchestrator)


def test_a_folder_without_any_document_deletes_nothing(
    waybill: Waybill, orchestrator: Orchestrator, tmp_path: Path
) -> None:
    orchestrator.documents = [from_folder(tmp_path, "gone.md")]
    result = waybill("ingest", str(tmp_path), "--sync", "--yes")
    assert result.exit_code == Exit.USAGE
    assert "NOTHING_TO_INGEST" in result.stderr
    assert not deleted(orchestrator)


def test_a_folder_with_an_unreadable_part_deletes_nothing_and_says_so(
    waybill: Waybill, orchestrator: Orchestrator, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orchestrator.documents = [from_folder(folder, "secret/one.md"), from_folder(folder, "gone.md")]
    (folder / "secret").mkdir()
    scandir = os.scandir

    def refusing(path: Any) -> Any:
        if Path(path).name == "secret":  # root may read whatever its mode is
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    result = waybill("ingest", str(folder), "--sync", "--yes")
    assert result.exit_code == Exit.DOCUMENT_FAILED
    assert "Nothing was removed" in result.stderr
    assert not deleted(orchestrator)


def test_a_document_with_a_run_under_way_stays_and_the_others_go(
    waybill: Waybill, orchestrator: Orchestrator, folder: Path
) -> None:
    run_id = RUN_ID.format(9)
    orchestrator.documents = [from_folder(folder, "busy.md"), from_folder(folder, "gone.md")]
    orchestrator.refusals["busy.md"] = Precondition("RUN_UNFINISHED", "Under way.", {"run_id": run_id})
    result = waybill("ingest", str(folder), "--sync", "--yes", "--json")
    assert result.exit_code == Exit.REFUSED
    said = [json.loads(line) for line in result.stdout.splitlines()][1:]
    assert all(list(one) == documented("ingest --sync") for one in said)
    assert [(one["document_key"], one["state"], one["run_id"]) for one in said] == [
        ("busy.md", "KEPT", run_id),
        ("gone.md", "REMOVED", None),
    ]


def test_a_document_that_another_thing_keeps_stays_with_its_reason(
    waybill: Waybill, orchestrator: Orchestrator, folder: Path
) -> None:
    orchestrator.documents = [from_folder(folder, "parsing.md")]
    orchestrator.refusals["parsing.md"] = Precondition("JOB_UNFINISHED", "A parse of it is under way.")
    result = waybill("ingest", str(folder), "--sync", "--yes")
    assert result.exit_code == Exit.REFUSED
    assert result.stdout.splitlines()[-1] == "KEPT parsing.md"
    assert "  A parse of it is under way." in result.stderr
    assert "cancel" not in result.stderr


def test_a_renamed_file_is_told_with_the_document_that_it_was(
    waybill: Waybill, orchestrator: Orchestrator, folder: Path
) -> None:
    content = hashlib.sha256(b"kept").hexdigest()
    orchestrator.documents = [from_folder(folder, "old.md", source_sha256=content)]
    result = waybill("ingest", str(folder), "--sync", "--yes")
    assert "1/1 READY sub/kept.md: same content as old.md" in result.stderr
    assert "sub/kept.md: same content as old.md" in result.stdout.splitlines()
    assert result.stdout.splitlines()[-1] == "REMOVED old.md: its content is now sub/kept.md"


def test_the_same_content_is_a_key_of_the_json(
    waybill: Waybill, orchestrator: Orchestrator, folder: Path
) -> None:
    content = hashlib.sha256(b"kept").hexdigest()
    orchestrator.runs_begin_as["collection"] = "default"
    orchestrator.documents = [
        make_document(1, document_key="sub/kept.md", source_sha256=content),
        make_document(2, document_key="twin.md", source_sha256=content),
        make_document(3, document_key="elsewhere.md", source_sha256=content, collection="manuals"),
    ]
    (shape,) = [json.loads(line) for line in waybill("ingest", str(folder), "--json").stdout.splitlines()]
    assert shape["same_content_as"] == "twin.md"
    orchestrator.documents.pop(1)
    (shape,) = [json.loads(line) for line in waybill("ingest", str(folder), "--json").stdout.splitlines()]
    assert shape["same_content_as"] is None
