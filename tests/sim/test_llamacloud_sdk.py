"""LlamaCloud's own client, sync and async, takes the simulator for LlamaCloud; its hazards are pinned here.

An SDK that behaves otherwise fails these tests before it meets a vendor. C1 to C9: the conformance list.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from typing import Any, get_args

import httpx
import llama_cloud
import pytest
from llama_cloud import AsyncLlamaCloud, LlamaCloud
from llama_cloud._polling import PollingError, PollingTimeoutError
from llama_cloud.types import ParsingListVersionsResponse

from tests.sim import cloud as wire
from tests.sim.cloud import KEY
from tests.sim.sdk import TWO_PAGES, Caller
from tests.waiting import PATIENCE_SECONDS
from waybill.sim.llamacloud.settings import TIERS, JobTimes, LlamaCloudSettings
from waybill.sim.llamacloud.simulator import LlamaCloudSimulator as Cloud
from waybill.sim.llamacloud.versions import VERSIONS
from waybill.sim.remote import Remote

FAST = LlamaCloudSettings(seed=7, latency_seconds=0, jobs=JobTimes(0.01, 0.001, 0.0))


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def call(cloud: Cloud, kind: str) -> AsyncIterator[Caller]:
    caller = Caller(kind, cloud.base_url)
    yield caller
    await caller.close()


@pytest.fixture
async def strict(cloud: Cloud, kind: str) -> AsyncIterator[Caller]:
    """What does not fit the SDK's types raises."""
    caller = Caller(kind, cloud.base_url, _strict_response_validation=True)
    yield caller
    await caller.close()


@pytest.fixture
async def fast() -> AsyncIterator[Cloud]:
    """Jobs take milliseconds of real time."""
    async with Cloud(FAST, 0, 0) as running:
        yield running


async def test_c1_files_and_projects_fit_the_sdks_types(strict: Caller) -> None:
    [project] = await strict(lambda client: client.projects.list())
    [same] = await strict(lambda client: client.v2_projects.list())
    assert (project.id, project.organization_id) == (same.id, same.organization_id)
    assert (await strict(lambda client: client.projects.get(project.id))).id == project.id
    file = await strict(
        lambda client: client.files.create(file=TWO_PAGES, purpose="parse", external_file_id="mine")
    )
    assert (await strict(lambda client: client.files.retrieve(file.id))).external_file_id == "mine"
    assert [one.id for one in await strict(lambda client: client.files.list())] == [file.id]
    found = await strict(lambda client: client.files.list(external_file_id="other"))
    assert found == []
    assert (await strict(lambda client: client.files.content(file.id))).url.startswith("http://")
    assert await strict(lambda client: client.files.delete(file.id)) is None


@pytest.mark.parametrize("tier", TIERS)
async def test_c1_a_job_and_its_results_fit_the_sdks_types(cloud: Cloud, strict: Caller, tier: str) -> None:
    job = await strict.begin(tier, user_metadata={"run": "r1"})
    assert (job.status, job.tier, job.user_metadata) == ("PENDING", tier, {"run": "r1"})
    cloud.clock.advance(20)
    every = ["text", "text_full", "metadata", "job_metadata", "usage", "text_content_metadata"]
    every += ["images_content_metadata", "xlsx_content_metadata", "output_pdf_content_metadata"]
    if tier != "fast":
        every += ["markdown", "markdown_full", "items", "forms", "items_content_metadata"]
    result = await strict.get(job.id, *every)
    assert [page.page_number for page in result.text.pages] == [1, 2]
    credits = {"fast": 2, "cost_effective": 6, "agentic": 20, "agentic_plus": 90}[tier]
    assert result.job.usage.credits == credits
    assert cloud.invoice.total_nano_usd == credits * 1_250_000
    if tier != "fast":
        assert [page.success for page in result.markdown.pages] == [True, True]
        assert [item.type for item in result.items.pages[1].items] == ["heading", "text", "text", "list"]
    [listed] = await strict(lambda client: client.parsing.list(job_ids=[job.id]))
    assert listed.status == "COMPLETED"
    assert (await strict(lambda client: client.parsing.delete(job.id))).id == job.id
    other = await strict.begin(tier, disable_cache=True)
    assert (await strict(lambda client: client.parsing.cancel(other.id))).status == "CANCELLED"


