"""PreviewParse: what a parse would buy, read in the confined child, stored nowhere."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from services.parser import pages
from tests import hostile_pdfs
from tests.conftest import MigratedPostgres
from tests.contract.makers_parser import a_run, neighbours, parse_children, parsed, parser, refused, slow_pdf
from tests.raw_pdfs import document, shown, stream
from tests.waiting import until
from waybill.parser.v1.preview_pb2 import Preview, PreviewParseRequest
from waybill.runtime import identity
from waybill.runtime.channel import reading, write

if TYPE_CHECKING:
    from waybill.parser.v1.parser_service_pb2_grpc import ParserServiceAsyncStub

MARKDOWN = b"# Tides\n\nThey turn.\n\n\f\n\nAnd turn again.\n"
TWO_PAGES = document([stream(shown(f"Tide {number}", 72, 700)) for number in (1, 2)])


def messages(content: bytes, name: str, sha256: str = "") -> list[PreviewParseRequest]:
    header = PreviewParseRequest.Header(
        source_sha256=sha256 or hashlib.sha256(content).hexdigest(), filename=name, size_bytes=len(content)
    )
    return [PreviewParseRequest(header=header), PreviewParseRequest(data=content)]


async def preview(
    stub: ParserServiceAsyncStub, content: bytes, name: str, sha256: str = ""
) -> tuple[Preview, Sequence[pages.Page]]:
    async def sent() -> object:
        for message in messages(content, name, sha256):
            yield message

    call = stub.PreviewParse()
    async with reading(call):
        await write(call, sent())  # type: ignore[arg-type]
        first, *rest = [answer async for answer in call]
    return first.preview, pages.load(b"".join(answer.lines for answer in rest))


def files_below(folder: Path) -> Sequence[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def test_a_preview_has_the_pages_and_leaves_nothing(database: MigratedPostgres, tmp_path: Path) -> None:
    async with neighbours(database, tmp_path) as near, parser(database, near) as stub:
        with identity.acting_as(a_run()):
            found, read = await preview(stub, TWO_PAGES, "tide.pdf")
            assert [page.page for page in read] == [1, 2]
            assert (found.vendor, found.model, found.paid, found.text_known) == (
                "local", "pdf engine", False, True,
            )  # fmt: skip
            assert (found.vendor_count.expected, found.vendor_count.exact) == (2, True)
            text, _ = await preview(stub, MARKDOWN, "tide.md")
            assert (text.reading.format, text.vendor_count.most) == ("markdown", 0)
            assert not await near.entries()
        assert not files_below(tmp_path)


async def test_what_was_parsed_is_found_before_a_byte_is_sent_and_by_no_other_tenant(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    async with neighbours(database, tmp_path) as near, parser(database, near) as stub:
        with identity.acting_as(a_run()):
            job = await parsed(stub, near, "tide.pdf", TWO_PAGES)
            found, read = await preview(stub, TWO_PAGES, "tide.pdf")
            assert (found.paid, found.result_key, found.count.most) == (True, job.result_key, 0)
            assert (found.vendor_count.most, read) == (2, [])
        with identity.acting_as(a_run()):
            other, _ = await preview(stub, TWO_PAGES, "tide.pdf")
            assert (other.paid, other.result_key, other.count.most) == (False, "", 2)


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        (hostile_pdfs.encrypted(), "a.pdf", "PDF_IS_PROTECTED"),
        (hostile_pdfs.without_text(), "a.pdf", "DOCUMENT_EMPTY"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "a.png", "FILE_TYPE_UNSUPPORTED"),
    ],
    ids=["protected", "empty", "unsupported"],
)
async def test_what_a_parse_would_refuse_is_refused(
    database: MigratedPostgres, tmp_path: Path, content: bytes, name: str, reason: str
) -> None:
    async with neighbours(database, tmp_path) as near, parser(database, near) as stub:
        with identity.acting_as(a_run()):
            assert (await refused(preview(stub, content, name)))[1] == reason


async def test_other_bytes_than_were_named_are_refused(database: MigratedPostgres, tmp_path: Path) -> None:
    async with neighbours(database, tmp_path) as near, parser(database, near) as stub:
        with identity.acting_as(a_run()):
            code, reason = await refused(preview(stub, MARKDOWN, "a.md", sha256="0" * 64))
            assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "CHECKSUM_MISMATCH")


async def test_a_caller_who_leaves_stops_the_child_and_the_next_one_is_served(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    async with neighbours(database, tmp_path) as near, parser(database, near) as stub:
        with identity.acting_as(a_run()):
            task = asyncio.create_task(preview(stub, slow_pdf(), "slow.pdf"))
            await until(lambda: bool(parse_children()))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await until(lambda: not parse_children())
            _, read = await preview(stub, TWO_PAGES, "tide.pdf")
            assert len(read) == 2
