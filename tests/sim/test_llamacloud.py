"""The simulated LlamaCloud's own rules: keys, files, jobs, results, credits and limits."""

from __future__ import annotations

import dataclasses
import json
import re
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.office_files import docx, paragraph, pptx
from tests.sim import raw
from tests.sim.cloud import (
    FILES,
    KEY,
    PARSE,
    TWO_PAGES,
    ask,
    begin,
    create,
    details,
    done,
    look,
    send_form,
    status,
    upload,
)
from tests.sim.conftest import NOON
from waybill.sim.llamacloud.settings import Assumptions, JobTimes, LlamaCloudSettings
from waybill.sim.llamacloud.simulator import LlamaCloudSimulator as Cloud

CREDIT = 1_250_000
HANDBOOK = Path(__file__).parents[2] / "examples/documents/brannock-sound-handbook.pdf"
PACKED_PDF = (
    b"%%PDF-1.7\n1 0 obj <</Type /ObjStm /Filter /FlateDecode>> stream\n%s\nendstream"
    % zlib.compress(b"<</Type/Pages/Count 3>> <</Type/Page>> <</Type /Page/A 1>> <</Type /Page>>")
)
HOUR, DAY = 3600, 24 * 3600


def settings(**more: Any) -> LlamaCloudSettings:
    return LlamaCloudSettings(seed=7, latency_seconds=0, clock_start=NOON, **more)


def assuming(**more: Any) -> LlamaCloudSettings:
    return settings(assumptions=Assumptions(**more))


@pytest.fixture
async def free() -> AsyncIterator[Cloud]:
    """Everybody is on the free plan."""
    async with Cloud(settings(plan="free"), 0, 0) as running:
        yield running


@pytest.mark.parametrize("path", ["/v1/status", "/api/v1/status", "/api/v3/parse", "/"])
async def test_an_unknown_path_is_not_found_with_any_key(cloud: Cloud, path: str) -> None:
    for key in (KEY, "sk-other"):
        seen = await ask(cloud, "GET", path, key=key)
        assert (seen.status, seen.json) == (404, {"detail": "Not Found"})


async def test_a_key_that_is_not_known_here_is_401(cloud: Cloud) -> None:
    cloud.keys.add("llx-far", region="eu")
    for key in ("sk-other", "llx-far"):
        seen = await ask(cloud, "GET", "/api/v1/projects", key=key)
        assert (seen.status, seen.json) == (401, {"detail": "Invalid API Key"})


async def test_a_disabled_key_and_a_foreign_project_are_403_and_a_foreign_file_404(cloud: Cloud) -> None:
    cloud.keys.add("llx-off", state="disabled")
    cloud.keys.add("llx-a", organization="org-a", project="proj-a")
    assert (await ask(cloud, "GET", "/api/v1/projects", key="llx-off")).status == 403
    for query in ("organization_id=org-b", "project_id=proj-b"):
        assert (await ask(cloud, "GET", f"/api/v1/projects?{query}", key="llx-a")).status == 403
    assert (await ask(cloud, "GET", f"{FILES}/{await upload(cloud)}", key="llx-a")).status == 404


