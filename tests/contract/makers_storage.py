"""A storage service in process on a free port, and small makers of what is sent to it."""

from __future__ import annotations

import array
import contextlib
import hashlib
import math
import random
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import grpc
import pytest

from waybill.common.v1.space_pb2 import Space
from waybill.runtime import errors
from waybill.runtime.server import ServerConfig, Service, serving
from waybill.runtime.telemetry import Telemetry
from waybill.storage.v1 import document_index_service_pb2 as index_pb
from waybill.storage.v1 import object_storage_service_pb2 as objects_pb
from waybill.storage.v1.chunk_pb2 import Chunk, ChunkVector

if TYPE_CHECKING:
    from waybill.storage.v1.document_index_service_pb2_grpc import DocumentIndexServiceAsyncStub
    from waybill.storage.v1.object_storage_service_pb2_grpc import ObjectStorageServiceAsyncStub

SPACE = Space(model="wordllama-l2-supercat", dimension=256, revision="0.4.0")
Headers = tuple[tuple[str, str | bytes], ...]


def tenant_headers(name: str = "") -> Headers:
    """Metadata of a tenant that no other test uses."""
    return (("x-waybill-tenant", name or f"t-{uuid.uuid4()}"),)


@contextlib.asynccontextmanager
async def channel_to(service: Service) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to the service, served as in production: interceptors and limits included."""
    config, telemetry = ServerConfig("storage", "127.0.0.1:0"), Telemetry("storage", [])
    async with (
        serving(config, telemetry, service) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        yield channel


@contextlib.asynccontextmanager
async def refused(reason: str, code: grpc.StatusCode) -> AsyncIterator[None]:
    """The block's call fails in just this way."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        yield
    found = errors.from_status(caught.value)
    assert (found.reason, caught.value.code()) == (reason, code), found.message
    assert found.message, "an error says what to do"


# Objects


