"""Links of a whole storage service: to a document's file, across a restart, and in no log or span."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import grpc
import pytest
from structlog.testing import capture_logs

from services.storage.__main__ import build
from services.storage.config import LinksConfig, StorageConfig
from tests.conftest import MigratedPostgres
from tests.contract.makers_storage import Headers, Index, messages, refused, tenant_headers
from tests.contract.test_object_links import fetch, token_of
from tests.inprocess import Recorder, served, server_config
from waybill.stack.ports import free_ports
from waybill.storage.v1 import document_index_service_pb2_grpc as index_rpc
from waybill.storage.v1 import object_storage_service_pb2 as pb
from waybill.storage.v1 import object_storage_service_pb2_grpc as rpc
from waybill.storage.v1.link_pb2 import Link

NOT_FOUND = grpc.StatusCode.NOT_FOUND
PDF = b"%PDF-1.7 the manual"
Document = pb.SignDownloadRequest.DocumentName


@asynccontextmanager
async def storage(
    database: MigratedPostgres, folder: Path, port: int = 0, recorder: Recorder | None = None
) -> AsyncIterator[tuple[rpc.ObjectStorageServiceAsyncStub, Index]]:
    """A service on its own port, with its door at another."""
    config = StorageConfig(
        server_config("storage"),
        database.url("storage"),
        database.owner_url("storage"),
        folder,
        links=LinksConfig(f"127.0.0.1:{port}"),
    )
    async with (
        served("storage", partial(build, config), recorder) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        index = Index(index_rpc.DocumentIndexServiceStub(channel), tenant_headers())
        yield rpc.ObjectStorageServiceStub(channel), index


async def ingested(stub: rpc.ObjectStorageServiceAsyncStub, index: Index, key: str, content: bytes) -> None:
    """A published document whose file is where the orchestrator keeps it."""
    text = content.decode()
    stored = messages(f"sources/{hashlib.sha256(content).hexdigest()}", content)
    await stub.PutObject(iter(stored), metadata=index.headers)
    await index.add(key, text, content=text)


async def signed(stub: rpc.ObjectStorageServiceAsyncStub, headers: Headers, document: Document) -> Link:
    """A link to a document's file."""
    return (await stub.SignDownload(pb.SignDownloadRequest(document=document), metadata=headers)).link


async def test_a_documents_link_gives_the_file_that_it_was_made_from_under_its_name(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    async with storage(database, tmp_path) as (stub, index):
        await ingested(stub, index, "handbooks/the manual.pdf", PDF)
        name = Document(document_key="handbooks/the manual.pdf")
        answer = await fetch(await signed(stub, index.headers, name))
        assert (answer.status, answer.body) == (200, PDF)
        assert "the%20manual.pdf" in answer.headers["content-disposition"]
        await ingested(stub, index, "handbooks/the manual.pdf", PDF + b" changed")
        assert (await fetch(await signed(stub, index.headers, name))).body == PDF + b" changed"


async def test_a_document_that_is_not_this_tenants_or_not_published_has_no_link(
    database: MigratedPostgres, tmp_path: Path
) -> None:
    async with storage(database, tmp_path) as (stub, index):
        await ingested(stub, index, "a.pdf", PDF)
        await index.begin("unpublished.pdf", "x")
        other = tenant_headers()
        for headers, name in (
            (other, Document(document_key="a.pdf")),
            (index.headers, Document(document_key="a.pdf", collection="other")),
            (index.headers, Document(document_key="unpublished.pdf")),
        ):
            async with refused("DOCUMENT_NOT_FOUND", NOT_FOUND):
                await signed(stub, headers, name)
        async with refused("INVALID_REQUEST", grpc.StatusCode.INVALID_ARGUMENT):
            await signed(stub, index.headers, Document())


async def test_a_link_outlives_a_restart_of_the_service(database: MigratedPostgres, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    async with storage(database, tmp_path, port) as (stub, index):
        await ingested(stub, index, "a.pdf", PDF)
        link = await signed(stub, index.headers, Document(document_key="a.pdf"))
    async with storage(database, tmp_path, port):
        answer = await fetch(link)
        assert (answer.status, answer.body) == (200, PDF)
    (tmp_path / "link-keys").write_text("another key that nobody has seen before\n")
    async with storage(database, tmp_path, port):
        assert (await fetch(link)).status == 403


async def test_a_link_is_in_no_log_and_no_span(
    database: MigratedPostgres, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    recorder = Recorder()
    with capture_logs() as logged:
        async with storage(database, tmp_path, recorder=recorder) as (stub, index):
            await ingested(stub, index, "a.pdf", PDF)
            down = await signed(stub, index.headers, Document(document_key="a.pdf"))
            request = pb.SignUploadRequest(
                key="in", size_bytes=len(PDF), sha256=hashlib.sha256(PDF).hexdigest()
            )
            up = (await stub.SignUpload(request, metadata=index.headers)).link
            answers = [
                await fetch(down),
                await fetch(down, method="DELETE"),
                await fetch(down, headers={"origin": "https://evil.example"}),
                await fetch(up, body=PDF[:-1]),
                await fetch(up, body=PDF[:-1] + b"?"),
                await fetch(up, body=PDF),
            ]
            assert [answer.status for answer in answers] == [200, 405, 403, 400, 422, 201]
    spans = [span.to_json() for span in recorder.exporter.get_finished_spans()]
    assert spans
    told = [*map(str, logged), caplog.text, *spans, *(str(answer.headers) for answer in answers)]
    for link in (down, up):
        for secret in (token_of(link), token_of(link).rpartition(".")[2]):
            assert not any(secret in one for one in told)