async def test_keys_of_a_file_have_their_project_plan_and_region(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text("llx-a organization=org-a project=proj-a plan=free\nllx-eu region=eu\n")
    async with Cloud(settings(keys_file=keys), 0, 0) as cloud:
        projects = await ask(cloud, "GET", "/api/v1/projects", key="llx-a")
        assert [(one["id"], one["organization_id"]) for one in projects.json] == [("proj-a", "org-a")]
        assert (await ask(cloud, "GET", "/api/v2/projects", key="llx-a")).json["items"] == projects.json
        assert (await ask(cloud, "GET", "/api/v1/projects/proj-a", key="llx-a")).json == projects.json[0]
        assert (await ask(cloud, "GET", "/api/v1/projects", key="llx-eu")).status == 401
        assert (await ask(cloud, "GET", "/api/v1/projects", key=KEY)).status == 401


async def test_a_file_is_kept_on_disk_for_48_hours_and_goes_with_the_simulator(cloud: Cloud) -> None:
    file_id = await upload(cloud, b"x" * 3_000_000)
    seen = (await ask(cloud, "GET", f"{FILES}/{file_id}")).json
    assert re.fullmatch(r"dfl-[0-9a-f-]{36}", seen["id"])
    assert (seen["name"], seen["file_type"], seen["purpose"]) == ("two.txt", "txt", "parse")
    assert 3_000_000 in [path.stat().st_size for path in cloud.folder.iterdir()]
    cloud.clock.advance(48 * HOUR)
    assert (await ask(cloud, "GET", f"{FILES}/{file_id}")).status == 404
    gone = await create(cloud, file_id)
    assert (gone.status, gone.json) == (404, {"detail": "Source file not found in storage"})


async def test_a_file_is_found_by_its_external_id_until_it_is_deleted(cloud: Cloud) -> None:
    fields = {"purpose": "parse", "external_file_id": "mine-1"}
    file_id = (await send_form(cloud, FILES, fields)).json["id"]
    await upload(cloud)
    listed = (await ask(cloud, "GET", f"{FILES}?external_file_id=mine-1")).json["items"]
    asked = await ask(cloud, "POST", f"{FILES}/query", {"filter": {"external_file_id": "mine-1"}})
    assert [file["id"] for file in listed] == [file["id"] for file in asked.json["items"]] == [file_id]
    assert (await ask(cloud, "DELETE", f"{FILES}/{file_id}")).status == 204
    assert (await ask(cloud, "GET", f"{FILES}/{file_id}")).status == 404
    assert (await create(cloud, file_id)).json == {"detail": "File not found"}


@pytest.mark.parametrize(
    ("fields", "content", "name", "expected"),
    [
        ({}, b"x", "a.txt", 422),
        ({"purpose": "nonsense"}, b"x", "a.txt", 422),
        ({"purpose": "parse"}, b"", "a.txt", 400),
        ({"purpose": "parse"}, b"x", "", 400),
        ({"purpose": "parse"}, b"x", "a" * 300 + ".txt", 400),
    ],
)
async def test_a_bad_upload_is_refused(
    cloud: Cloud, fields: dict[str, str], content: bytes, name: str, expected: int
) -> None:
    assert (await send_form(cloud, FILES, fields, content, name)).status == expected


async def test_a_file_over_512_mb_is_413_before_it_is_read(cloud: Cloud) -> None:
    async with raw.connected(cloud.base_url) as line:
        await line.send("POST", FILES, authorization=f"Bearer {KEY}", content_length=str(513 * 2**20))
        assert (await line.receive()).status == 413


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"tier": None}, ["tier"]),
        ({"tier": "best"}, ["tier"]),
        ({"version": "2020-01-01"}, ["version"]),
        ({"tier": "fast", "version": "2026-10-16"}, ["version"]),
        ({"source_url": "https://example.com/a.pdf"}, ["file_id"]),
        ({"file_id": None}, ["file_id"]),
        ({"crop_box": {"top": 2}}, ["crop_box", "top"]),
        ({"page_ranges": {"max_pages": 0}}, ["page_ranges", "max_pages"]),
        ({"page_ranges": {"target_pages": "3-"}}, ["page_ranges", "target_pages"]),
        ({"page_ranges": {"target_pages": "1,1-2"}}, ["page_ranges", "target_pages"]),
        (
            {"processing_control": {"timeouts": {"base_in_seconds": 7201}}},
            ["processing_control", "timeouts", "base_in_seconds"],
        ),
        ({"user_metadata": {"a": 1}}, ["user_metadata"]),
        (
            {"webhook_configurations": [{"webhook_url": "ftp://a.example"}]},
            ["webhook_configurations", "0", "webhook_url"],
        ),
        (
            {"webhook_configurations": [{"webhook_url": "https://10.0.0.1/h"}]},
            ["webhook_configurations", "0", "webhook_url"],
        ),
        (
            {"webhook_configurations": [{"webhook_url": "https://a.example", "webhook_events": []}]},
            ["webhook_configurations", "0", "webhook_events"],
        ),
    ],
)
async def test_a_bad_create_is_422_and_says_where(
    cloud: Cloud, body: dict[str, Any], where: list[str]
) -> None:
    good = {"file_id": await upload(cloud), "tier": "agentic", "version": "latest"}
    seen = await ask(
        cloud, "POST", PARSE, {name: value for name, value in {**good, **body}.items() if value is not None}
    )
    assert (seen.status, details(seen)) == (422, [where])


async def test_the_real_service_takes_no_webhook_on_this_machine() -> None:
    async with Cloud(assuming(private_webhooks=False), 0, 0) as cloud:
        hooks = [{"webhook_url": "http://127.0.0.1:1/hook"}]
        assert details(await create(cloud, webhook_configurations=hooks))[0][-1] == "webhook_url"