def header(key: str, content: bytes, **changed: object) -> objects_pb.PutObjectRequest:
    """The first message of a PutObject."""
    fields = {"key": key, "size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    return objects_pb.PutObjectRequest(header=objects_pb.PutObjectRequest.Header(**(fields | changed)))  # type: ignore[arg-type]


def messages(key: str, content: bytes, **changed: object) -> list[objects_pb.PutObjectRequest]:
    """All messages of a PutObject, in pieces of 100,000 bytes."""
    starts = range(0, len(content), 100_000)
    pieces = [objects_pb.PutObjectRequest(data=content[start : start + 100_000]) for start in starts]
    return [header(key, content, **changed), *pieces]


async def get(
    stub: ObjectStorageServiceAsyncStub, headers: Headers, key: str, **wanted: int
) -> tuple[objects_pb.GetObjectResponse, list[bytes]]:
    """The first message of a Get, and the pieces after it."""
    answers = [
        answer
        async for answer in stub.GetObject(objects_pb.GetObjectRequest(key=key, **wanted), metadata=headers)
    ]
    return answers[0], [answer.data for answer in answers[1:]]


# Index


def unit_vector(seed: int, dimension: int = 256) -> bytes:
    """A vector of length 1 in a direction of its own."""
    return _of_length_one(_direction(seed, dimension))


def vector_near(seed: int, place: int, spread: float) -> bytes:
    """One of many vectors round `unit_vector(seed)`, further away the greater `spread` is."""
    stray = _direction(1_000 + place, 256)
    return _of_length_one(
        [number + spread * off for number, off in zip(_direction(seed, 256), stray, strict=True)]
    )


def _direction(seed: int, dimension: int) -> list[float]:
    numbers = random.Random(seed)
    return [numbers.gauss(0, 1) for _ in range(dimension)]


def _of_length_one(numbers: list[float]) -> bytes:
    length = math.hypot(*numbers)
    return array.array("f", [number / length for number in numbers]).tobytes()


def chunk(ordinal: int, text: str, heading: str = "", page: int = 1) -> Chunk:
    """A chunk that is right in all it says."""
    embedded = f"{heading}\n\n{text}" if heading else text
    return Chunk(
        ordinal=ordinal,
        text=text,
        heading=heading,
        page=page,
        end_char=len(text),
        sha256=hashlib.sha256(embedded.encode()).hexdigest(),
        token_count=len(text.split()),
    )


@dataclass(frozen=True)
class Index:
    """One tenant's view of the index; calls in short."""

    stub: DocumentIndexServiceAsyncStub
    headers: Headers

    def as_tenant(self, name: str = "") -> Index:
        """The same service, seen by somebody else."""
        return replace(self, headers=tenant_headers(name))

    async def begin(
        self, key: str = "a.md", content: str = "one", run_id: str = "", **changed: object
    ) -> index_pb.BeginVersionResponse:
        """Begins a version; a run of its own unless named."""
        fields: dict[str, object] = {
            "document_key": key,
            "source_sha256": hashlib.sha256(content.encode()).hexdigest(),
            "recipe": "recipe-1",
            "space": SPACE,
            "run_id": run_id or str(uuid.uuid4()),
        }
        request = index_pb.BeginVersionRequest(**(fields | changed))  # type: ignore[arg-type]
        return await self.stub.BeginVersion(request, metadata=self.headers)

    async def put_chunks(self, version_id: str, *chunks: Chunk) -> int:
        """Writes chunks; answers how many need no embedding."""
        request = index_pb.PutChunksRequest(version_id=version_id, chunks=chunks)
        return (await self.stub.PutChunks(request, metadata=self.headers)).reused_vectors

    async def put_vectors(self, version_id: str, vectors: dict[int, bytes], space: Space = SPACE) -> None:
        """Writes vectors by ordinal."""
        sent = [ChunkVector(ordinal=ordinal, values=values) for ordinal, values in vectors.items()]
        request = index_pb.PutVectorsRequest(version_id=version_id, space=space, vectors=sent)
        await self.stub.PutVectors(request, metadata=self.headers)

    async def publish(
        self, version_id: str, chunk_count: int, edition: int = 0
    ) -> index_pb.PublishVersionResponse:
        """Publishes a version."""
        request = index_pb.PublishVersionRequest(
            version_id=version_id, chunk_count=chunk_count, edition=edition
        )
        return await self.stub.PublishVersion(request, metadata=self.headers)

    async def add(self, key: str, *texts: str, seed: int = 0, content: str = "") -> str:
        """A published document, a chunk for each text; chunk n has the vector of seed + n."""
        version_id = (await self.begin(key, content or repr(texts))).version_id
        await self.put_chunks(version_id, *(chunk(place, text) for place, text in enumerate(texts)))
        await self.put_vectors(version_id, {place: unit_vector(seed + place) for place in range(len(texts))})
        await self.publish(version_id, len(texts))
        return version_id

    async def search(
        self, query: str = "", vector: bytes = b"", **changed: object
    ) -> index_pb.SearchResponse:
        """Searches by what is given."""
        kind = index_pb.SearchRequest
        mode = kind.MODE_HYBRID if query and vector else kind.MODE_TEXT if query else kind.MODE_VECTOR
        fields: dict[str, object] = {"query": query, "vector": vector, "mode": mode, "space": SPACE}
        return await self.stub.Search(kind(**(fields | changed)), metadata=self.headers)  # type: ignore[arg-type]

    async def list_chunks(self, version_id: str, **wanted: object) -> index_pb.ListChunksResponse:
        """Lists a page of chunks."""
        request = index_pb.ListChunksRequest(version_id=version_id, **wanted)  # type: ignore[arg-type]
        return await self.stub.ListChunks(request, metadata=self.headers)


def found(answer: index_pb.SearchResponse) -> list[str]:
    """The texts of the hits, best first."""
    return [hit.chunk.text for hit in answer.hits]
