"""The sandbox reads what it can, refuses what means harm, and is as usable afterwards."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate, Table
from structlog.testing import capture_logs

from services.parser.documents.answer import Answer
from services.parser.documents.document import Document
from services.parser.documents.limits import DEFAULT_LIMITS, Limits
from services.parser.documents.reading import answers
from services.parser.documents.sandbox import Sandbox
from services.parser.pages import Artifact, Mark, Page, Reading, load
from tests import hostile_pdfs
from tests.waiting import eventually, until
from waybill.runtime.errors import ServiceError

# Half the usual, so that what grows without end is stopped sooner.
TIGHT = Limits(memory_bytes=1 << 29, cpu_seconds=4)
# Longer than a busy machine lets a process wait for its turn.
SILENT_SECONDS = 1.0


async def read(sandbox: Sandbox, content: bytes, filename: str = "a.pdf") -> list[Page]:
    return (await read_whole(sandbox, content, filename))[0]


async def read_whole(sandbox: Sandbox, content: bytes, filename: str = "a.pdf") -> tuple[list[Page], Reading]:
    with document(content) as file, Artifact.open() as artifact:
        assert await sandbox.read(file.fileno(), filename, artifact) == artifact.pages
        artifact.file.seek(0)
        return load(artifact.file.read()), artifact.whole()


async def texts(sandbox: Sandbox, content: bytes) -> list[str]:
    return [page.markdown for page in await read(sandbox, content)]


@contextmanager
def document(content: bytes) -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        yield file


async def reason_of(sandbox: Sandbox, content: bytes) -> str:
    with pytest.raises(ServiceError) as caught:
        await read(sandbox, content)
    return caught.value.reason


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def child_of(pid: int) -> int:
    """The child, as soon as there is one."""
    found: list[int] = []

    def is_there() -> bool:
        found[:] = children_of(pid)
        return bool(found)

    await until(is_there)
    return found[0]


def is_alive(pid: int) -> bool:
    """Whether it can still act; a zombie waits for its new parent alone."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    return False


def report() -> bytes:
    out, styles = io.BytesIO(), getSampleStyleSheet()
    story = [
        Paragraph("Annual report", styles["Heading1"]),
        Paragraph("Weather", styles["Heading2"]),
        Paragraph("It rained, and the cisterns were full before the first of May. " * 5, styles["BodyText"]),
        Table([["Month", "Rain"], ["April", "81 mm"], ["May", "12 mm"]]),
        PageBreak(),
        Paragraph("Money", styles["Heading2"]),
        Paragraph("There was none, and it was spent with care on efficient fluff.", styles["BodyText"]),
    ]
    SimpleDocTemplate(out, pagesize=A4, invariant=1).build(story)
    return out.getvalue()


async def test_a_pdf_becomes_pages_with_headings_and_tables_the_same_each_time() -> None:
    async with Sandbox.open(DEFAULT_LIMITS, 1) as sandbox:
        reading = await read(sandbox, report())
        again = await read(sandbox, report())
    first, second = (page.markdown for page in reading)
    assert first.startswith("# Annual report\n\n## Weather\n\nIt rained, and")
    assert "| Month | Rain |\n| --- | --- |\n| April | 81 mm |\n| May | 12 mm |" in first
    assert second == ("## Money\n\nThere was none, and it was spent with care on efficient fluff.")
    assert reading == again


async def test_pages_are_counted_without_reading_them() -> None:
    async with Sandbox.open(DEFAULT_LIMITS, 1) as sandbox:
        with document(hostile_pdfs.simple(pages=7)) as file, Artifact.open() as artifact:
            assert await sandbox.count(file.fileno(), "seven.pdf", artifact) == 7
            assert artifact.pages == 0


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (hostile_pdfs.encrypted, "PDF_IS_PROTECTED"),
        (hostile_pdfs.truncated, "PDF_IS_BROKEN"),
        (hostile_pdfs.random_bytes, "PDF_IS_BROKEN"),
        (bytes, "DOCUMENT_EMPTY"),
        (hostile_pdfs.double_deflate, "DOCUMENT_TOO_LARGE"),
        (hostile_pdfs.nested_forms, "DOCUMENT_TOO_LARGE"),
        (hostile_pdfs.million_kids, "DOCUMENT_TOO_LARGE"),
        (hostile_pdfs.many_text_operators, "DOCUMENT_TOO_LARGE"),
    ],
)
async def test_a_hostile_pdf_gets_its_reason_and_the_next_document_is_read(
    make: Callable[[], bytes], reason: str
) -> None:
    async with Sandbox.open(TIGHT, 1) as sandbox:
        assert await reason_of(sandbox, make()) == reason
        assert await texts(sandbox, hostile_pdfs.simple()) == ["Quiet water 1"]
        assert [children_of(pid) for pid in sandbox.pids] == [[]]


async def test_a_page_of_absurd_size_is_read_for_its_text() -> None:
    async with Sandbox.open(DEFAULT_LIMITS, 1) as sandbox:
        assert await texts(sandbox, hostile_pdfs.huge_media_box()) == ["far"]


async def test_text_beyond_the_limit_of_a_page_is_cut_and_the_page_says_so() -> None:
    async with Sandbox.open(Limits(page_text_bytes=40), 1) as sandbox:
        (page,), reading = await read_whole(sandbox, hostile_pdfs.simple("x" * 80))
    assert (page.markdown, page.marks, reading.cut_pages) == ("x" * 40, (Mark.CUT,), (1,))
    assert page.blocks[-1].end == 40


