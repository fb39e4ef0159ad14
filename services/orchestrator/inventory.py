"""What a caller has in the index: the index's documents, each with what its run knows of the file."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from services.orchestrator.peers import Peers
from services.orchestrator.runs.rows import Row
from services.orchestrator.runs.store import Runs
from waybill.orchestrator.v1 import orchestrator_service_pb2 as pb
from waybill.orchestrator.v1.document_pb2 import Document
from waybill.runtime.errors import InvalidRequest
from waybill.storage.v1 import document_index_service_pb2 as index
from waybill.storage.v1 import document_pb2 as indexed


class Inventory:
    """Reads the index for a caller."""

    def __init__(self, peers: Peers, runs: Runs) -> None:
        self._peers = peers
        self._runs = runs

    async def document(self, tenant: str, request: pb.GetDocumentRequest) -> Document:
        """One document. Raises NotFound: DOCUMENT_NOT_FOUND."""
        asked = index.GetDocumentRequest(collection=request.collection, document_key=request.document_key)
        found = await self._peers.index.GetDocument(asked)
        return (await self._told(tenant, [found.document]))[0]

    async def documents(self, tenant: str, request: pb.ListDocumentsRequest) -> pb.ListDocumentsResponse:
        """A page of documents. Raises InvalidRequest: PAGE_TOKEN_INVALID."""
        asked = index.ListDocumentsRequest(
            page_size=request.page_size,
            page_token=request.page_token,
            collection=request.collection,
            metadata=request.metadata,
            origin=request.origin,
            source_sha256=request.source_sha256,
        )
        page = await self._peers.index.ListDocuments(asked)
        told = await self._told(tenant, page.documents)
        return pb.ListDocumentsResponse(documents=told, next_page_token=page.next_page_token)

    async def collections(self, request: pb.ListCollectionsRequest) -> pb.ListCollectionsResponse:
        """A page of collections. Raises InvalidRequest: PAGE_TOKEN_INVALID."""
        asked = index.ListCollectionsRequest(page_size=request.page_size, page_token=request.page_token)
        page = await self._peers.index.ListCollections(asked)
        return pb.ListCollectionsResponse(collections=page.collections, next_page_token=page.next_page_token)

    async def chunks(self, request: pb.ListChunksRequest) -> pb.ListChunksResponse:
        """A page of a document's published chunks.

        Raises:
            NotFound: DOCUMENT_NOT_FOUND, VERSION_NOT_FOUND.
            InvalidRequest: INVALID_REQUEST, PAGE_TOKEN_INVALID.
        """
        if not request.document_key:
            raise InvalidRequest("INVALID_REQUEST", "document_key is missing.")
        asked = index.ListChunksRequest(
            collection=request.collection,
            document_key=request.document_key,
            page_size=request.page_size,
            page_token=request.page_token,
        )
        page = await self._peers.index.ListChunks(asked)
        return pb.ListChunksResponse(
            chunks=page.chunks, next_page_token=page.next_page_token, version_id=page.version_id
        )

    async def _told(self, tenant: str, documents: Sequence[indexed.Document]) -> list[Document]:
        rows = await self._runs.named(tenant, [one.run_id for one in documents if _is_run_id(one.run_id)])
        runs = {str(row["run_id"]): row for row in rows}
        return [_document(one, runs.get(one.run_id, {})) for one in documents]


def _document(found: indexed.Document, run: Row) -> Document:
    """A document of the index, with what its run knows; a run that is gone knows nothing."""
    state = "READY_DEGRADED" if run.get("state") == "READY_DEGRADED" else "READY"
    document = Document(
        state=f"STATE_{state if found.version_id else 'UNPUBLISHED'}",
        document_id=found.document_id,
        collection=found.collection,
        document_key=found.document_key,
        version_id=found.version_id,
        run_id=found.run_id,
        source_sha256=found.source_sha256,
        size_bytes=run.get("size_bytes", 0),
        pages=run.get("pages", 0),
        chunks=found.chunk_count,
        metadata=found.metadata,
        origin=found.origin,
        create_time=found.create_time,
        backends=found.backends,
        lacking=found.lacking,
    )
    for name in ("space", "publish_time"):
        if found.HasField(name):
            getattr(document, name).CopyFrom(getattr(found, name))
    return document


def _is_run_id(text: str) -> bool:
    """Whether it may name a run of ours: whoever calls the index itself names runs as they like."""
    try:
        return str(uuid.UUID(text)) == text
    except ValueError:
        return False
