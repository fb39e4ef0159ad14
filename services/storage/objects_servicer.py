"""ObjectStorageService: request → objects → response."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from services.storage.backends.port import Link, ObjectSpec, StoredObject
from services.storage.links import DEFAULT_SECONDS, check_file_name, check_life, file_name_of
from services.storage.objects import DEFAULT_CONTENT_TYPE, Objects
from waybill.runtime import identity
from waybill.runtime.audit import Audit
from waybill.runtime.errors import InvalidRequest
from waybill.runtime.wire import page_place, page_size, page_token, timestamp
from waybill.storage.v1 import link_pb2, object_pb2, object_storage_service_pb2_grpc
from waybill.storage.v1 import object_storage_service_pb2 as pb

MAX_PIECE_BYTES = 1024 * 1024
DEFAULT_PAGE, MAX_PAGE = 100, 1_000
MAX_PAGE_BYTES = 1024 * 1024
MAX_KEYS = 1_000
SourceOf = Callable[[str, str, str], Awaitable[str]]


class ObjectStorageServicer(object_storage_service_pb2_grpc.ObjectStorageServiceServicer):
    """The RPCs of a tenant's objects.

    Args:
        objects: The objects.
        source_of: The key of a document's source, by tenant, collection and document key; see
            `services.storage.links.source_of`.
        audit: Is told of links: who has one needs nothing else.
    """

    def __init__(self, objects: Objects, source_of: SourceOf, audit: Audit) -> None:
        self._objects = objects
        self._source_of = source_of
        self._audit = audit

    async def PutObject(
        self, messages: AsyncIterator[pb.PutObjectRequest], context: Any
    ) -> pb.PutObjectResponse:
        """Stores one object."""
        spec = _spec(await _header(messages))
        stored = await self._objects.put(identity.caller().tenant, spec, _content(messages))
        return pb.PutObjectResponse(object=_object(stored))

    async def GetObject(
        self, request: pb.GetObjectRequest, context: Any
    ) -> AsyncIterator[pb.GetObjectResponse]:
        """Reads one object or a range of it."""
        tenant, wanted = identity.caller().tenant, (request.offset_bytes, request.limit_bytes)
        async with self._objects.open(tenant, request.key, *wanted) as reading:
            yield pb.GetObjectResponse(object=_object(reading.stored))
            async for piece in reading.pieces:
                yield pb.GetObjectResponse(data=piece)

    async def StatObject(self, request: pb.StatObjectRequest, context: Any) -> pb.StatObjectResponse:
        """Describes one object."""
        return pb.StatObjectResponse(
            object=_object(await self._objects.stat(identity.caller().tenant, request.key))
        )

    async def DeleteObject(self, request: pb.DeleteObjectRequest, context: Any) -> pb.DeleteObjectResponse:
        """Deletes one object."""
        return pb.DeleteObjectResponse(
            deleted=bool(await self._objects.delete(identity.caller().tenant, [request.key]))
        )

    async def ListObjects(self, request: pb.ListObjectsRequest, context: Any) -> pb.ListObjectsResponse:
        """Lists objects."""
        size = page_size(request.page_size, DEFAULT_PAGE, MAX_PAGE)
        (after,) = page_place(request.page_token, 1) or ("",)
        found = await self._objects.list(identity.caller().tenant, request.prefix, after, size + 1)
        answer, size_bytes = pb.ListObjectsResponse(), 0
        for stored in found[:size]:
            answer.objects.append(_object(stored))
            size_bytes += answer.objects[-1].ByteSize()
            if size_bytes > MAX_PAGE_BYTES:
                break
        if len(found) > len(answer.objects):
            answer.next_page_token = page_token(answer.objects[-1].key)
        return answer

    async def BatchDeleteObjects(
        self, request: pb.BatchDeleteObjectsRequest, context: Any
    ) -> pb.BatchDeleteObjectsResponse:
        """Deletes several objects."""
        if not 1 <= len(request.keys) <= MAX_KEYS:
            raise InvalidRequest(
                "INVALID_REQUEST", f"keys are 1 to {MAX_KEYS:,}. Delete more in several calls."
            )
        there = await self._objects.delete(identity.caller().tenant, request.keys)
        return pb.BatchDeleteObjectsResponse(
            deleted_keys=[key for key in dict.fromkeys(request.keys) if key in there]
        )

    async def UpdateObjectMetadata(
        self, request: pb.UpdateObjectMetadataRequest, context: Any
    ) -> pb.UpdateObjectMetadataResponse:
        """Replaces an object's metadata."""
        stored = await self._objects.update_metadata(
            identity.caller().tenant, request.key, dict(request.metadata)
        )
        return pb.UpdateObjectMetadataResponse(object=_object(stored))

    async def SignDownload(self, request: pb.SignDownloadRequest, context: Any) -> pb.SignDownloadResponse:
        """Signs a link to an object, or to a document's source."""
        tenant, life = identity.caller().tenant, _life(request)
        match request.WhichOneof("target"):
            case "key":
                key = name = request.key
            case "document":
                name = request.document.document_key
                key = await self._source_of(tenant, request.document.collection, name)
            case _:
                raise InvalidRequest("INVALID_REQUEST", "Name key, or document.")
        file_name = check_file_name(request.file_name) if request.file_name else file_name_of(name)
        link = await self._objects.sign_download(tenant, key, life, file_name)
        await self._audit.record("link.download", key, detail={"of": name, "life_seconds": str(life)})
        return pb.SignDownloadResponse(link=_link(link))

    async def SignUpload(self, request: pb.SignUploadRequest, context: Any) -> pb.SignUploadResponse:
        """Signs a link by which an object can be put."""
        tenant, life = identity.caller().tenant, _life(request)
        link = await self._objects.sign_upload(tenant, _spec(request), life)
        await self._audit.record("link.upload", request.key, detail={"life_seconds": str(life)})
        return pb.SignUploadResponse(link=_link(link))


async def _header(messages: AsyncIterator[pb.PutObjectRequest]) -> pb.PutObjectRequest.Header:
    async for message in messages:
        if message.WhichOneof("part") == "header":
            return message.header
        break
    raise InvalidRequest("INVALID_REQUEST", "The first message of a PutObject is the header.")


async def _content(messages: AsyncIterator[pb.PutObjectRequest]) -> AsyncIterator[bytes]:
    async for message in messages:
        if message.WhichOneof("part") != "data" or len(message.data) > MAX_PIECE_BYTES:
            raise InvalidRequest(
                "INVALID_REQUEST", "After the header come messages of data, at most 1 MiB each."
            )
        yield message.data


def _spec(said: pb.PutObjectRequest.Header | pb.SignUploadRequest) -> ObjectSpec:
    return ObjectSpec(
        said.key,
        said.size_bytes,
        said.sha256,
        said.content_type or DEFAULT_CONTENT_TYPE,
        dict(said.metadata),
    )


def _life(request: pb.SignDownloadRequest | pb.SignUploadRequest) -> int:
    if not request.HasField("life"):
        return DEFAULT_SECONDS
    return check_life(request.life.seconds, request.life.nanos)


def _link(link: Link) -> link_pb2.Link:
    return link_pb2.Link(
        url=link.url, method=link.method, headers=link.headers, expire_time=timestamp(link.expire_time)
    )


def _object(stored: StoredObject) -> object_pb2.Object:
    spec = stored.spec
    return object_pb2.Object(
        key=spec.key,
        size_bytes=spec.size_bytes,
        sha256=spec.sha256,
        content_type=spec.content_type,
        create_time=timestamp(stored.create_time),
        metadata=spec.metadata,
        update_time=timestamp(stored.update_time),
    )
