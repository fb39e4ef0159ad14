"""Files and batches, on a clock that the tests advance."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sim.raw import SMALL, Seen, ask, connected, embed
from waybill.sim.openai.simulator import OpenAISimulator

DAY = 24 * 3600
BOUNDARY = "boundary-7"


def line(custom_id: str, text: str = "hello", **more: Any) -> dict[str, Any]:
    body = {"model": SMALL, "input": [text], "encoding_format": "base64"}
    return {"custom_id": custom_id, "method": "POST", "url": "/v1/embeddings", "body": body, **more}


def ten() -> list[dict[str, Any]]:
    return [line(f"c{number}", f"hello {number}") for number in range(10)]


async def upload(sim: OpenAISimulator, content: bytes, purpose: str = "batch") -> Seen:
    parts = [
        f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="purpose"\r\n\r\n{purpose}'.encode(),
        f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="in.jsonl"\r\n'
        "content-type: application/jsonl\r\n\r\n".encode()
        + content,
        f"--{BOUNDARY}--\r\n".encode(),
    ]
    async with connected(sim.base_url) as opened:
        kind = f"multipart/form-data; boundary={BOUNDARY}"
        await opened.send("POST", "/v1/files", b"\r\n".join(parts), content_type=kind)
        return await opened.receive()


async def create(sim: OpenAISimulator, lines: list[dict[str, Any]] | bytes, **more: Any) -> Seen:
    content = (
        lines if isinstance(lines, bytes) else b"".join(json.dumps(one).encode() + b"\n" for one in lines)
    )
    file = await upload(sim, content)
    body = {"input_file_id": file.json["id"], "endpoint": "/v1/embeddings", "completion_window": "24h"}
    return await ask(sim.base_url, "POST", "/v1/batches", {**body, **more})


async def look(sim: OpenAISimulator, batch_id: str) -> dict[str, Any]:
    batch: dict[str, Any] = (await ask(sim.base_url, "GET", f"/v1/batches/{batch_id}")).json
    return batch


async def lines_of(sim: OpenAISimulator, file_id: str) -> list[dict[str, Any]]:
    seen = await ask(sim.base_url, "GET", f"/v1/files/{file_id}/content")
    return [json.loads(one) for one in seen.body.splitlines()]


async def finished(sim: OpenAISimulator, lines: list[dict[str, Any]], seconds: float = 700) -> dict[str, Any]:
    batch = (await create(sim, lines)).json
    sim.clock.advance(seconds)
    return await look(sim, batch["id"])


async def test_a_file_is_kept_as_it_came(sim: OpenAISimulator) -> None:
    content = b'{"a": 1}\r\n\r\n--not the boundary\n'
    file = (await upload(sim, content)).json
    assert (file["bytes"], file["filename"], file["purpose"]) == (len(content), "in.jsonl", "batch")
    assert (await ask(sim.base_url, "GET", f"/v1/files/{file['id']}")).json == file
    assert (await ask(sim.base_url, "GET", f"/v1/files/{file['id']}/content")).body == content


async def test_a_file_of_another_purpose_or_project_is_refused(sim: OpenAISimulator) -> None:
    assert (await upload(sim, b"{}", "assistants")).status == 400
    file = (await upload(sim, b"{}")).json
    other = await ask(sim.base_url, "GET", f"/v1/files/{file['id']}", openai_project="proj-other")
    assert other.status == 404


async def test_how_long_a_batch_takes_is_set_for_those_to_come(sim: OpenAISimulator) -> None:
    before = (await create(sim, ten())).json
    sim.controls["/batches"](working_seconds=7_200)
    after = (await create(sim, ten())).json
    states = []
    for seconds in (700, 6_500, 100):
        sim.clock.advance(seconds)
        states.append([(await look(sim, batch["id"]))["status"] for batch in (before, after)])
    assert states == [["completed", "in_progress"], ["completed", "in_progress"], ["completed", "completed"]]


async def test_a_batch_goes_through_its_states_by_the_clock(sim: OpenAISimulator) -> None:
    batch = (await create(sim, ten(), metadata={"run": "r1"})).json
    assert (batch["status"], batch["metadata"], batch["output_file_id"]) == (
        "validating",
        {"run": "r1"},
        None,
    )
    states = []
    for seconds in (5, 300, 300, 5):
        sim.clock.advance(seconds)
        seen = await look(sim, batch["id"])
        states.append((seen["status"], seen["request_counts"]["completed"]))
    assert states == [("in_progress", 0), ("in_progress", 5), ("finalizing", 10), ("completed", 10)]
    assert seen["completed_at"] == seen["created_at"] + 610
    assert seen["expires_at"] == seen["created_at"] + DAY


async def test_results_equal_the_synchronous_ones_in_another_order_at_half_price(
    sim: OpenAISimulator,
) -> None:
    batch = await finished(sim, ten())
    results = await lines_of(sim, batch["output_file_id"])
    assert [one["custom_id"] for one in results] != [f"c{number}" for number in range(10)]
    by_id = {one["custom_id"]: one["response"]["body"] for one in results}
    half = sim.invoice.total_nano_usd
    for number in range(10):
        direct = await embed(sim.base_url, f"hello {number}", encoding_format="base64")
        assert by_id[f"c{number}"] == direct.json
    assert sim.invoice.total_nano_usd == half * 3


async def test_a_batch_is_on_the_invoice_though_nobody_looks(sim: OpenAISimulator) -> None:
    await create(sim, [line("a")])
    assert sim.invoice.total_nano_usd == 0
    sim.clock.advance(700)
    assert [(entry.item, entry.nano_usd) for entry in sim.invoice.lines] == [(f"{SMALL} batch", 10)]


@pytest.mark.parametrize(
    ("lines", "code", "number"),
    [
        (b"", "empty_file", None),
        (b"{\n", "invalid_json_line", 1),
        ([line("a"), line("a")], "duplicate_custom_id", 2),
        ([line("a", url="/v1/chat/completions")], "mismatched_url", 1),
        ([line("a", method="GET")], "invalid_method", 1),
        ([line("a", body=None)], "missing_required_parameter", 1),
        ([line("a", body={"model": SMALL, "input": ["a"] * 50_001})], "too_many_inputs", None),
    ],
)
async def test_a_bad_file_fails_the_batch_and_costs_nothing(
    sim: OpenAISimulator, lines: list[dict[str, Any]] | bytes, code: str, number: int | None
) -> None:
    created = await create(sim, lines)
    assert created.json["errors"] is None
    sim.clock.advance(700)
    batch = await look(sim, created.json["id"])
    assert batch["status"] == "failed"
    assert [(error["code"], error["line"]) for error in batch["errors"]["data"]] == [(code, number)]
    assert sim.invoice.total_nano_usd == 0


@pytest.mark.parametrize(
    "change",
    [
        {"endpoint": "/v1/responses"},
        {"completion_window": "1h"},
        {"metadata": {"key": 1}},
        {"input_file_id": "file-none"},
    ],
)
async def test_a_bad_create_is_refused_at_once(sim: OpenAISimulator, change: dict[str, Any]) -> None:
    assert (await create(sim, ten(), **change)).status in (400, 404)
    assert (await ask(sim.base_url, "GET", "/v1/batches")).json["data"] == []


async def test_one_bad_request_of_a_batch_is_a_line_of_the_error_file(sim: OpenAISimulator) -> None:
    batch = await finished(sim, [line("a"), line("b", "")])
    assert batch["request_counts"] == {"total": 2, "completed": 1, "failed": 1}
    (bad,) = await lines_of(sim, batch["error_file_id"])
    assert (bad["custom_id"], bad["response"]["status_code"]) == ("b", 400)


async def test_a_cancelled_batch_keeps_and_bills_what_was_done(sim: OpenAISimulator) -> None:
    batch = (await create(sim, ten())).json
    sim.clock.advance(5 + 300)
    cancel = f"/v1/batches/{batch['id']}/cancel"
    assert (await ask(sim.base_url, "POST", cancel)).json["status"] == "cancelling"
    sim.clock.advance(30)
    seen = await look(sim, batch["id"])
    assert (seen["status"], seen["request_counts"]["completed"]) == ("cancelled", 5)
    assert len(await lines_of(sim, seen["output_file_id"])) == 5
    assert sim.invoice.quantities() == {f"{SMALL} batch": 5 * 3}
    assert (await ask(sim.base_url, "POST", cancel)).status == 409


async def test_batches_are_listed_newest_first_in_pages_with_metadata(sim: OpenAISimulator) -> None:
    ids = [(await create(sim, ten(), metadata={"n": str(n)})).json["id"] for n in range(3)]
    first = (await ask(sim.base_url, "GET", "/v1/batches?limit=2")).json
    assert [batch["id"] for batch in first["data"]] == ids[:0:-1]
    assert (first["has_more"], first["last_id"]) == (True, ids[1])
    second = (await ask(sim.base_url, "GET", f"/v1/batches?limit=2&after={ids[1]}")).json
    assert [batch["metadata"] for batch in second["data"]] == [{"n": "0"}]
    assert second["has_more"] is False
    assert (await ask(sim.base_url, "GET", "/v1/batches?limit=101")).status == 400


async def test_o31_a_lost_create_is_found_by_listing(sim: OpenAISimulator) -> None:
    sim.faults.add("O31:n=1")
    with pytest.raises(ConnectionResetError):
        await create(sim, ten(), metadata={"run": "r1"})
    (found,) = (await ask(sim.base_url, "GET", "/v1/batches")).json["data"]
    assert found["metadata"] == {"run": "r1"}


async def test_o32_a_batch_fails_in_part_and_bills_the_rest(sim: OpenAISimulator) -> None:
    sim.faults.add("O32:n=1")
    batch = await finished(sim, ten())
    assert batch["request_counts"] == {"total": 10, "completed": 7, "failed": 3}
    bad = await lines_of(sim, batch["error_file_id"])
    assert [(one["custom_id"], one["response"]["status_code"]) for one in bad] == [
        ("c2", 500),
        ("c5", 500),
        ("c8", 500),
    ]
    assert sim.invoice.quantities() == {f"{SMALL} batch": 7 * 3}


async def test_o33_a_batch_expires_with_half_of_it_done(sim: OpenAISimulator) -> None:
    sim.faults.add("O33:n=1")
    batch = await finished(sim, ten(), DAY - 1)
    assert batch["status"] == "in_progress"
    sim.clock.advance(1)
    batch = await look(sim, batch["id"])
    assert (batch["status"], batch["request_counts"]["completed"]) == ("expired", 5)
    left = await lines_of(sim, batch["error_file_id"])
    assert {(one["custom_id"], one["error"]["code"]) for one in left} == {
        (f"c{number}", "batch_expired") for number in range(5, 10)
    }
    assert sim.invoice.quantities() == {f"{SMALL} batch": 5 * 3}


async def test_a_batch_that_is_broken_has_the_same_wrong_answer_in_each_line(
    sim: OpenAISimulator,
) -> None:
    sim.faults.add("O27:op=batches.create")
    batch = await finished(sim, ten())
    lines = await lines_of(sim, batch["output_file_id"])
    assert ["usage" in one["response"]["body"] for one in lines] == [False] * 10
    assert sim.invoice.quantities() == {f"{SMALL} batch": 10 * 3}


async def test_a_deleted_file_is_gone(sim: OpenAISimulator) -> None:
    file = (await upload(sim, b"{}")).json
    other = await ask(sim.base_url, "DELETE", f"/v1/files/{file['id']}", openai_project="proj-other")
    assert other.status == 404
    gone = await ask(sim.base_url, "DELETE", f"/v1/files/{file['id']}")
    assert gone.json == {"id": file["id"], "object": "file", "deleted": True}
    assert (await ask(sim.base_url, "GET", f"/v1/files/{file['id']}/content")).status == 404
    assert (await ask(sim.base_url, "DELETE", f"/v1/files/{file['id']}")).status == 404


@pytest.mark.parametrize(("variant", "count", "distinct"), [("missing", 9, 9), ("twice", 11, 10)])
async def test_o34_a_custom_id_is_missing_or_twice(
    sim: OpenAISimulator, variant: str, count: int, distinct: int
) -> None:
    sim.faults.add(f"O34/{variant}:n=1")
    batch = await finished(sim, ten())
    ids = [one["custom_id"] for one in await lines_of(sim, batch["output_file_id"])]
    assert (len(ids), len(set(ids))) == (count, distinct)
    assert sim.invoice.quantities() == {f"{SMALL} batch": 10 * 3}


async def test_o34_the_order_may_be_the_reverse(sim: OpenAISimulator) -> None:
    sim.faults.add("O34/reversed:n=1")
    batch = await finished(sim, ten())
    ids = [one["custom_id"] for one in await lines_of(sim, batch["output_file_id"])]
    assert ids == [f"c{number}" for number in range(9, -1, -1)]