async def test_c1_the_versions_are_those_that_the_sdk_knows(strict: Caller) -> None:
    answer = await strict(lambda client: client.parsing.list_versions())
    for tier in TIERS:
        known = get_args(get_args(ParsingListVersionsResponse.model_fields[tier].annotation)[0])
        assert tuple(getattr(answer, tier)) == VERSIONS[tier] == known
        assert getattr(answer.latest, tier) == known[0]


@pytest.mark.parametrize("tier", TIERS)
async def test_c2_the_sdks_own_way_from_file_to_result(fast: Cloud, kind: str, tier: str) -> None:
    call = Caller(kind, fast.base_url)
    expand = ["text"] if tier == "fast" else ["text", "markdown"]
    options = {"tier": tier, "version": "latest", "expand": expand, "polling_interval": 0.05}
    result = await call(lambda client: client.parsing.parse(upload_file=TWO_PAGES, **options))
    assert (result.job.status, len(result.text.pages)) == ("COMPLETED", 2)
    await call.close()


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, llama_cloud.BadRequestError),
        (401, llama_cloud.AuthenticationError),
        (402, llama_cloud.APIStatusError),
        (403, llama_cloud.PermissionDeniedError),
        (404, llama_cloud.NotFoundError),
        (408, llama_cloud.APIStatusError),
        (409, llama_cloud.ConflictError),
        (410, llama_cloud.APIStatusError),
        (413, llama_cloud.APIStatusError),
        (415, llama_cloud.APIStatusError),
        (422, llama_cloud.UnprocessableEntityError),
        (429, llama_cloud.RateLimitError),
        (500, llama_cloud.InternalServerError),
        (503, llama_cloud.InternalServerError),
        (504, llama_cloud.InternalServerError),
    ],
)
async def test_c3_each_statuss_error(cloud: Cloud, call: Caller, status: int, error: type[Exception]) -> None:
    cloud.faults.add(f"{status}:op=projects")
    with pytest.raises(llama_cloud.APIStatusError) as caught:
        await call(lambda client: client.projects.list())
    assert type(caught.value) is error
    assert caught.value.status_code == status


async def test_c5_hazard_a_create_is_sent_again_without_an_idempotency_key(cloud: Cloud, kind: str) -> None:
    call = Caller(kind, cloud.base_url, max_retries=2)
    cloud.faults.add("F08:times=2")
    await call.begin(disable_cache=True)
    creates = [entry for entry in cloud.journal if entry.operation == "parse.create"]
    assert [entry.outcome for entry in creates] == ["reset", "reset", "whole"]
    assert [entry.headers["x-stainless-retry-count"] for entry in creates] == ["0", "1", "2"]
    assert not any("idempotency" in name for entry in cloud.journal for name in entry.headers)
    cloud.clock.advance(100)
    assert cloud.invoice.total_nano_usd == 3 * 20 * 1_250_000
    await call.close()


async def test_c5_hazard_the_default_is_five_retries() -> None:
    with LlamaCloud(api_key=KEY) as client:
        async with AsyncLlamaCloud(api_key=KEY) as other:
            assert client.max_retries == other.max_retries == 5


@pytest.mark.parametrize("after", ["0", "120", "garbage"])
async def test_c5_hazard_a_retry_after_of_zero_or_over_a_minute_is_ignored(cloud: Cloud, after: str) -> None:
    call = Caller("async", cloud.base_url, max_retries=1)
    cloud.faults.add(f"F02/{after}:n=1:op=projects")
    async with asyncio.timeout(PATIENCE_SECONDS):
        await call(lambda client: client.projects.list())
    assert [entry.status for entry in cloud.journal] == [429, 200]
    await call.close()


