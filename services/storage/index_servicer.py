"""DocumentIndexService: request → versions, chunks, publishing or search → response."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, fields, replace
from functools import partial
from typing import Any, TypeVar

from services.storage import (
    chunks,
    comparing,
    delete,
    inventory,
    messages,
    names,
    publish,
    search,
    spaces,
    versions,
)
from services.storage.chunks import MAX_PAGE_BYTES, Chunk, Listing
from services.storage.inventory import Wanted
from services.storage.messages import CHUNK_FIELDS
from services.storage.names import MAX_NAME_BYTES
from services.storage.reach import Filter
from services.storage.search import DEFAULT_LIMIT, Mode, Question
from services.storage.spaces import Space
from services.storage.versions import Beginning, Begun
from waybill.common.v1 import space_pb2
from waybill.runtime import identity
from waybill.runtime.errors import InvalidRequest, Precondition
from waybill.runtime.identity import MAX_COLLECTION_BYTES, MAX_DOCUMENT_KEY_BYTES
from waybill.runtime.postgres import Connection, Database
from waybill.runtime.wire import moment, page_place, page_size, page_token
from waybill.storage.v1 import chunk_pb2, comparison_pb2, document_index_service_pb2_grpc, document_pb2
from waybill.storage.v1 import document_index_service_pb2 as pb

MAX_ORIGIN_BYTES = 4096
DEFAULT_PAGE, MAX_PAGE = 100, 200
MAX_DOCUMENT_KEYS = 1_000
MAX_KNOWN_SOURCES = 1_000
MAX_METADATA, MAX_METADATA_BYTES = 64, 64 * 1024
T = TypeVar("T")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_MODES = {
    pb.SearchRequest.MODE_UNSPECIFIED: Mode.HYBRID,
    pb.SearchRequest.MODE_VECTOR: Mode.VECTOR,
    pb.SearchRequest.MODE_TEXT: Mode.TEXT,
    pb.SearchRequest.MODE_HYBRID: Mode.HYBRID,
}


class DocumentIndexServicer(document_index_service_pb2_grpc.DocumentIndexServiceServicer):
    """The RPCs of the document index."""

    def __init__(self, database: Database, owner: Database, on_replaced: Callable[[], None]) -> None:
        """Args:
        database: One tenant at a time.
        owner: Makes room for a new space.
        on_replaced: Told after a version was replaced by another.
        """
        self._database = database
        self._owner = owner
        self._on_replaced = on_replaced

    async def BeginVersion(self, request: pb.BeginVersionRequest, context: Any) -> pb.BeginVersionResponse:
        """Begins a version."""
        wanted = _beginning(request)

        async def begin() -> Begun:
            async with self._database.transaction(_tenant()) as connection:
                return await versions.begin(
                    connection, _tenant(), wanted, validate_only=request.validate_only
                )

        if request.validate_only:
            try:
                return _begun(await begin())
            except Precondition as error:
                if error.reason != "SPACE_UNKNOWN":
                    raise
                return _begun(Begun(False))  # nothing is in a space that nobody knows
        begun = await self._with_room(wanted.space, begin)
        # A repeat answers what the first call did, also behind the publishing.
        if begun.published:
            begun = replace(begun, published=False, chunk_count=0, pending=0, space=None)
        return _begun(begun)

    async def PutChunks(self, request: pb.PutChunksRequest, context: Any) -> pb.PutChunksResponse:
        """Writes chunks."""
        sent = [Chunk(**{name: getattr(chunk, name) for name in CHUNK_FIELDS}) for chunk in request.chunks]
        if not request.HasField("begin"):
            put = await chunks.put_chunks(self._database, _tenant(), request.version_id, sent)
        else:
            if request.version_id or request.begin.validate_only:
                raise InvalidRequest(
                    "INVALID_REQUEST", "With begin there is no version_id yet, and nothing is validated only."
                )
            wanted = _beginning(request.begin)
            begin = partial(chunks.put_chunks, self._database, _tenant(), wanted, sent)
            put = await self._with_room(wanted.space, begin)
        written = put.begun is None or not put.begun.settled
        return pb.PutChunksResponse(
            reused_vectors=len(sent) - len(put.pending) if written else 0,
            begun=_begun(put.begun) if put.begun else None,
            pending_ordinals=put.pending,
        )

    async def ListChunks(self, request: pb.ListChunksRequest, context: Any) -> pb.ListChunksResponse:
        """Lists chunks."""
        if min(request.start_ordinal, request.end_ordinal) < 0:
            raise InvalidRequest("INVALID_REQUEST", "Ordinals are at least 0.")
        named = {field.name: getattr(request, field.name) for field in fields(Listing)}
        named["space"] = _space(request.space) if request.HasField("space") else None
        wanted = Listing(**named)
        if wanted.document_key:
            key = names.document_key(request.document_key)
            wanted = replace(wanted, collection=names.collection(request.collection), document_key=key)
        version, page, token = await chunks.list_chunks(self._database, _tenant(), wanted)
        listed = [messages.chunk(version.version_id, one) for one in page]
        return pb.ListChunksResponse(chunks=listed, next_page_token=token, version_id=str(version.version_id))

    async def CompareChunks(
        self, request: comparison_pb2.CompareChunksRequest, context: Any
    ) -> comparison_pb2.CompareChunksResponse:
        """Says what there is of planned chunks."""
        compared = await comparing.compare(
            self._database,
            _tenant(),
            names.collection(request.collection),
            names.document_key(request.document_key),
            _space(request.space),
            request.sha256,
        )
        return comparison_pb2.CompareChunksResponse(
            embedded=compared.embedded, published_here=compared.here, published=compared.published
        )

    async def PutVectors(self, request: pb.PutVectorsRequest, context: Any) -> pb.PutVectorsResponse:
        """Writes vectors."""
        vectors = {vector.ordinal: vector.values for vector in request.vectors}
        version_id, space = request.version_id, _space(request.space)

        async def write(connection: Connection) -> None:
            await chunks.put_vectors(connection, _tenant(), version_id, space, vectors)

        if not request.HasField("publish"):
            async with self._database.transaction(_tenant()) as connection:
                await write(connection)
            return pb.PutVectorsResponse()
        if request.publish.version_id not in ("", version_id):
            raise InvalidRequest("INVALID_REQUEST", "publish.version_id stays empty: it is version_id.")
        return pb.PutVectorsResponse(published=await self._publish(version_id, request.publish, write))

    async def PublishVersion(
        self, request: pb.PublishVersionRequest, context: Any
    ) -> pb.PublishVersionResponse:
        """Publishes a version."""
        return await self._publish(request.version_id, request)

    async def DeleteDocument(
        self, request: pb.DeleteDocumentRequest, context: Any
    ) -> pb.DeleteDocumentResponse:
        """Deletes a document."""
        if len(request.source_sha256) > MAX_KNOWN_SOURCES:
            raise InvalidRequest("INVALID_REQUEST", f"At most {MAX_KNOWN_SOURCES} source_sha256.")
        collection, key = names.collection(request.collection), names.document_key(request.document_key)
        deleted = await delete.delete_document(
            self._database, _tenant(), collection, key, request.source_sha256
        )
        return pb.DeleteDocumentResponse(**asdict(deleted))

    async def GetDocument(self, request: pb.GetDocumentRequest, context: Any) -> pb.GetDocumentResponse:
        """Reads a document."""
        collection, key = names.collection(request.collection), names.document_key(request.document_key)
        async with self._database.transaction(_tenant()) as connection:
            row = await inventory.document(connection, _tenant(), collection, key)
        return pb.GetDocumentResponse(document=messages.document(row))

    async def ListDocuments(self, request: pb.ListDocumentsRequest, context: Any) -> pb.ListDocumentsResponse:
        """Lists documents."""
        size = page_size(request.page_size, DEFAULT_PAGE, MAX_PAGE)
        wanted = Wanted(
            collection=names.checked("collection", request.collection, MAX_COLLECTION_BYTES),
            metadata=_metadata(request.metadata),
            origin=names.checked("origin", request.origin, MAX_ORIGIN_BYTES),
            source_sha256=names.checked("source_sha256", request.source_sha256, MAX_NAME_BYTES),
        )
        after = page_place(request.page_token, 2)
        rows = await inventory.documents(self._database, _tenant(), wanted, size + 1, after)
        answer = pb.ListDocumentsResponse()
        for row in rows[:size]:
            answer.documents.append(messages.document(row))
            if answer.ByteSize() > MAX_PAGE_BYTES:
                break
        if len(rows) > len(answer.documents):
            last = answer.documents[-1]
            answer.next_page_token = page_token(last.collection, last.document_key)
        return answer

    async def ListCollections(
        self, request: pb.ListCollectionsRequest, context: Any
    ) -> pb.ListCollectionsResponse:
        """Lists collections."""
        size = page_size(request.page_size, DEFAULT_PAGE, MAX_PAGE)
        (after,) = page_place(request.page_token, 1) or (None,)
        rows = await inventory.collections(self._database, _tenant(), size + 1, after)
        return pb.ListCollectionsResponse(
            collections=[document_pb2.Collection(**row) for row in rows[:size]],
            next_page_token=page_token(rows[size - 1]["collection"]) if len(rows) > size else "",
        )

    async def Search(self, request: pb.SearchRequest, context: Any) -> pb.SearchResponse:
        """Finds chunks."""
        question = _question(request)
        answer = await search.search(self._database, _tenant(), question)
        return pb.SearchResponse(
            hits=[messages.hit(hit, question.within.collection) for hit in answer.hits],
            space=request.space if request.HasField("space") else None,
            coverage=chunk_pb2.Coverage(chunks=answer.chunks, vectors=answer.vectors),
            hint=answer.hint,
        )

    async def _publish(
        self,
        version_id: str,
        wanted: pb.PublishVersionRequest,
        complete: Callable[[Connection], Awaitable[None]] | None = None,
    ) -> pb.PublishVersionResponse:
        if wanted.chunk_count < 1:
            raise InvalidRequest(
                "INVALID_REQUEST", "chunk_count is at least 1: a document without text fails."
            )
        if wanted.edition < 0:
            raise InvalidRequest("INVALID_REQUEST", "edition is 0, or a number that grows.")
        backends = names.backends(wanted.backends)
        version = publish.Wanted(
            version_id, wanted.chunk_count, wanted.edition, wanted.vectors_pending, backends
        )
        published = await publish.publish(self._database, _tenant(), version, complete)
        if published.replaced_version_id:
            self._on_replaced()
        return pb.PublishVersionResponse(
            document_id=str(published.document_id),
            replaced_version_id=str(published.replaced_version_id or ""),
            pending_vectors=published.pending,
        )

    async def _with_room(self, space: Space, operation: Callable[[], Awaitable[T]]) -> T:
        """Begins a version; a space that is new gets its room first."""
        try:
            return await operation()
        except Precondition as error:
            if error.reason != "SPACE_UNKNOWN":
                raise
        await spaces.make(self._owner, space)
        return await operation()


def _tenant() -> str:
    return identity.caller().tenant


def _begun(begun: Begun) -> pb.BeginVersionResponse:
    kind = pb.BeginVersionResponse
    outcome = kind.OUTCOME_UNCHANGED if begun.unchanged else kind.OUTCOME_BEGUN
    return kind(
        outcome=kind.OUTCOME_PUBLISHED if begun.published else outcome,
        version_id=begun.version_id,
        document_id=begun.document_id,
        chunk_count=begun.chunk_count,
        run_id=begun.run_id,
        description_differs=not begun.described,
        pending_vectors=begun.pending,
        space=space_pb2.Space(**asdict(begun.space)) if begun.space else None,
    )


def _beginning(request: pb.BeginVersionRequest) -> Beginning:
    if not _SHA256.fullmatch(request.source_sha256):
        raise InvalidRequest("INVALID_REQUEST", "source_sha256 has 64 lower-case hex digits.")
    if not request.run_id and not request.validate_only:
        raise InvalidRequest("INVALID_REQUEST", "run_id is missing; only validate_only does without.")
    return Beginning(
        collection=names.collection(request.collection),
        document_key=names.document_key(request.document_key),
        source_sha256=request.source_sha256,
        recipe=names.checked("recipe", request.recipe, MAX_NAME_BYTES),
        space=_space(request.space),
        run_id=names.checked("run_id", request.run_id, MAX_NAME_BYTES),
        metadata=_metadata(request.metadata),
        origin=names.checked("origin", request.origin, MAX_ORIGIN_BYTES),
        keep_until=moment(request.keep_until) if request.HasField("keep_until") else None,
    )


def _question(request: pb.SearchRequest) -> Question:
    if request.mode not in _MODES or len(request.document_keys) > MAX_DOCUMENT_KEYS:
        raise InvalidRequest(
            "INVALID_REQUEST", f"mode is one of the enum's, and at most {MAX_DOCUMENT_KEYS} document_keys."
        )
    return Question(
        within=Filter(
            collection=names.collection(request.collection),
            document_keys=[
                names.checked("document_keys", key, MAX_DOCUMENT_KEY_BYTES) for key in request.document_keys
            ],
            metadata=_metadata(request.metadata),
            first_page=request.first_page,
            last_page=request.last_page,
        ),
        mode=_MODES[request.mode],
        query=request.query,
        vector=request.vector,
        space=_space(request.space) if request.HasField("space") else None,
        limit=request.limit or DEFAULT_LIMIT,
        beside=request.beside,
        exact=request.exact,
    )


def _space(space: space_pb2.Space) -> Space:
    return Space(space.model, space.dimension, space.revision)


def _metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    size = sum(len(key.encode()) + len(value.encode()) for key, value in metadata.items())
    if (
        len(metadata) > MAX_METADATA
        or size > MAX_METADATA_BYTES
        or "\0" in "".join([*metadata, *metadata.values()])
    ):
        raise InvalidRequest(
            "INVALID_REQUEST",
            f"metadata has at most {MAX_METADATA} entries of {MAX_METADATA_BYTES} bytes in all, and no NUL"
            " character.",
        )
    return dict(metadata)
