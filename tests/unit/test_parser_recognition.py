"""Pages without text are recognised where Tesseract is installed, by a program that may do nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pypdfium2
import pytest
from PIL import Image
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

from services.parser.documents.limits import DEFAULT_LIMITS
from services.parser.documents.sandbox import Sandbox
from services.parser.documents.tesseract import Tesseract, installed
from services.parser.pages import Artifact, Mark, Page, load
from tests import raw_pdfs
from tests.raw_pdfs import shown
from tests.waiting import until

HEAD = r"level\tpage_num\tblock_num\tpar_num\tline_num\tword_num\tleft\ttop\twidth\theight\tconf\ttext\n"
ROWS = (
    r"5\t1\t1\t1\t1\t1\t300\t300\t200\t40\t96\tHarbour\n"
    r"5\t1\t1\t1\t1\t2\t520\t300\t200\t40\t95\tboard\n"
    r"5\t1\t1\t1\t1\t3\t720\t300\t200\t40\t11\tx#k\n"
)
DRAWING = raw_pdfs.stream(b"0 0 m 300 300 l S")
REAL = installed("eng", os.environ)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that programs of any account can be started from."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


def program(folder: Path, then: str) -> dict[str, str]:
    """An environment with a program named tesseract, which knows two languages and does as it is told."""
    path = folder / "tesseract"
    path.write_text(
        "#!/bin/sh\n"
        'if [ "$1" = --list-langs ]; then printf "List of languages (3):\\ndeu\\neng\\nosd\\n"; exit; fi\n'
        f"{then}\n"
    )
    path.chmod(0o755)
    return {"PATH": str(folder)}


async def read(pdf: bytes, tesseract: Tesseract | None) -> list[Page]:
    async with Sandbox.open(DEFAULT_LIMITS, 1, tesseract) as sandbox:
        pages = await read_in(sandbox, pdf)
        assert [descendants(pid) for pid in sandbox.pids] == [[]]
    return pages


async def read_in(sandbox: Sandbox, pdf: bytes) -> list[Page]:
    with tempfile.TemporaryFile() as file, Artifact.open() as artifact:
        file.write(pdf)
        file.flush()
        await sandbox.read(file.fileno(), "a.pdf", artifact)
        artifact.file.seek(0)
        return load(artifact.file.read())


def descendants(pid: int) -> list[int]:
    children: list[int] = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        children = [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return children + [below for child in children for below in descendants(child)]


async def test_a_page_without_text_is_recognised_and_the_others_are_not_asked_about(folder: Path) -> None:
    tesseract = installed("", program(folder, f'printf "{HEAD}{ROWS}"'))
    pdf = raw_pdfs.document([raw_pdfs.stream(shown("Own text", 72, 700)), DRAWING, raw_pdfs.stream(b"")])
    pages = await read(pdf, tesseract)
    assert [(page.markdown, page.marks) for page in pages] == [
        ("Own text", ()),
        ("Harbour board", (Mark.RECOGNISED,)),
        ("", ()),
    ]


async def test_a_page_on_which_nothing_is_recognised_stays_without_text(folder: Path) -> None:
    unsure = HEAD + ROWS.replace(r"\t96", r"\t40").replace(r"\t95", r"\t40")
    for then in (f'printf "{unsure}"', "exit 1", "printf nonsense", "kill -9 $$", ":"):
        (page,) = await read(raw_pdfs.document([DRAWING]), installed("eng", program(folder, then)))
        assert (page.markdown, page.marks) == ("", (Mark.WITHOUT_TEXT,))


async def test_the_program_can_start_nothing_and_write_no_file(folder: Path) -> None:
    trace = folder / "trace"
    for forbidden in (f'x=$(printf "{HEAD}")', f"printf x > {trace}"):
        environ = program(folder, f'{forbidden}\nprintf "{HEAD}{ROWS}"')
        (page,) = await read(raw_pdfs.document([DRAWING]), installed("eng", environ))
        assert page.marks == (Mark.WITHOUT_TEXT,)
    assert (trace.read_bytes() if trace.exists() else b"") == b""


async def test_a_cancelled_reading_leaves_no_process(folder: Path) -> None:
    tesseract = installed("eng", program(folder, "while :; do :; done"))
    async with Sandbox.open(DEFAULT_LIMITS, 1, tesseract) as sandbox:
        await sandbox.check()
        (pid,) = sandbox.pids
        task = asyncio.create_task(read_in(sandbox, raw_pdfs.document([DRAWING])))
        await until(lambda: len(descendants(pid)) >= 3)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert (sandbox.pids, descendants(pid)) == ([pid], [])


def test_languages_are_those_that_were_named_and_are_installed(folder: Path) -> None:
    environ = program(folder, "exit 1")

    def languages(wanted: str) -> str:
        tesseract = installed(wanted, environ)
        return tesseract.command[4] if tesseract else ""

    assert [languages(wanted) for wanted in ("", "deu", "nor+eng", "nor")] == ["deu+eng", "deu", "eng", ""]


def test_without_the_program_there_is_none(folder: Path) -> None:
    assert installed("eng", {"PATH": str(folder)}) is None


@pytest.mark.skipif(REAL is None, reason="tesseract is not installed")
@pytest.mark.parametrize("turned", [0, 90, 180])
async def test_a_scan_is_read_whichever_way_it_lies(turned: int) -> None:
    (page,) = await read(scan(turned), REAL)
    assert page.marks == (Mark.RECOGNISED,)
    assert "stored in the eastern basin until the ice has gone" in page.markdown.replace("\n", " ")


def scan(turned: int) -> bytes:
    """A page that is a picture of text."""
    lines = [
        "Minutes of the harbour board, held on the third of May.",
        "The buoys of the outer channel were brought in and are",
        "stored in the eastern basin until the ice has gone. The",
        "warden reports the water level twice each day by radio.",
    ]
    content = b"".join(shown(line, 72, 760 - 24 * at, size=14) for at, line in enumerate(lines * 4))
    drawn = pypdfium2.PdfDocument(raw_pdfs.page(content))[0].render(scale=200 / 72, grayscale=True)
    picture = Image.frombuffer(
        "L", (drawn.width, drawn.height), bytes(drawn.buffer), "raw", "L", drawn.stride, 1
    )
    picture = picture.rotate(turned, expand=True)
    out = io.BytesIO()
    canvas = Canvas(out, pagesize=picture.size, invariant=1)
    canvas.drawImage(ImageReader(picture), 0, 0)
    canvas.save()
    return out.getvalue()