async def test_c6_hazard_a_failed_job_raises_from_the_sync_wait_alone(fast: Cloud, kind: str) -> None:
    fast.faults.add("F22/PDF_IS_BROKEN")
    call = Caller(kind, fast.base_url)
    job = await call.begin()

    async def wait(**more: Any) -> Any:
        options = {"polling_interval": 0.05, "timeout": PATIENCE_SECONDS, **more}
        return await call(lambda client: client.parsing.wait_for_completion(job.id, **options))

    if call.is_sync:
        with pytest.raises(PollingError, match="PDF_IS_BROKEN") as caught:
            await wait()
        assert not isinstance(caught.value, llama_cloud.LlamaCloudError)
    else:
        assert (await wait()).status == "FAILED"
    await call.close()


async def test_c6_hazard_a_stuck_job_raises_from_the_sync_wait_alone(fast: Cloud, kind: str) -> None:
    fast.faults.add("F21")
    call = Caller(kind, fast.base_url)
    job = await call.begin()

    async def wait() -> Any:
        options = {"polling_interval": 0.05, "timeout": 0.2, "backoff": "constant"}
        return await call(lambda client: client.parsing.wait_for_completion(job.id, **options))

    if call.is_sync:
        with pytest.raises(PollingTimeoutError):
            await wait()
    else:
        assert (await wait()).status == "RUNNING"
    await call.close()


async def test_c7_a_list_is_followed_over_its_pages(cloud: Cloud, strict: Caller) -> None:
    jobs = [(await strict.begin(disable_cache=True)).id for _ in range(5)]
    listed = await strict(lambda client: client.parsing.list(page_size=2))
    assert [job.id for job in listed] == jobs[::-1]
    pages = [entry.query for entry in cloud.journal if entry.operation == "parse.list"]
    assert len(pages) == 3
    assert "page_token=" in pages[1]


async def test_c8_expand_and_job_ids_are_repeated_keys(cloud: Cloud, call: Caller) -> None:
    job = await call.begin()
    cloud.clock.advance(100)
    await call.get(job.id, "text", "usage")
    assert cloud.journal[-1].query == "expand=text&expand=usage"
    await call(lambda client: client.parsing.list(job_ids=[job.id, "pjb-x"]))
    assert cloud.journal[-1].query == f"job_ids={job.id}&job_ids=pjb-x"


async def test_c9_an_open_file_of_200_mb_is_streamed(cloud: Cloud) -> None:
    """In a process of its own, so that its memory is the client's and not the simulator's."""
    with tempfile.NamedTemporaryFile(suffix=".txt") as file:
        file.truncate(200 * 2**20)
        command = (sys.executable, "-m", "tests.sim.upload_once", cloud.base_url, KEY, file.name)
        process = await asyncio.create_subprocess_exec(
            *command, stdout=subprocess.PIPE, env={"PATH": os.environ["PATH"]}
        )
        out, _ = await asyncio.wait_for(process.communicate(), 120)
    growth, file_id = out.decode().split()
    assert int(growth) < 50 * 2**20
    seen = await wire.ask(cloud, "GET", f"{wire.FILES}/{file_id}")
    assert seen.status == 200
    assert 200 * 2**20 in [path.stat().st_size for path in cloud.folder.iterdir()]


async def test_hazard_the_upload_variant_drops_three_fields(cloud: Cloud, call: Caller) -> None:
    dropped = {"user_metadata": {"run": "r1"}, "configuration_id": "c", "webhook_configuration_ids": ["w"]}
    job = await call(
        lambda client: client.parsing.create(upload_file=TWO_PAGES, tier="fast", version="latest", **dropped)
    )
    assert cloud.journal[-1].operation == "parse.create.upload"
    assert (await call.get(job.id)).job.user_metadata is None


async def test_hazard_a_create_has_its_fields_on_top_and_a_get_under_job(cloud: Cloud, call: Caller) -> None:
    job = await call.begin()
    assert not hasattr(job, "job")
    assert (await call.get(job.id)).job.id == job.id


