"""Who refused decides about the money: the engine gives it back, a neighbour does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import pytest

from services.storage.backends.local import LocalObjects
from tests.conftest import MigratedPostgres
from tests.contract.makers_parser import MARKDOWN, a_run, job_request, neighbours, parsed, parser
from tests.contract.makers_parser import ended as end_of
from waybill.ledger.v1.entry_pb2 import Entry
from waybill.parser.v1.parse_job_pb2 import ParseJob
from waybill.runtime import identity
from waybill.runtime.errors import Conflict, InvalidRequest, Quota, ServiceError


@pytest.mark.parametrize("kind", [InvalidRequest, Quota, Conflict])
async def test_a_parse_whose_result_storage_refuses_is_paid_for_all_the_same(
    database: MigratedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[ServiceError]
) -> None:
    async def refuse(*_: Any) -> NoReturn:
        raise kind("STORAGE_REFUSES", "Of no vendor.")

    async with neighbours(database, tmp_path) as near, parser(database, near) as stub:
        with identity.acting_as(a_run()):
            request = job_request(await near.store(MARKDOWN), "a.md", MARKDOWN)
            monkeypatch.setattr(LocalObjects, "put", refuse)
            job = await end_of(stub, (await stub.CreateParseJob(request)).job)
            assert (job.state, job.reason) == (ParseJob.STATE_FAILED, "RESULT_NOT_STORED")
            assert [(entry.state, entry.quantity) for entry in await near.entries()] == [
                (Entry.STATE_SETTLED, 2)
            ]


@pytest.mark.parametrize(("filename", "content"), [("a.md", b" \n"), ("a.pdf", b"%PDF-1.7 and no more")])
async def test_what_the_engine_refuses_is_not_paid(
    database: MigratedPostgres, tmp_path: Path, filename: str, content: bytes
) -> None:
    async with neighbours(database, tmp_path) as near, parser(database, near) as stub:
        with identity.acting_as(a_run()):
            job = await parsed(stub, near, filename, content)
            assert job.state == ParseJob.STATE_FAILED
            assert {entry.state for entry in await near.entries()} <= {Entry.STATE_RELEASED}