async def test_a_job_is_pending_running_and_done_each_at_its_time(cloud: Cloud) -> None:
    job_id = await begin(cloud, tier="cost_effective", user_metadata={"run": "r1"})
    assert re.fullmatch(r"pjb-[0-9a-f-]{36}", job_id)
    for seconds, expected in ((0.9, "PENDING"), (0.2, "RUNNING"), (0.6, "RUNNING"), (0.2, "COMPLETED")):
        cloud.clock.advance(seconds)
        assert await status(cloud, job_id) == expected
    assert (await look(cloud, job_id)).json["job"]["user_metadata"] == {"run": "r1"}


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("encrypted.pdf", b"%PDF-1.7 /Type /Page", "PDF_IS_PROTECTED"),
        ("a.pdf", b"%PDF-1.7 /Type /Page trailer /Encrypt 4 0 R", "PDF_IS_PROTECTED"),
        ("broken.pdf", b"%PDF-1.7 /Type /Page", "PDF_IS_BROKEN"),
        ("a.pdf", b"no pdf", "PDF_IS_BROKEN"),
        ("a.pdf", b"%PDF-1.7 /Type /Pages", "NO_DATA_FOUND_IN_FILE"),
        ("a.txt", b" \n", "NO_DATA_FOUND_IN_FILE"),
        ("a.exe", b"x", "UNSUPPORTED_FILE_TYPE"),
        ("a.txt", b"\f" * 2000 + b"x", "TOO_MANY_PAGES"),
        ("a.pptx", b"no zip", "ERROR_DURING_PROCESSING"),
    ],
)
async def test_a_bad_document_fails_its_job_for_nothing(
    cloud: Cloud, name: str, content: bytes, reason: str
) -> None:
    job_id = await done(cloud, await upload(cloud, content, name))
    cloud.clock.advance(10 * HOUR)
    job = (await look(cloud, job_id, "usage")).json["job"]
    assert (job["status"], job["error_message"].split(":")[0]) == ("FAILED", reason)
    assert (job["usage"]["credits"], cloud.invoice.total_nano_usd) == (0, 0)


async def test_a_job_that_takes_longer_than_it_may_fails_at_that_time(cloud: Cloud) -> None:
    timeouts = {"timeouts": {"base_in_seconds": 1, "extra_time_per_page_in_seconds": 0}}
    job_id = await begin(cloud, tier="agentic_plus", processing_control=timeouts)
    cloud.clock.advance(1.9)
    assert await status(cloud, job_id) == "RUNNING"
    cloud.clock.advance(0.2)
    assert (await look(cloud, job_id)).json["job"]["error_message"].startswith("TIMEOUT")


@pytest.mark.parametrize(
    ("name", "content", "pages"),
    [
        ("book.pdf", HANDBOOK.read_bytes(), 16),
        ("packed.pdf", PACKED_PDF, 3),
        ("slides.pptx", pptx(("a", "b", "c"), ("d", "e", "f")), 2),
        ("marked.ps.txt", b"%%Page: 1 1\n%%Page: 2 2\n%%Page: 3 3\n", 3),
        ("letter.docx", docx(paragraph("one")), 1),
        ("a.md", b"# one\f# two", 2),
    ],
)
async def test_pages_are_counted(cloud: Cloud, name: str, content: bytes, pages: int) -> None:
    job_id = await done(cloud, await upload(cloud, content, name))
    text = (await look(cloud, job_id, "text")).json["text"]
    assert [page["page_number"] for page in text["pages"]] == list(range(1, pages + 1))


@pytest.mark.parametrize(
    ("ranges", "numbers"),
    [
        ({"max_pages": 3}, [1, 2, 3]),
        ({"target_pages": "2,4-5"}, [2, 4, 5]),
        ({"target_pages": "4-9", "max_pages": 1}, [4, 5]),
    ],
)
async def test_only_the_pages_that_are_asked_for_are_parsed_and_billed(
    cloud: Cloud, ranges: dict[str, Any], numbers: list[int]
) -> None:
    job_id = await done(cloud, await upload(cloud, b"x\f" * 4 + b"x"), page_ranges=ranges)
    pages = (await look(cloud, job_id, "markdown")).json["markdown"]["pages"]
    assert [page["page_number"] for page in pages] == numbers
    assert cloud.invoice.total_nano_usd == len(numbers) * 10 * CREDIT