async def test_hazard_headers_come_from_the_environment(
    cloud: Cloud, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLAMA_CLOUD_CUSTOM_HEADERS", "x-surprise: 1")
    call = Caller(kind, cloud.base_url)
    await call(lambda client: client.projects.list())
    assert cloud.journal[-1].headers["x-surprise"] == "1"
    await call.close()


@pytest.mark.parametrize("more", [{"base_url": "127.0.0.1:1"}, {"api_key": "llx-a\nb"}])
async def test_hazard_a_bad_address_or_key_looks_like_a_bad_connection(
    cloud: Cloud, kind: str, more: dict[str, str]
) -> None:
    call = Caller(kind, cloud.base_url, **more)
    with pytest.raises(llama_cloud.APIConnectionError):
        await call(lambda client: client.projects.list())
    await call.close()


def test_hazard_no_key_is_an_error_at_construction(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LLAMA_CLOUD_API_KEY", "LLAMA_PARSE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(llama_cloud.LlamaCloudError):
        LlamaCloud()


def test_hazard_a_phase_may_take_a_minute_and_a_proxy_is_taken_from_the_environment() -> None:
    with LlamaCloud(api_key=KEY) as client:
        assert client.timeout == httpx.Timeout(60, connect=5)
        assert client._client.trust_env
        assert client._client.follow_redirects
        assert KEY not in repr(client)


async def test_hazard_a_proxy_of_the_environment_sees_every_request(
    cloud: Cloud, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", cloud.base_url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    call = Caller(kind, "http://vendor.invalid")
    with pytest.raises(llama_cloud.NotFoundError):
        await call(lambda client: client.projects.list())
    assert cloud.journal[-1].path.startswith("http://vendor.invalid/")
    await call.close()


async def test_hazard_a_query_of_files_warns(cloud: Cloud, call: Caller) -> None:
    with pytest.warns(DeprecationWarning, match="GET /files"):
        await call(lambda client: client.files.query(filter={"external_file_id": "mine"}))
    assert cloud.journal[-1].operation == "files.query"


async def test_one_connection_serves_ten_calls(cloud: Cloud, call: Caller) -> None:
    for _ in range(10):
        await call(lambda client: client.projects.list())
    assert {entry.connection for entry in cloud.journal} == {1}


async def test_the_guard_stops_bomb_redirect_and_drip(cloud: Cloud) -> None:
    """Our own client below the SDK: no encoding, no redirect, and a deadline around all."""

    class Plain(httpx.AsyncHTTPTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            response = await super().handle_async_request(request)
            if "content-encoding" in response.headers:
                await response.aclose()
                raise httpx.ReadError("an encoding that was not asked for")
            return response

    inner = httpx.AsyncClient(transport=Plain(), follow_redirects=False, trust_env=False)
    call = Caller("async", cloud.base_url, http_client=inner)
    for fault, error in (("F17", llama_cloud.APIConnectionError), ("F19", llama_cloud.APIStatusError)):
        cloud.faults.add(f"{fault}:n=1:op=projects")
        with pytest.raises(error):
            await call(lambda client: client.projects.list())
    cloud.faults.add("F15:n=1:op=projects")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await call(lambda client: client.projects.list())
    assert len(await call(lambda client: client.projects.list())) == 1
    assert "foreign" not in [entry.operation for entry in cloud.journal]
    await call.close()


def test_the_fixture_of_the_plugin_is_all_that_a_test_needs(llamacloud_simulator: Remote) -> None:
    sim = llamacloud_simulator
    with LlamaCloud(base_url=sim.base_url, api_key=sim.key, max_retries=0) as client:
        file = client.files.create(file=TWO_PAGES, purpose="parse")
        sim.faults.add("F08:n=1")
        for _ in range(2):
            with contextlib.suppress(llama_cloud.APIConnectionError):
                client.parsing.create(file_id=file.id, tier="fast", version="latest", disable_cache=True)
        sim.clock.advance(10)
        assert [job.status for job in client.parsing.list()] == ["COMPLETED"] * 2
    assert sim.invoice.total_nano_usd == 2 * 2 * 1_250_000
