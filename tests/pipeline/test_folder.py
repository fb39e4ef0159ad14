"""A real folder whose files are changed, renamed, moved and deleted, kept in step by `ingest --sync`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.pipeline.test_control import cancel, ingest_held
from tests.pipeline.workbench import Workbench
from waybill.cli.exits import Exit
from waybill.cli.main import app
from waybill.orchestrator.v1.orchestrator_service_pb2 import ListDocumentsRequest

Ingest = Callable[..., Result]


@pytest.fixture
def ingest(bench: Workbench) -> Ingest:
    """The command, for the tenant and the stack of the test."""
    environ = {f"WAYBILL_{name.upper()}_ADDRESS": at for name, at in bench.client.addresses.items()}

    def run(*arguments: str | Path) -> Result:
        words = ["ingest", *map(str, arguments), "--tenant", bench.tenant]
        return CliRunner().invoke(app, words, env=environ)

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five files, one of them in a folder below."""
    made = tmp_path / "docs"
    (made / "sub").mkdir(parents=True)
    for name in ("stays.md", "changes.md", "old-name.md", "goes.md", "sub/moves.md"):
        (made / name).write_text(f"# About\n\nThis is what {name} says of the harbour.")
    return made


def keys(bench: Workbench, collection: str = "") -> list[str]:
    request = ListDocumentsRequest(collection=collection)
    return [one.document_key for one in bench.client.orchestrator.ListDocuments(request).documents]


def test_the_index_follows_a_folder_whose_files_change_move_and_go(
    bench: Workbench, ingest: Ingest, folder: Path
) -> None:
    assert ingest(folder).exit_code == 0
    (folder / "changes.md").write_text("# About\n\nSomething else altogether.")
    (folder / "old-name.md").rename(folder / "new-name.md")
    (folder / "sub" / "moves.md").rename(folder / "moves.md")
    (folder / "goes.md").unlink()
    result = ingest(folder, "--sync", "--yes")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert "new-name.md: same content as old-name.md" in lines
    assert "moves.md: same content as sub/moves.md" in lines
    assert lines[-3:] == [
        "REMOVED goes.md",
        "REMOVED old-name.md: its content is now new-name.md",
        "REMOVED sub/moves.md: its content is now moves.md",
    ]
    assert keys(bench) == ["changes.md", "moves.md", "new-name.md", "stays.md"]
    again = ingest(folder, "--sync", "--yes")
    assert again.exit_code == 0
    assert "REMOVED" not in again.stdout
    assert "same content" not in again.stdout


def test_documents_of_other_folders_collections_and_hands_stay(
    bench: Workbench, ingest: Ingest, folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "theirs.md").write_text("# Theirs\n\nOf another folder.")
    named = bench.file("named.md", b"# Named\n\nBy its own name.")
    for arguments in ([folder], [other], [named], [folder, "--collection", "copy"]):
        assert ingest(*arguments).exit_code == 0
    for name in ("goes.md", "old-name.md"):
        (folder / name).unlink()
    assert ingest(folder, "--sync", "--yes").exit_code == 0
    assert keys(bench, "default") == ["changes.md", "named.md", "stays.md", "sub/moves.md", "theirs.md"]
    assert len(keys(bench, "copy")) == 5


def test_documents_that_were_ingested_before_are_the_folders_once_it_was_seen_again(
    bench: Workbench, ingest: Ingest, folder: Path
) -> None:
    for path in (folder / "stays.md", folder / "goes.md"):
        bench.finish(bench.client.ingest(path, document_key=path.name).run_id)
    assert ingest(folder).exit_code == 0  # UNCHANGED, and from this folder now
    (folder / "goes.md").unlink()
    assert ingest(folder, "--sync", "--yes").exit_code == 0
    assert "goes.md" not in keys(bench)


def test_a_document_under_way_stays_until_the_next_time(
    bench: Workbench, ingest: Ingest, folder: Path
) -> None:
    path = bench.file("docs/ferry.md", b"# Ferry\n\nIt leaves at noon.")
    assert ingest(folder).exit_code == 0
    run_id = ingest_held(bench, "orchestrator.step.chunk.start")
    path.unlink()
    result = ingest(folder, "--sync", "--yes")
    assert (result.exit_code, "KEPT ferry.md" in result.stdout) == (Exit.REFUSED, True), result.output
    assert run_id in result.stderr
    cancel(bench, run_id)
    assert ingest(folder, "--sync", "--yes").exit_code == 0
    assert "ferry.md" not in keys(bench)