async def test_a_document_with_more_text_than_allowed_is_refused() -> None:
    async with Sandbox.open(Limits(output_bytes=100), 1) as sandbox:
        assert await reason_of(sandbox, hostile_pdfs.simple(pages=20)) == "DOCUMENT_TOO_LARGE"


async def test_a_child_that_stands_still_is_killed_and_nothing_is_left() -> None:
    async with Sandbox.open(Limits(silent_seconds=SILENT_SECONDS), 1) as sandbox:
        await sandbox.check()
        (pid,) = sandbox.pids
        task = asyncio.create_task(reason_of(sandbox, hostile_pdfs.many_text_operators()))
        os.kill(await child_of(pid), signal.SIGSTOP)
        assert await task == "PARSE_TIMEOUT"
        assert children_of(pid) == []


async def test_a_child_that_computes_is_not_killed_for_its_silence() -> None:
    async with Sandbox.open(Limits(silent_seconds=SILENT_SECONDS, cpu_seconds=3), 1) as sandbox:
        begun = time.monotonic()
        assert await reason_of(sandbox, hostile_pdfs.many_text_operators()) == "DOCUMENT_TOO_LARGE"
        assert time.monotonic() - begun > 2 * SILENT_SECONDS


async def test_a_cancelled_reading_kills_its_child_and_the_sandbox_goes_on() -> None:
    async with Sandbox.open(DEFAULT_LIMITS, 1) as sandbox:
        await sandbox.check()
        (pid,) = sandbox.pids
        task = asyncio.create_task(read(sandbox, hostile_pdfs.many_text_operators()))
        await child_of(pid)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert (sandbox.pids, children_of(pid)) == ([pid], [])
        assert len(await read(sandbox, hostile_pdfs.simple())) == 1


async def test_a_child_that_dies_of_itself_is_a_crash_and_counted() -> None:
    async with Sandbox.open(DEFAULT_LIMITS, 1) as sandbox:
        await sandbox.check()
        task = asyncio.create_task(reason_of(sandbox, hostile_pdfs.many_text_operators()))
        os.kill(await child_of(sandbox.pids[0]), signal.SIGSEGV)
        with capture_logs() as logs:
            assert await task == "PARSER_CRASHED"
        assert [(each["event"], each["exit_code"]) for each in logs] == [
            ("parser child failed", -signal.SIGSEGV)
        ]
        assert sandbox.crashes == 1
        assert await reason_of(sandbox, hostile_pdfs.encrypted()) == "PDF_IS_PROTECTED"
        assert sandbox.crashes == 1


def test_a_reader_that_fails_says_where_and_no_text() -> None:
    content = b'<?xml version="1.0"?><a>secret</a>'
    with document(content) as file:
        unusable = cast(Limits, None)
        (line,) = answers(Document(file.fileno(), "secret.xml", unusable), count_only=False, allow_cpu=print)
    assert re.fullmatch(r"AttributeError reading\.py:\d+", line["crashed"])
    with Artifact.open() as artifact, capture_logs() as logs, pytest.raises(ServiceError) as caught:
        answer = Answer(artifact)
        answer.take([json.dumps(line).encode()])
        answer.page_count_or_refusal(0)
    assert caught.value.reason == "PARSER_CRASHED"
    assert "secret" not in caught.value.message
    assert logs == [
        {"event": "parser child failed", "exit_code": 0, "place": line["crashed"], "log_level": "warning"}
    ]


async def test_a_killed_fork_server_is_replaced() -> None:
    async with Sandbox.open(DEFAULT_LIMITS, 1) as sandbox:
        await sandbox.check()
        (first,) = sandbox.pids
        os.kill(first, signal.SIGKILL)
        assert len(await read(sandbox, hostile_pdfs.simple())) == 1
        assert sandbox.pids != [first]


async def test_nothing_is_left_when_the_sandbox_is_closed() -> None:
    async with Sandbox.open(DEFAULT_LIMITS, 2) as sandbox:
        await read(sandbox, hostile_pdfs.simple())
        pids = sandbox.pids
    assert pids
    assert not any(is_alive(pid) for pid in pids)


_SERVICE = """
import asyncio, tempfile
from services.parser.documents.limits import DEFAULT_LIMITS
from services.parser.documents.sandbox import Sandbox
from services.parser.pages import Artifact
from tests import hostile_pdfs

async def main():
    with tempfile.TemporaryFile() as file:
        file.write(hostile_pdfs.many_text_operators())
        file.flush()
        async with Sandbox.open(DEFAULT_LIMITS, 1) as sandbox:
            await sandbox.check()
            print(*sandbox.pids, flush=True)
            with Artifact.open() as artifact:
                await sandbox.read(file.fileno(), "much.pdf", artifact)

asyncio.run(main())
"""


def test_neither_server_nor_child_outlives_a_service_that_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", _SERVICE], stdout=subprocess.PIPE) as service:
        assert service.stdout is not None
        server = int(service.stdout.readline())
        eventually(lambda: bool(children_of(server)), "the child is there")
        (child,) = children_of(server)
        service.kill()
    eventually(lambda: not is_alive(server) and not is_alive(child), "both are gone")


def test_the_service_itself_never_loads_an_engine() -> None:
    engines = "{'pypdfium2', 'office_oxide'}"
    code = f"import sys, services.parser.__main__; sys.exit(not {engines}.isdisjoint(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