async def test_the_same_bytes_and_options_give_the_same_pages(cloud: Cloud) -> None:
    options: list[dict[str, Any]] = [{}, {}, {"output_options": {"watermark_handling": "remove"}}]
    jobs = [await done(cloud, await upload(cloud), disable_cache=True, **more) for more in options]
    first, second, other = [(await look(cloud, job, "markdown_full")).json["markdown_full"] for job in jobs]
    assert first == second
    assert first != other
    marker = re.search(r"sim:([0-9a-f]{12}):p1", first)
    assert marker
    assert "# Heading 2" in first


async def test_a_result_asked_for_before_its_time_is_404_or_absent(cloud: Cloud) -> None:
    seen = await look(cloud, await begin(cloud), "text")
    assert (seen.status, seen.json["detail"][:16]) == (404, "Result not found")
    async with Cloud(assuming(early_results="absent"), 0, 0) as other:
        seen = await look(other, await begin(other), "text")
        assert (seen.status, list(seen.json)) == (200, ["job"])


async def test_expand_is_repeated_or_joined_and_an_unknown_value_is_422(cloud: Cloud) -> None:
    job_id = await done(cloud)
    joined = await look(cloud, job_id, "text,markdown,job_metadata")
    assert (await look(cloud, job_id, "text", "markdown", "job_metadata")).json == joined.json
    assert set(joined.json) == {"job", "text", "markdown", "job_metadata"}
    assert (await look(cloud, job_id, "poem")).status == 422


@pytest.mark.parametrize("name", ["markdown", "markdown_full", "items", "markdown_content_metadata"])
async def test_the_fast_tier_has_text_alone(cloud: Cloud, name: str) -> None:
    job_id = await done(cloud, tier="fast")
    assert (await look(cloud, job_id, name)).status == 400
    assert (await look(cloud, job_id, "text", "metadata")).status == 200


async def test_results_expire_after_30_days(cloud: Cloud) -> None:
    job_id = await done(cloud)
    cloud.clock.advance(30 * DAY - 101)
    assert (await look(cloud, job_id, "text")).status == 200
    cloud.clock.advance(101)
    assert (await look(cloud, job_id, "text")).status == 404
    assert await status(cloud, job_id) == "COMPLETED"


async def test_credits_are_told_some_time_after_the_end(cloud: Cloud) -> None:
    job_id = await begin(cloud)
    cloud.clock.advance(3)
    assert (await look(cloud, job_id, "usage")).json["job"]["usage"] == {"credits": None}
    cloud.clock.advance(5)
    assert (await look(cloud, job_id, "usage")).json["job"]["usage"] == {"credits": 20}
    assert (await look(cloud, job_id)).json["job"]["usage"] is None


async def test_confidence_costs_five_credits_more_a_page(cloud: Cloud) -> None:
    await done(cloud, processing_options={"confidence_score_effort": "high"})
    assert cloud.invoice.quantities() == {"agentic": 2, "confidence": 2}
    assert cloud.invoice.total_nano_usd == 2 * 15 * CREDIT


async def test_the_same_content_and_options_are_free_for_48_hours(cloud: Cloud) -> None:
    await done(cloud)
    again = await begin(cloud)
    assert await status(cloud, again) == "COMPLETED"
    await done(cloud, disable_cache=True)
    await done(cloud, tier="fast")
    assert cloud.invoice.quantities() == {"agentic": 4, "cached": 2, "fast": 2}
    cloud.clock.advance(48 * HOUR)
    await done(cloud)
    assert cloud.invoice.quantities()["agentic"] == 6


async def test_usage_metrics_need_the_organization_and_have_each_jobs_credits(cloud: Cloud) -> None:
    cloud.keys.add("llx-a", organization="org-a", project="proj-a")
    path = "/api/v1/beta/usage-metrics"
    assert (await ask(cloud, "GET", path)).status == 422
    job_id, failed = await done(cloud), await done(cloud, await upload(cloud, b"x", "a.exe"))
    organization = (await ask(cloud, "GET", "/api/v1/projects")).json[0]["organization_id"]
    items = (await ask(cloud, "GET", f"{path}?organization_id={organization}")).json["items"]
    assert [(one["event_aggregation_key"], one["credits"]) for one in items] == [(failed, 0), (job_id, 20)]
    one = await ask(cloud, "GET", f"{path}?organization_id={organization}&event_aggregation_key={job_id}")
    assert len(one.json["items"]) == 1
    late = await ask(cloud, "GET", f"{path}?organization_id={organization}&day_on_or_after=2030-01-01")
    assert late.json["items"] == []
    assert (await ask(cloud, "GET", f"{path}?organization_id=org-a", key="llx-a")).json["items"] == []


