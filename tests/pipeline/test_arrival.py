"""What a document costs as it arrives: the index is asked only about one that came before."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest

from services.orchestrator.admission import Admission
from tests.inprocess import someone
from tests.pipeline.test_durable import House, house
from waybill.common.v1.space_pb2 import Space
from waybill.orchestrator.v1.orchestrator_service_pb2 import IngestRequest
from waybill.runtime import identity
from waybill.runtime.errors import Conflict
from waybill.storage.v1.document_index_service_pb2 import BeginVersionRequest, BeginVersionResponse

__all__ = ["house"]


class Stored(Exception):
    """The document's bytes are asked for: what comes behind it is not this test's."""


@dataclass
class Index:
    """It has no document."""

    asked: list[str] = field(default_factory=list)

    async def BeginVersion(self, request: BeginVersionRequest) -> BeginVersionResponse:  # noqa: N802
        self.asked.append(request.document_key)
        return BeginVersionResponse(outcome=BeginVersionResponse.OUTCOME_BEGUN)

    def PutObject(self, *, timeout: float) -> None:  # noqa: N802 - gRPC names the method
        raise Stored


class Spaces:
    """Every collection is in one space."""

    async def following(self, collection: str, operation: Callable[[Space], Awaitable[Any]]) -> Any:
        return await operation(Space(model="m", dimension=1))


async def arrive(house: House, index: Index, key: str, request_id: str = "", content: bytes = b"x") -> Any:
    async def messages() -> AsyncIterator[IngestRequest]:
        yield IngestRequest(
            header=IngestRequest.Header(
                document_key=key,
                size_bytes=len(content),
                sha256=hashlib.sha256(content).hexdigest(),
                request_id=request_id,
            )
        )

    peers: Any = SimpleNamespace(index=index, objects=index)
    spaces: Any = Spaces()
    with identity.acting_as(someone(house.tenant)):
        return await Admission(peers, house.runs, spaces, "r").ingest(messages())


async def test_the_index_is_asked_about_a_document_that_came_before_alone(house: House) -> None:
    index = Index()
    await house.run("old.md")
    for key in ("new.md", "old.md"):
        with pytest.raises(Stored):
            await arrive(house, index, key)
    assert index.asked == ["old.md"]


async def test_a_repeated_request_is_answered_by_its_run_and_other_content_is_refused(house: House) -> None:
    request_id = str(uuid.uuid4())
    run = await house.run("a.md", request_id=request_id, source_sha256=hashlib.sha256(b"x").hexdigest())
    assert str((await arrive(house, Index(), "a.md", request_id))["run_id"]) == run.run_id
    with pytest.raises(Conflict):
        await arrive(house, Index(), "a.md", request_id, b"other")
