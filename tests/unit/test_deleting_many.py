"""What a call that deletes many says of a document that stays."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from services.orchestrator.control import Control
from services.orchestrator.runs.deleting import Deletions
from waybill.orchestrator.v1.orchestrator_service_pb2 import DeleteDocumentResponse, DeleteDocumentsRequest
from waybill.runtime.audit import Audit, log_alone
from waybill.runtime.errors import Precondition
from waybill.storage.v1.document_index_service_pb2 import ListDocumentsRequest, ListDocumentsResponse
from waybill.storage.v1.document_pb2 import Document


class Index:
    async def ListDocuments(self, request: ListDocumentsRequest) -> ListDocumentsResponse:  # noqa: N802
        return ListDocumentsResponse(documents=[Document(collection="default", document_key="lamp.md")])


class Refusing(Control):
    """Each document stays, for a reason."""

    def __init__(self, why: Precondition) -> None:
        nothing: Any = None
        peers: Any = SimpleNamespace(index=Index())
        deletions = cast("Deletions", NoneUnfinished())
        super().__init__(nothing, nothing, nothing, peers, deletions, Audit(log_alone), nothing)
        self._why = why

    async def delete(self, tenant: str, collection: str, document_key: str) -> DeleteDocumentResponse:
        raise self._why


class NoneUnfinished:
    async def unfinished(self, *args: object) -> list[dict[str, str]]:
        return []


async def test_a_document_whose_run_is_under_way_is_named() -> None:
    control = Refusing(Precondition("RUN_UNFINISHED", "Await it.", {"run_id": "r"}))
    answer = await control.delete_many("t", DeleteDocumentsRequest(collection="default"))
    assert [(one.document_key, one.run_id) for one in answer.unfinished] == [("lamp.md", "r")]


async def test_what_else_keeps_a_document_is_told_as_it_is() -> None:
    control = Refusing(Precondition("JOB_UNFINISHED", "A parse of this content is under way."))
    with pytest.raises(Precondition, match="A parse of this content"):
        await control.delete_many("t", DeleteDocumentsRequest(collection="default"))