async def test_jobs_are_listed_by_time_status_and_id_in_pages(cloud: Cloud) -> None:
    file_id = await upload(cloud)
    jobs = []
    for _ in range(5):
        jobs.append(await begin(cloud, file_id, disable_cache=True))
        cloud.clock.advance(2)
    first = (await ask(cloud, "GET", f"{PARSE}?page_size=3")).json
    rest = (await ask(cloud, "GET", f"{PARSE}?page_size=3&page_token={first['next_page_token']}")).json
    assert [one["id"] for one in first["items"] + rest["items"]] == jobs[::-1]
    assert (first["total_size"], rest["next_page_token"]) == (5, None)
    since = (await ask(cloud, "GET", f"{PARSE}?created_at_on_or_after=2026-05-28T20:26:44Z")).json
    assert [one["id"] for one in since["items"]] == jobs[:1:-1]
    running = (await ask(cloud, "GET", f"{PARSE}?status=RUNNING")).json
    assert [one["id"] for one in running["items"]] == [jobs[4]]
    two = (await ask(cloud, "GET", f"{PARSE}?job_ids={jobs[0]}&job_ids={jobs[2]}")).json
    assert [one["id"] for one in two["items"]] == [jobs[2], jobs[0]]
    for bad in ("page_size=101", "page_token=x", "status=WAT", "created_at_on_or_after=yesterday"):
        assert (await ask(cloud, "GET", f"{PARSE}?{bad}")).status == 422


async def test_a_job_is_cancelled_before_its_end_and_deleted_after_it(cloud: Cloud) -> None:
    job_id = await begin(cloud)
    assert (await ask(cloud, "DELETE", f"{PARSE}/{job_id}")).status == 409
    cloud.clock.advance(1.5)
    assert (await ask(cloud, "POST", f"{PARSE}/{job_id}/cancel")).json["status"] == "CANCELLED"
    cloud.clock.advance(100)
    assert (await status(cloud, job_id), cloud.invoice.total_nano_usd) == ("CANCELLED", 0)
    assert (await ask(cloud, "POST", f"{PARSE}/{job_id}/cancel")).status == 409
    assert (await ask(cloud, "DELETE", f"{PARSE}/{job_id}")).json["id"] == job_id
    assert (await look(cloud, job_id)).json == {"detail": "Parse job not found"}


@pytest.mark.parametrize(
    ("assumption", "spoil", "pages"),
    [("cancelled_billed", "cancel", 2), ("failed_billed", "F22", 2), ("failed_pages_billed", "F27", 2)],
)
async def test_what_is_assumed_to_be_free_can_be_billed(assumption: str, spoil: str, pages: int) -> None:
    async with Cloud(assuming(**{assumption: True}), 0, 0) as cloud:
        if spoil != "cancel":
            cloud.faults.add(spoil)
        job_id = await begin(cloud)
        if spoil == "cancel":
            await ask(cloud, "POST", f"{PARSE}/{job_id}/cancel")
        cloud.clock.advance(100)
        assert cloud.invoice.total_nano_usd == pages * 10 * CREDIT


async def test_an_upload_with_its_configuration_is_a_job_too(cloud: Cloud) -> None:
    body = json.dumps({"tier": "fast", "version": "latest"})
    seen = await send_form(cloud, f"{PARSE}/upload", {"configuration": body})
    assert (seen.status, seen.json["status"]) == (200, "PENDING")
    cloud.clock.advance(10)
    assert len((await look(cloud, seen.json["id"], "text")).json["text"]["pages"]) == 2
    for fields in ({}, {"configuration": "{"}, {"configuration": "{}"}):
        assert (await send_form(cloud, f"{PARSE}/upload", fields)).status == 422


