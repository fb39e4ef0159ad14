"""A hit says who did the work of its document, and why; with files on disk and at Supabase alike."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import grpc
import psycopg
import pytest

from services.storage.__main__ import build
from services.storage.config import StorageConfig
from tests.conftest import MigratedPostgres
from tests.contract.makers_objects import simulated
from tests.contract.makers_storage import SPACE, Index, chunk, refused, tenant_headers, unit_vector
from tests.inprocess import channel, served, server_config
from waybill.common.v1.backend_pb2 import BackendChoice, Mode
from waybill.storage.v1 import document_index_service_pb2 as pb
from waybill.storage.v1.chunk_pb2 import ChunkVector, Hit
from waybill.storage.v1.document_index_service_pb2_grpc import DocumentIndexServiceStub

HYBRID, DOWN = Mode.MODE_HYBRID, "VENDOR_UNREACHABLE"
VENDORS = BackendChoice(service="parser", backend="llamaparse", mode=HYBRID, reason="MODE_HYBRID")
HERE = BackendChoice(service="parser", backend="local", mode=HYBRID, reason=DOWN)
TEXT = BackendChoice(service="parser", backend="local", mode=HYBRID, reason="PLAIN_TEXT")
EMBEDDED = BackendChoice(service="embedder", backend="openai", mode=HYBRID, reason="MODE_HYBRID")
PENDING = BackendChoice(service="embedder", backend="", mode=HYBRID, reason=DOWN)


@pytest.fixture(params=["local", "supabase"])
async def index(
    request: pytest.FixtureRequest, database: MigratedPostgres, tmp_path: Path
) -> AsyncIterator[Index]:
    """A new tenant's index, of a storage service as production wires it."""
    async with AsyncExitStack() as stack:
        supabase = None
        if request.param == "supabase":
            _, project = await stack.enter_async_context(simulated(database))
            supabase = project.config
        config = StorageConfig(
            server_config("storage"),
            database.url("storage"),
            database.owner_url("storage"),
            None if supabase else tmp_path,
            supabase,
        )
        address = await stack.enter_async_context(served("storage", partial(build, config)))
        opened = await stack.enter_async_context(channel(address))
        yield Index(DocumentIndexServiceStub(opened), tenant_headers())


async def published(index: Index, *backends: BackendChoice, pending: bool = False) -> str:
    """A published document about a harbour; the version's id."""
    version_id = (await index.begin()).version_id
    await index.put_chunks(version_id, chunk(0, "harbour"))
    if not pending:
        await index.put_vectors(version_id, {0: unit_vector(0)})
    await publish(index, version_id, backends, pending=pending)
    return version_id


async def publish(
    index: Index, version_id: str, backends: Sequence[BackendChoice], *, pending: bool = False
) -> None:
    request = pb.PublishVersionRequest(
        version_id=version_id, chunk_count=1, vectors_pending=pending, backends=backends
    )
    await index.stub.PublishVersion(request, metadata=index.headers)


async def hit(index: Index) -> Hit:
    (one,) = (await index.search("harbour")).hits
    return one


async def test_a_hit_says_who_parsed_and_who_embedded_its_document(index: Index) -> None:
    await published(index, EMBEDDED, VENDORS)
    found = await hit(index)
    assert (list(found.backends), list(found.lacking)) == ([VENDORS, EMBEDDED], [])


async def test_a_hit_of_a_local_parse_or_without_vectors_says_what_it_lacks_and_why(index: Index) -> None:
    await published(index, HERE, PENDING, pending=True)
    found = await hit(index)
    assert list(found.backends) == [HERE, PENDING]
    assert list(found.lacking) == ["PARSED_LOCALLY", "VECTORS_PENDING"]


async def test_plain_text_that_was_read_here_lacks_nothing(index: Index) -> None:
    await published(index, TEXT, EMBEDDED)
    found = await hit(index)
    assert (list(found.backends), list(found.lacking)) == ([TEXT, EMBEDDED], [])


async def test_vectors_that_come_later_change_the_embedder_and_not_the_parser(index: Index) -> None:
    version_id = await published(index, HERE, PENDING, pending=True)
    request = pb.PutVectorsRequest(
        version_id=version_id,
        space=SPACE,
        vectors=[ChunkVector(ordinal=0, values=unit_vector(0))],
        publish=pb.PublishVersionRequest(chunk_count=1, backends=[EMBEDDED]),
    )
    for _ in range(2):
        await index.stub.PutVectors(request, metadata=index.headers)
        found = await hit(index)
        assert (list(found.backends), list(found.lacking)) == ([HERE, EMBEDDED], ["PARSED_LOCALLY"])


async def test_publishing_again_what_is_whole_says_nothing_new_of_it(index: Index) -> None:
    version_id = await published(index, VENDORS, EMBEDDED)
    await publish(index, version_id, [HERE])
    assert list((await hit(index)).backends) == [VENDORS, EMBEDDED]


async def test_a_version_that_was_published_before_says_nothing(
    index: Index, database: MigratedPostgres
) -> None:
    version_id = await published(index)
    found = await hit(index)
    assert (list(found.backends), list(found.lacking)) == ([], [])
    async with await psycopg.AsyncConnection.connect(database.admin_url) as admin:
        query = "select backends from waybill_index.document_versions where version_id = %s"
        assert await (await admin.execute(query, [version_id])).fetchone() == ({},)


@pytest.mark.parametrize(
    "wrong", [{"service": "storage"}, {"backend": "\0"}, {"reason": "x" * 600}, {"mode": 9}]
)
async def test_a_choice_that_makes_no_sense_is_refused(index: Index, wrong: dict[str, object]) -> None:
    fields: dict[str, object] = {"service": "parser", "backend": "local", "mode": HYBRID, "reason": DOWN}
    async with refused("INVALID_REQUEST", grpc.StatusCode.INVALID_ARGUMENT):
        # Of several types, which a dict does not tell apart.
        await published(index, BackendChoice(**(fields | wrong)))  # type: ignore[arg-type]
