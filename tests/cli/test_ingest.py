"""`waybill ingest`: which files are meant, how each ends, and what the command says of it."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import grpc
import pytest
from rich.cells import cell_len

from tests.cli.conftest import Waybill
from tests.cli.fakes import Ledger, Orchestrator, abort, make_entry, make_run, make_screen, serving
from tests.waiting import PATIENCE_SECONDS, eventually
from waybill.calling import CallPolicy
from waybill.cli.durations import duration
from waybill.cli.ingest import ingest_sources
from waybill.cli.outcome import exit_of
from waybill.cli.progress import Lines, Picture, watcher
from waybill.cli.screen import Screen, cut
from waybill.cli.sources import Gathering, Source, gather
from waybill.client import Client, Upload, connect
from waybill.common.v1.reading_pb2 import Reading
from waybill.ledger.v1.entry_pb2 import RunTotal
from waybill.orchestrator.v1.orchestrator_service_pb2 import IngestRequest
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.runtime.errors import InvalidRequest, Quota, Unavailable
from waybill.settings import FIXED_PORTS


def make_folder(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"text of {name}")
    return root


def objects(output: str) -> dict[str, dict[str, Any]]:
    return {shape["document_key"]: shape for shape in map(json.loads, output.splitlines())}


def keys(*paths: Path) -> list[str]:
    return [source.document_key for source in gather(paths).sources]


def test_a_files_key_is_its_name_and_a_folders_files_have_their_path_below_it(tmp_path: Path) -> None:
    make_folder(tmp_path, "docs/b.md", "docs/sub/a.md", "notes.txt")
    assert keys(tmp_path / "docs", tmp_path / "notes.txt") == ["b.md", "sub/a.md", "notes.txt"]


def test_hidden_files_and_folders_inside_a_folder_are_passed_over_and_counted(tmp_path: Path) -> None:
    make_folder(tmp_path, ".hidden.md", ".git/a.md", "sub/.b.md", "seen.md")
    assert keys(tmp_path) == ["seen.md"]
    assert len(gather([tmp_path]).passed_over["hidden"]) == 3
    assert keys(tmp_path / ".hidden.md") == [".hidden.md"]


def test_links_to_folders_and_things_that_are_no_files_are_passed_over_and_said(tmp_path: Path) -> None:
    make_folder(tmp_path, "a.md")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "gone.md").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe.md")
    found = gather([tmp_path])
    assert [source.document_key for source in found.sources] == ["a.md"]
    assert found.passed_over == {
        "link to a folder": [tmp_path / "loop"],
        "not a regular file": [tmp_path / "gone.md", tmp_path / "pipe.md"],
    }
    assert gather([tmp_path / "pipe.md"]).sources[0].fault is not None


def test_a_name_that_is_no_text_is_a_fault_of_that_file(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.md"))
    path.write_text("x")
    (source,) = gather([tmp_path]).sources
    assert source.fault is not None
    assert source.fault.reason == "FILE_NAME_INVALID"


@pytest.mark.parametrize("name", ["new\nline.md", "red\x1b[31m.md"])
def test_a_name_with_a_control_character_is_to_be_renamed(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("x")
    (source,) = gather([tmp_path]).sources
    assert source.fault is not None
    assert source.fault.reason == "FILE_NAME_INVALID"


def test_every_byte_arrives_and_the_header_tells_hash_and_size(
    waybill: Waybill, orchestrator: Orchestrator, tmp_path: Path
) -> None:
    content = os.urandom(600_000)
    (tmp_path / "a.txt").write_bytes(content)
    assert waybill("ingest", str(tmp_path / "a.txt"), "--tenant", "acme").exit_code == 0
    header = orchestrator.headers[0]
    assert (header.size_bytes, header.filename) == (600_000, "a.txt")
    assert orchestrator.contents["a.txt"] == header.sha256 == hashlib.sha256(content).hexdigest()
    assert orchestrator.metadata["x-waybill-tenant"] == "acme"


def test_without_a_terminal_each_document_is_one_line_and_the_receipt_comes_last(
    waybill: Waybill, orchestrator: Orchestrator, ledger: Ledger, tmp_path: Path
) -> None:
    run = make_run(1)
    ledger.entries = [make_entry(run.run_id)]
    ledger.totals = [RunTotal(run_id=run.run_id, simulated_nano_usd=840)]
    result = waybill("ingest", str(make_folder(tmp_path, "a.md") / "a.md"))
    assert result.stderr.splitlines() == ["1/1 READY a.md"]
    assert f"  trace {run.trace_id}" in result.stdout.splitlines()
    assert "42 tokens × $0.02 per million" in result.stdout
    *_, simulated, counts, label = result.stdout.splitlines()
    assert re.fullmatch(r"simulated, owed to nobody +\$0.00000084", simulated)
    (accepted,) = orchestrator.runs.values()
    assert (counts, label) == ("1 READY", f"correlation id {accepted.correlation_id}")
    assert "$0.00\n" not in result.stdout


def test_collection_and_metadata_go_with_each_document(
    waybill: Waybill, orchestrator: Orchestrator, tmp_path: Path
) -> None:
    folder = str(make_folder(tmp_path, "a.md", "b.md"))
    said = ("--collection", "manuals", "--metadata", "lang=en", "--metadata", "note=a=b")
    assert waybill("ingest", folder, *said).exit_code == 0
    told = [(header.collection, dict(header.metadata)) for header in orchestrator.headers]
    assert told == [("manuals", {"lang": "en", "note": "a=b"})] * 2
    assert waybill("ingest", folder, "--metadata", "lang").exit_code == 2


def test_two_files_with_one_key_are_refused_before_anything_is_sent(
    waybill: Waybill, orchestrator: Orchestrator, tmp_path: Path
) -> None:
    make_folder(tmp_path, "one/a.md", "two/a.md")
    result = waybill("ingest", str(tmp_path / "one"), str(tmp_path / "two"), "--json")
    assert result.exit_code == 2
    refused = [json.loads(line) for line in result.stdout.splitlines()]
    assert {shape["error"]["reason"] for shape in refused} == {"DOCUMENT_KEY_DUPLICATE"}
    assert len(refused) == 2
    assert not orchestrator.headers


def test_a_folders_files_of_other_types_are_told_one_line_a_kind_and_not_sent(
    waybill: Waybill, orchestrator: Orchestrator, tmp_path: Path
) -> None:
    make_folder(tmp_path, "a.md", "scan.PDF", "no-ending", "main.py")
    for name in ("one.png", "two.png", "core"):
        (tmp_path / name).write_bytes(b"\x89PNG\0\0")
    result = waybill("ingest", str(tmp_path), "--json")
    assert (result.exit_code, set(objects(result.stdout))) == (
        0,
        {"a.md", "scan.PDF", "no-ending", "main.py"},
    )
    *kinds, read = result.stderr.splitlines()[:3]
    assert kinds == [
        f"not read: 2 .png, such as {tmp_path}/one.png",
        f"not read: 1 without an ending: {tmp_path}/core",
    ]
    assert read == "types that are read: PDF and any other text"
    assert len(orchestrator.headers) == 4


def test_a_file_that_somebody_named_is_sent_whatever_it_is(
    waybill: Waybill, orchestrator: Orchestrator, tmp_path: Path
) -> None:
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"\x89PNG\0")
    orchestrator.endings["picture.png"] = Run(
        state=Run.STATE_FAILED, step="parse", reason="FILE_TYPE_UNSUPPORTED", message="No."
    )
    result = waybill("ingest", str(picture), "--json")
    shape = objects(result.stdout)["picture.png"]
    assert (result.exit_code, shape["state"]) == (1, "FAILED")
    assert shape["error"] == {"code": "FAILED", "reason": "FILE_TYPE_UNSUPPORTED", "message": "No."}


def test_a_folders_text_that_the_parser_refuses_has_failed(
    waybill: Waybill, orchestrator: Orchestrator, tmp_path: Path
) -> None:
    make_folder(tmp_path, "good.txt", "minutes.txt")
    orchestrator.endings["minutes.txt"] = Run(
        state=Run.STATE_FAILED, step="parse", reason="FILE_TYPE_UNSUPPORTED", message="No."
    )
    result = waybill("ingest", str(tmp_path), "--json")
    assert result.exit_code == 1
    assert objects(result.stdout)["minutes.txt"]["state"] == "FAILED"


def test_what_a_document_lacks_is_said_and_is_no_failure(
    waybill: Waybill, orchestrator: Orchestrator, tmp_path: Path
) -> None:
    orchestrator.endings["a.md"] = Run(
        state=Run.STATE_READY_DEGRADED,
        reason="PAGES_MISSING",
        message="Page 3 could not be read and cost nothing.",
        reading=Reading(format="pdf", pages=4, failed_pages=[3]),
    )
    folder = str(make_folder(tmp_path, "a.md"))
    assert "READY_DEGRADED a.md: PAGES_MISSING: Page 3 could not be read" in waybill("ingest", folder).stderr
    result = waybill("ingest", folder, "--json")
    shape = objects(result.stdout)["a.md"]
    assert (result.exit_code, shape["error"], shape["reason"]) == (0, None, "PAGES_MISSING")
    assert shape["reading"] == {"format": "pdf", "encoding": None, "pages": 4, "failed_pages": [3]}


def test_a_bad_document_does_not_keep_the_others_back(
    waybill: Waybill, orchestrator: Orchestrator, tmp_path: Path
) -> None:
    make_folder(tmp_path, "good.md", "bad.md")
    orchestrator.endings["bad.md"] = Run(
        state=Run.STATE_FAILED, step="parse", reason="PDF_ENCRYPTED", message="M."
    )
    result = waybill("ingest", str(tmp_path), str(tmp_path / "absent.md"), "--json")
    found = objects(result.stdout)
    assert result.exit_code == 1
    assert found["good.md"]["error"] is None
    assert found["bad.md"]["run_id"] is not None
    assert found["bad.md"]["error"] == {"code": "FAILED", "reason": "PDF_ENCRYPTED", "message": "M."}
    assert found["absent.md"]["error"]["reason"] == "FILE_NOT_FOUND"
    assert len({shape["correlation_id"] for shape in found.values()}) == 1


class Ordered(Orchestrator):
    """Ends the run of a.md once all that does not wait for it was sent, and remembers the order."""

    def __init__(self, others: int) -> None:
        super().__init__()
        self.order: list[str] = []
        self._others = threading.Semaphore(0)
        self._count = others

    def Ingest(self, request_iterator: Any, context: Any) -> Any:  # noqa: N802
        answer = super().Ingest(request_iterator, context)
        self.order.append(answer.run.document_key)
        self._others.release()
        return answer

    def WatchRun(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        if self.known(request.run_id, context).document_key == "a.md":
            for _ in range(1 + self._count):
                assert self._others.acquire(timeout=PATIENCE_SECONDS)
            self.order.append("a.md ends")
        yield from super().WatchRun(request, context)


def test_a_copy_is_sent_once_the_first_of_its_content_has_ended(tmp_path: Path) -> None:
    folder = make_folder(tmp_path, "a.md", "b.md", "c.md", "d.md", "e.md", "f.md")
    (folder / "b.md").write_text("text of a.md")
    slow = Ordered(others=4)
    with serving(slow, Ledger()) as environ, connect(environ=environ, correlation_id="label") as client:
        outcomes = ingest_sources(client, make_screen(as_json=True), gather([folder]), "label")
    assert [outcome.state for outcome in outcomes] == ["READY"] * 6
    assert slow.order[-2:] == ["a.md ends", "b.md"]


@pytest.mark.parametrize(
    ("state", "code"), [(Run.STATE_UNCHANGED, 0), (Run.STATE_READY_DEGRADED, 0), (Run.STATE_EXPIRED, 1)]
)
def test_only_what_is_published_is_success(
    waybill: Waybill, orchestrator: Orchestrator, tmp_path: Path, state: Any, code: int
) -> None:
    orchestrator.endings["a.md"] = Run(state=state)
    result = waybill("ingest", str(make_folder(tmp_path, "a.md")), "--json")
    assert result.exit_code == code
    assert (objects(result.stdout)["a.md"]["error"] is None) == (code == 0)


def test_a_document_that_waits_for_its_parse_is_stayed_for(
    waybill: Waybill, orchestrator: Orchestrator, tmp_path: Path
) -> None:
    orchestrator.runs_begin_as = {"state": Run.STATE_WAITING_ON_VENDOR, "step": "parse"}
    result = waybill("ingest", str(make_folder(tmp_path, "a.md")), "--json")
    assert objects(result.stdout)["a.md"]["state"] == "READY"


def test_a_document_that_waits_on_a_vendor_is_handed_over_and_said(
    waybill: Waybill, orchestrator: Orchestrator, tmp_path: Path
) -> None:
    orchestrator.endings = {
        "slow.md": Run(
            state=Run.STATE_WAITING_ON_VENDOR,
            step="batch",
            embedding_tier=Run.EMBEDDING_TIER_BATCH,
            embedding_tier_reason="complete_by leaves 25 h 30 min for a batch",
        )
    }
    result = waybill("ingest", str(make_folder(tmp_path, "slow.md") / "slow.md"), "--within", "26h")
    assert result.exit_code == 0
    (run,) = orchestrator.runs.values()
    assert "WAITING_ON_VENDOR slow.md: complete_by leaves 25 h 30 min for a batch" in result.stderr
    assert f"run {run.run_id}" in result.stderr
    shown = json.loads(waybill("run", run.run_id, "--json").stdout)
    assert (shown["state"], shown["embedding_tier"]) == ("WAITING_ON_VENDOR", "batch")


def test_a_document_that_waits_for_a_budget_is_handed_over_and_told_by_the_exit_code(
    waybill: Waybill, orchestrator: Orchestrator, tmp_path: Path
) -> None:
    orchestrator.endings = {
        "dear.md": Run(
            state=Run.STATE_BLOCKED_ON_BUDGET,
            step="parse",
            reason="BUDGET_EXCEEDED",
            message="No more today.",
        )
    }
    result = waybill("ingest", str(make_folder(tmp_path, "dear.md") / "dear.md"), "--max-usd", "0.50")
    assert result.exit_code == 6
    assert "BLOCKED_ON_BUDGET dear.md: BUDGET_EXCEEDED: No more today." in result.stderr
    assert "once it may spend, it goes on by itself" in result.stderr


def test_a_folder_without_documents_is_a_mistake(waybill: Waybill, tmp_path: Path) -> None:
    result = waybill("ingest", str(tmp_path))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "NOTHING_TO_INGEST" in result.stderr


def test_a_ledger_that_is_away_takes_the_receipt_not_the_success(
    waybill: Waybill, ledger: Ledger, tmp_path: Path
) -> None:
    ledger.fault = Unavailable("RESTARTING", "", retry_after_seconds=600)
    result = waybill("ingest", str(make_folder(tmp_path, "a.md")))
    assert result.exit_code == 0
    assert "waybill bill " in result.stderr


def said(screen: Screen) -> str:
    assert isinstance(screen.err.file, StringIO)
    return screen.err.file.getvalue()


def test_a_stack_that_is_down_gives_each_document_its_error() -> None:
    class Down(Client):
        def wait_until_reachable(self, service: str, seconds: float) -> None:
            raise Unavailable("NOT_REACHABLE", f"No {service}.")

    screen = make_screen(as_json=True)
    nowhere = {name: grpc.insecure_channel("127.0.0.1:1") for name in FIXED_PORTS}
    with Down(nowhere, CallPolicy()) as client, pytest.raises(Unavailable):
        found = Gathering([Source(Path(name), name) for name in ("a.md", "b.md")])
        ingest_sources(client, screen, found, "label")
    assert isinstance(screen.out.file, StringIO)
    assert set(objects(screen.out.file.getvalue())) == {"a.md", "b.md"}


def test_an_interrupt_says_what_goes_on_and_how_to_look_at_it(tmp_path: Path) -> None:
    """The fake presses Ctrl-C where the main thread would get it: while it reports a document."""

    class Interrupting(Screen):
        def note(self, text: str, style: str = "") -> None:
            super().note(text, style)
            if text.startswith("1/2 READY"):
                raise KeyboardInterrupt

    class Stuck(Orchestrator):
        """Ends a.md once b.md is watched, and b.md never."""

        def __init__(self) -> None:
            super().__init__()
            self.watched = threading.Event()

        def WatchRun(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
            if self.runs[request.run_id].document_key == "a.md":
                self.watched.wait(PATIENCE_SECONDS)
                yield from super().WatchRun(request, context)
                return
            self.watched.set()
            ended = threading.Event()
            context.add_callback(ended.set)
            ended.wait(PATIENCE_SECONDS)

    make_folder(tmp_path, "a.md", "b.md")
    plain, stuck = make_screen(), Stuck()
    screen = Interrupting(plain.out, plain.err, tenant="acme")
    with (
        serving(stuck, Ledger()) as environ,
        connect(environ=environ, correlation_id="label") as client,
        pytest.raises(KeyboardInterrupt),
    ):
        ingest_sources(client, screen, gather([tmp_path]), "label")
    (run_id,) = (run.run_id for run in stuck.runs.values() if run.document_key == "b.md")
    assert f"goes on in the stack: b.md: waybill run {run_id} --tenant acme" in said(screen)


def test_a_full_queue_is_waited_out_and_said_once(
    waybill: Waybill, orchestrator: Orchestrator, tmp_path: Path
) -> None:
    orchestrator.full["a.md"] = 3
    result = waybill("ingest", str(make_folder(tmp_path, "a.md") / "a.md"))
    assert result.exit_code == 0
    assert result.stderr.splitlines() == ["a.md: waits, queue full", "1/1 READY a.md"]
    assert len({header.request_id for header in orchestrator.headers}) == 1
    assert len(orchestrator.headers) == 4


def test_a_quota_other_than_the_queue_is_not_waited_for(
    waybill: Waybill, orchestrator: Orchestrator, tmp_path: Path
) -> None:
    orchestrator.refusals["a.md"] = Quota("BUDGET_SPENT", "No.", retry_after_seconds=600)
    result = waybill("ingest", str(make_folder(tmp_path, "a.md")), "--json")
    assert objects(result.stdout)["a.md"]["error"]["reason"] == "BUDGET_SPENT"


def test_an_interrupt_ends_the_wait_for_the_queue(tmp_path: Path) -> None:
    """The fake presses Ctrl-C when b.md waits for an hour."""

    class Full(Orchestrator):
        def Ingest(self, request_iterator: Any, context: Any) -> Any:  # noqa: N802
            header = next(request_iterator).header
            if header.document_key == "b.md":
                refused.set()
                abort(context, Quota("QUEUE_FULL", "", retry_after_seconds=3_600))
            refused.wait(PATIENCE_SECONDS)
            return super().Ingest(itertools.chain([IngestRequest(header=header)], request_iterator), context)

    class Interrupting(Screen):
        def note(self, text: str, style: str = "") -> None:
            super().note(text, style)
            if text.startswith("1/2 READY"):
                raise KeyboardInterrupt

    refused = threading.Event()
    make_folder(tmp_path, "a.md", "b.md")
    plain = make_screen()
    screen = Interrupting(plain.out, plain.err)
    with (
        serving(Full(), Ledger()) as environ,
        connect(environ=environ, correlation_id="label") as client,
        pytest.raises(KeyboardInterrupt),
    ):
        ingest_sources(client, screen, gather([tmp_path]), "label")
    assert "documents not sent: 1" in said(screen)


def test_within_is_a_moment_so_far_from_now_and_absent_without_it(
    waybill: Waybill, orchestrator: Orchestrator, tmp_path: Path
) -> None:
    path = make_folder(tmp_path, "a.md") / "a.md"
    before = datetime.now(UTC)
    assert waybill("ingest", str(path), "--within", "10m").exit_code == 0
    assert waybill("ingest", str(path)).exit_code == 0
    late, never = orchestrator.headers
    complete_by = late.complete_by.ToDatetime(UTC)
    assert before + timedelta(minutes=10) <= complete_by <= datetime.now(UTC) + timedelta(minutes=10)
    assert not never.HasField("complete_by")


@pytest.mark.parametrize("text", ["", "0s", "10", "m", "-1m", "1.5h", "1w", "10 m", "9000h", "999999999999h"])
def test_what_is_no_duration_is_refused_before_anything_is_sent(
    waybill: Waybill, orchestrator: Orchestrator, tmp_path: Path, text: str
) -> None:
    result = waybill("ingest", str(make_folder(tmp_path, "a.md")), f"--within={text}")
    assert (result.exit_code, result.stdout) == (2, "")
    assert not orchestrator.headers


def test_durations_are_seconds_minutes_and_hours() -> None:
    assert [duration(text).total_seconds() for text in ("90s", "10m", "2h")] == [90, 600, 7200]


def test_hints_name_the_tenant_where_it_is_not_the_default(
    waybill: Waybill, ledger: Ledger, tmp_path: Path
) -> None:
    ledger.fault = Unavailable("RESTARTING", "", retry_after_seconds=600)
    path = str(make_folder(tmp_path, "a.md"))
    (bill,) = re.findall(r"waybill bill .*", waybill("ingest", path, "--tenant", "acme").stderr)
    assert bill.endswith(" --tenant acme")
    assert "--tenant" not in waybill("ingest", path).stderr
    assert Screen(make_screen().out, make_screen().err, tenant="a b").command("runs") == (
        "waybill runs --tenant 'a b'"
    )


def test_the_receipt_of_an_unchanged_document_counts_no_pages(
    waybill: Waybill, orchestrator: Orchestrator, tmp_path: Path
) -> None:
    orchestrator.runs_begin_as = {"state": Run.STATE_UNCHANGED, "pages": 0}
    result = waybill("ingest", str(make_folder(tmp_path, "a.md")))
    assert "UNCHANGED" in result.stdout
    assert "5 chunks" in result.stdout
    assert "page" not in result.stdout


def test_what_failed_comes_last_with_its_reason_and_what_to_do(
    waybill: Waybill, orchestrator: Orchestrator, tmp_path: Path
) -> None:
    make_folder(tmp_path, "a.md", "bad.md")
    (tmp_path / "empty.pdf").touch()
    orchestrator.endings["bad.md"] = Run(state=Run.STATE_FAILED, reason="PDF_ENCRYPTED", message="M.")
    orchestrator.refusals["empty.pdf"] = InvalidRequest("DOCUMENT_EMPTY", "The file is empty.")
    counts, _, *failed = waybill("ingest", str(tmp_path)).stdout.splitlines()[-7:]
    assert set(counts.split(", ")) == {"1 READY", "2 FAILED"}
    assert failed == [
        "FAILED bad.md",
        "  PDF_ENCRYPTED: M.",
        "FAILED empty.pdf",
        "  DOCUMENT_EMPTY: The file is empty.",
        "  next: Check that it is the right file.",
    ]
    orchestrator.endings.clear()
    assert "2 READY, 1 FAILED" in waybill("ingest", str(tmp_path), "--json").stderr


def test_an_empty_path_is_a_usage_error_and_not_the_folder_we_are_in(
    waybill: Waybill, orchestrator: Orchestrator
) -> None:
    assert waybill("ingest", "").exit_code == 2
    assert not orchestrator.headers


def test_names_are_cut_in_their_middle() -> None:
    assert cut("manuals/a-very-long-name-of-a-file.epub", 20) == "manuals/a-…file.epub"
    assert all(cell_len(cut("漢字の名前漢字の名前.md", width)) == width for width in range(3, 24))


def test_a_quiet_pipe_says_what_is_in_work() -> None:
    screen = make_screen()
    told = "0/3 ended; in work: a.md: embed 500 of 2,000 chunks"
    with Lines(screen, 3, quiet_seconds=0.01) as lines:
        embedding = make_run(state=Run.STATE_RUNNING, step="embed", chunks=2_000, embedded_chunks=500)
        lines.saw(Source(Path("a.md"), "a.md"), embedding)
        eventually(lambda: told in " ".join(said(screen).split()), told)


def test_a_terminals_picture_has_total_rate_and_a_line_for_each_document_in_work() -> None:
    screen = make_screen(terminal=True)
    picture = Picture(screen, 12)
    done, working = Source(Path("a.md"), "a.md"), Source(Path("b.md"), "b" * 80 + ".md")
    parsing = make_run(state=Run.STATE_RUNNING, step="parse")
    picture.saw(done, parsing)
    picture.saw(working, parsing)
    picture.ended(done)
    with screen.err.capture() as capture:
        screen.err.print(picture)
    head, line = re.sub(r"\x1b\[[0-9;]*m", "", capture.get()).splitlines()
    assert re.match(r"1 of 12 documents ━.* [0-9.,]+/s 0:00", head)
    assert re.fullmatch(r"  b+…b+\.md  parse  0:00", line)
    assert (cell_len(head), cell_len(line)) == (60, 60)


def test_a_terminal_gets_a_picture_and_a_pipe_gets_lines(tmp_path: Path) -> None:
    assert isinstance(watcher(make_screen(terminal=False), 1), Lines)
    screen = make_screen(terminal=True)
    assert isinstance(watcher(screen, 1), Picture)
    make_folder(tmp_path, "a.md")
    with (
        serving(Orchestrator(), Ledger()) as environ,
        connect(environ=environ, correlation_id="label") as client,
    ):
        outcomes = ingest_sources(client, screen, gather([tmp_path]), "label")
    assert exit_of(outcomes) == 0
    assert "READY a.md" in said(screen)


def test_a_file_that_grows_is_sent_as_it_was_read_first(tmp_path: Path) -> None:
    path = tmp_path / "growing.log"
    path.write_text("first\n")
    upload = Upload.of(path, IngestRequest.Header(document_key="growing.log"))
    path.write_text("first\nsecond\n")
    assert b"".join(message.data for message in upload) == b"first\n"
    upload.check()


def test_a_file_that_shrinks_or_vanishes_while_it_is_sent_is_said_to(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("first\nsecond\n")
    upload = Upload.of(path, IngestRequest.Header(document_key="a.log"))
    path.write_text("first\n")
    with pytest.raises(InvalidRequest, match="became shorter"):
        upload.check()
    path.unlink()
    assert [message.WhichOneof("part") for message in upload] == ["header"]
    with pytest.raises(FileNotFoundError):
        upload.check()


def test_a_file_that_vanished_before_its_turn_is_not_found(
    waybill: Waybill, orchestrator: Orchestrator, tmp_path: Path
) -> None:
    orchestrator.full["a.md"] = 1
    path = make_folder(tmp_path, "a.md") / "a.md"
    orchestrator.on_full = path.unlink
    result = waybill("ingest", str(path), "--json")
    assert objects(result.stdout)["a.md"]["error"]["reason"] == "FILE_NOT_FOUND"