async def test_a_presigned_url_lasts_ten_minutes_and_wants_no_key(cloud: Cloud) -> None:
    job_id = await done(cloud)
    linked = (await look(cloud, job_id, "markdown_content_metadata")).json["result_content_metadata"]["md"]
    whole = (await look(cloud, job_id, "markdown_full")).json["markdown_full"].encode()
    host, _, token = linked["presigned_url"].partition("/_blob/")
    assert host == cloud.download_url != cloud.base_url
    seen = await raw.ask(host, "GET", f"/_blob/{token}", authorization="")
    assert (seen.body, len(seen.body)) == (whole, linked["size_bytes"])
    assert [entry.violation for entry in cloud.journal if entry.violation] == []
    assert (await raw.ask(host, "GET", f"/_blob/{token}", authorization=f"Bearer {KEY}")).status == 400
    assert cloud.journal[-1].violation == "a key was sent to a host that must not see it"
    cloud.clock.advance(600)
    assert (await raw.ask(host, "GET", f"/_blob/{token}", authorization="")).status == 403
    assert (await raw.ask(host, "GET", "/_blob/none", authorization="")).status == 403


async def test_a_files_content_is_behind_a_presigned_url(cloud: Cloud) -> None:
    url = (await ask(cloud, "GET", f"{FILES}/{await upload(cloud)}/content")).json["url"]
    host, _, token = url.partition("/_blob/")
    assert (await raw.ask(host, "GET", f"/_blob/{token}", authorization="")).body == TWO_PAGES


async def test_the_free_plan_is_20_requests_a_minute_without_a_time_to_wait(free: Cloud) -> None:
    seen = [await ask(free, "GET", "/api/v1/projects") for _ in range(21)]
    assert [one.status for one in seen] == [200] * 20 + [429]
    assert "retry-after" not in seen[-1].headers
    free.clock.advance(3.1)
    assert (await ask(free, "GET", "/api/v1/projects")).status == 200


async def test_uploads_are_50_a_second_in_windows_of_five(cloud: Cloud) -> None:
    body = {"file_id": "none", "tier": "fast", "version": "latest"}
    seen = [(await ask(cloud, "POST", PARSE, body)).status for _ in range(251)]
    assert seen == [404] * 250 + [429]


async def test_a_plan_whose_credits_are_spent_is_402(free: Cloud) -> None:
    await done(free, await upload(free, b"x\f" * 299 + b"x"), tier="agentic_plus")
    assert (await create(free)).status == 200
    free.clock.advance(1000)
    assert free.invoice.total_nano_usd == (300 * 45 + 2 * 10) * CREDIT
    seen = await create(free)
    assert (seen.status, seen.json["detail"][:16]) == (402, "You've exceeded ")
    free.clock.advance(31 * DAY)
    assert (await create(free)).status == 200


async def test_the_control_port_makes_jobs_slower_and_turns_keys(cloud: Cloud) -> None:
    assert (await raw.ask(cloud.control_url, "POST", "/jobs", {"queued_seconds": 50})).status == 200
    job_id = await begin(cloud)
    cloud.clock.advance(49)
    assert await status(cloud, job_id) == "PENDING"
    seen = await raw.ask(cloud.control_url, "POST", "/keys", {"add": "llx-n", "plan": "poem"})
    assert seen.status == 400


async def test_the_journal_tells_each_request_without_its_key(cloud: Cloud) -> None:
    await look(cloud, await begin(cloud), "usage")
    first, create_, get = cloud.journal
    assert (first.operation, create_.operation, get.operation) == (
        "files.create",
        "parse.create",
        "parse.get",
    )
    assert get.query == "expand=usage"
    assert (first.connection, get.connection) == (1, 3)
    assert first.body_sha256 != get.body_sha256
    assert KEY not in json.dumps([dataclasses.asdict(entry) for entry in cloud.journal])
    await ask(cloud, "GET", f"/api/v1/projects?key={KEY}")
    assert cloud.journal[-1].violation == "a key stood in a URL"


async def test_two_runs_of_a_seed_are_the_same(cloud: Cloud) -> None:
    """C11: ids, times, faults, journal and invoice."""
    seen = []
    for _ in range(2):
        async with Cloud(settings(faults="F03:0.4,F27:0.3", jobs=JobTimes(queued_seconds=3)), 0, 0) as one:
            for size in range(1, 9):
                file_id = await upload(one, b"x\f" * size + b"y")
                if (await create(one, file_id)).status == 200:
                    one.clock.advance(20)
            await ask(one, "GET", PARSE)
            journal = [{**dataclasses.asdict(entry), "headers": None} for entry in one.journal]
            seen.append((journal, one.invoice.lines, one.invoice.total_nano_usd))
    assert seen[0] == seen[1]
    assert {entry["status"] for entry in seen[0][0]} == {200, 500}
