"""Reads all documents of one format as the parser service does, in a process of their own.

A process remembers the most memory that any of its children had, so each format needs one.
"""

from __future__ import annotations

import asyncio
import datetime
import os
import resource
import sys
from collections.abc import Sequence
from pathlib import Path

from structlog.testing import capture_logs

from evals.corpus import Document
from evals.read import checks
from evals.read.expected import Expected, expectations
from evals.read.results import Group, Outcome, Result
from services.parser.backends.local import LocalParser
from services.parser.backends.port import Order, Source
from services.parser.documents.limits import DEFAULT_LIMITS
from services.parser.documents.sandbox import Sandbox
from services.parser.pages import Artifact, Mark, Page, Reading, load
from waybill.runtime.errors import ServiceError

_OURS = frozenset(("PARSER_CRASHED", "INTERNAL", "SANDBOX_UNAVAILABLE"))
_PARTIAL = frozenset((Mark.FAILED, Mark.CUT, Mark.WITHOUT_TEXT))


def read(documents: Sequence[Document]) -> Group:
    """Documents of one format."""
    results = asyncio.run(_read(documents))
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit
    return Group(documents[0].take.format, results, peak)


async def _read(documents: Sequence[Document]) -> list[Result]:
    async with Sandbox.open(DEFAULT_LIMITS, 1) as sandbox:
        await sandbox.check()
        return [await _one(sandbox, document) for document in documents]


async def _one(sandbox: Sandbox, document: Document) -> Result:
    result = Result(document.key, document.take.format, document.take.language)
    before = _cpu_seconds(sandbox)
    with document.path.open("rb") as file, Artifact.open() as artifact, capture_logs() as logs:
        try:
            await _parse(sandbox, Source(file, document.filename), artifact)
        except ServiceError as error:
            result.outcome = Outcome.CRASHED if error.reason in _OURS else Outcome.REFUSED
            result.reason = error.reason
        except Exception as error:  # a defect of ours: counted, and no end of the rest
            result.outcome, result.reason, result.place = Outcome.CRASHED, type(error).__name__, str(error)
        result.cpu_seconds = max(0.0, _cpu_seconds(sandbox) - before)
        result.place = result.place or next((str(log["place"]) for log in logs if log.get("place")), "")
        _judge(document, artifact, result)
    return result


async def _parse(sandbox: Sandbox, source: Source, artifact: Artifact) -> None:
    parser = LocalParser(sandbox, DEFAULT_LIMITS)
    await parser.count_pages(source, artifact)
    await parser.begin(source, Order("", "", datetime.datetime.min, 0), artifact)


def _judge(document: Document, artifact: Artifact, result: Result) -> None:
    expected = expectations().get(document.key, Expected())
    result.phrases = expected.count
    if result.outcome in (Outcome.REFUSED, Outcome.CRASHED) or artifact.reading is None:
        result.missed = list(expected.missing(()))
        return
    artifact.file.seek(0)
    pages = load(artifact.file.read())
    _describe(pages, artifact.reading, result)
    result.missed = list(expected.missing(pages))
    result.phrases_found = expected.count - len(result.missed)
    checks.chunks(pages, result)
    if document.take.encoding:
        checks.encoding(document.path, document.take.encoding, pages, result)
    if document.take.format == "pdf":
        checks.outline(document.path, pages, result)


def _describe(pages: Sequence[Page], reading: Reading, result: Result) -> None:
    result.pages = reading.pages
    result.characters = sum(len(page.markdown) for page in pages)
    for page in pages:
        for mark in page.marks:
            result.marks[mark] = result.marks.get(mark, 0) + 1
    result.left_out = len(reading.left_out)
    if _PARTIAL & result.marks.keys() or reading.left_out:
        result.outcome = Outcome.DEGRADED


def _cpu_seconds(sandbox: Sandbox) -> float:
    """CPU time of the children that the fork server has reaped; 0 where there is no /proc."""
    total = 0.0
    for pid in sandbox.pids:
        stat = Path(f"/proc/{pid}/stat")
        if stat.exists():
            fields = stat.read_text().rpartition(")")[2].split()
            total += (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
    return total
