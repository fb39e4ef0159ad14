"""C4: what the official SDK makes of each fault, and what became of the job; F01 to F43 but the webhooks'."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import llama_cloud
import pytest

from tests.sim import cloud as wire
from tests.sim import raw
from tests.sim.sdk import Caller
from waybill.sim.llamacloud import catalogue
from waybill.sim.llamacloud.results import HUGE_PAGE_BYTES
from waybill.sim.llamacloud.simulator import LlamaCloudSimulator as Cloud

CREDIT = 1_250_000


@pytest.fixture(params=["sync", "async"])
async def call(cloud: Cloud, request: pytest.FixtureRequest) -> AsyncIterator[Caller]:
    caller = Caller(request.param, cloud.base_url)
    yield caller
    await caller.close()


async def jobs(sim: Cloud) -> int:
    """How many jobs the vendor has."""
    return int((await wire.ask(sim, "GET", wire.PARSE)).json["total_size"])


@pytest.mark.parametrize(
    ("fault", "error", "made"),
    [
        ("F01", llama_cloud.RateLimitError, 0),
        ("F02", llama_cloud.RateLimitError, 0),
        ("F03", llama_cloud.InternalServerError, 0),
        ("F04", llama_cloud.InternalServerError, 0),
        ("F05", llama_cloud.InternalServerError, 0),
        ("F06", llama_cloud.InternalServerError, 1),
        ("F07", llama_cloud.APIConnectionError, 0),
        ("F08", llama_cloud.APIConnectionError, 1),
        ("F09", llama_cloud.APIConnectionError, 1),
        ("F10", json.JSONDecodeError, 1),
        ("F13", json.JSONDecodeError, 1),
        ("F16", llama_cloud.APITimeoutError, 1),
        ("F33:op=parse.create", llama_cloud.AuthenticationError, 0),
        ("F34", llama_cloud.APIStatusError, 0),
    ],
)
async def test_a_create_raises_and_its_job_may_be_there(
    cloud: Cloud, call: Caller, fault: str, error: type[Exception], made: int
) -> None:
    cloud.faults.add(fault)
    with pytest.raises(Exception) as caught:  # noqa: PT011
        await (call.begin(timeout=0.5) if fault == "F16" else call.begin())
    assert type(caught.value) is error
    assert isinstance(caught.value, llama_cloud.LlamaCloudError) == (error is not json.JSONDecodeError)
    assert await jobs(cloud) == made


@pytest.mark.parametrize(("fault", "answer"), [("F11", str), ("F12", type(None))])
async def test_a_create_returns_what_is_no_job_though_there_is_one(
    cloud: Cloud, call: Caller, fault: str, answer: type
) -> None:
    cloud.faults.add(fault)
    assert type(await call.begin()) is answer
    assert await jobs(cloud) == 1


@pytest.mark.parametrize(
    ("variant", "header"), [("1", "1"), ("0", "0"), ("120", "120"), ("garbage", "garbage")]
)
async def test_f02_has_the_retry_after_that_is_asked_for(cloud: Cloud, variant: str, header: str) -> None:
    cloud.faults.add(f"F02/{variant}")
    assert (await wire.create(cloud)).headers["retry-after"] == header


async def test_f02_date_is_an_http_date(cloud: Cloud) -> None:
    cloud.faults.add("F02/date")
    assert (await wire.create(cloud)).headers["retry-after"].endswith("GMT")


async def test_f04_puts_a_page_of_html_into_the_message(cloud: Cloud, call: Caller) -> None:
    cloud.faults.add("F04")
    with pytest.raises(llama_cloud.InternalServerError, match="<html>"):
        await call.begin()


async def test_f10_f11_and_f12_under_strict_validation(cloud: Cloud) -> None:
    strict = Caller("async", cloud.base_url, _strict_response_validation=True)
    for fault, error in (("F10", json.JSONDecodeError), ("F11", llama_cloud.APIResponseValidationError)):
        cloud.faults.add(f"{fault}:n=1")
        with pytest.raises(error):
            await strict.begin(disable_cache=True)
    cloud.faults.add("F12:n=1")
    assert await strict.begin(disable_cache=True) is None
    await strict.close()


async def test_f14_an_unknown_status_and_wrong_types_pass_unseen(cloud: Cloud, call: Caller) -> None:
    job = await call.begin()
    cloud.faults.add("F14:n=1,F14/types:n=2")
    assert (await call.get(job.id)).job.status == "QUEUED"
    assert (await call.get(job.id)).job.id == 5


async def test_f15_a_slow_drip_outlasts_the_clients_timeout(cloud: Cloud) -> None:
    call = Caller("async", cloud.base_url)
    job = await call.begin()
    cloud.faults.add("F15")
    with pytest.raises(TimeoutError) as caught:
        async with asyncio.timeout(6):
            await call(lambda client: client.parsing.get(job.id, timeout=3))
    assert not isinstance(caught.value, llama_cloud.APITimeoutError)
    await call.close()


async def test_f17_a_bomb_is_unpacked_to_its_full_size(cloud: Cloud) -> None:
    call = Caller("async", cloud.base_url)
    job = await call.begin()
    cloud.faults.add("F17")
    answer = await call(lambda client: client.parsing.with_raw_response.get(job.id))
    assert len(answer.http_response.content) > 256 * 2**20
    await call.close()


async def test_f18_a_page_of_40_mb_is_read_whole(cloud: Cloud) -> None:
    call = Caller("async", cloud.base_url)
    job = await call.begin()
    cloud.clock.advance(100)
    cloud.faults.add("F18")
    pages = (await call.get(job.id, "markdown")).markdown.pages
    assert len(pages[0].markdown) == HUGE_PAGE_BYTES
    await call.close()


async def test_f19_a_redirect_takes_the_document_to_another_host(cloud: Cloud, call: Caller) -> None:
    cloud.faults.add("F19:op=files.create")
    with pytest.raises(llama_cloud.NotFoundError):
        await call.begin()
    first, second = cloud.journal
    assert second.operation == "foreign"
    assert int(second.headers["content-length"]) > len(wire.TWO_PAGES)
    assert first.key
    assert not second.key


@pytest.mark.parametrize(("fault", "stuck"), [("F20", "PENDING"), ("F21", "RUNNING")])
async def test_a_stuck_job_ends_by_a_cancel_alone(cloud: Cloud, call: Caller, fault: str, stuck: str) -> None:
    cloud.faults.add(fault)
    job = await call.begin()
    cloud.clock.advance(24 * 3600)
    assert (await call.get(job.id)).job.status == stuck
    assert (await call(lambda client: client.parsing.cancel(job.id))).status == "CANCELLED"
    assert cloud.invoice.total_nano_usd == 0


@pytest.mark.parametrize("reason", ["", "PDF_IS_PROTECTED", "TIMEOUT", "DOCUMENT_TOO_LARGE"])
async def test_f22_a_job_fails_for_a_reason(cloud: Cloud, call: Caller, reason: str) -> None:
    cloud.faults.add(f"F22/{reason}")
    job = await call.begin()
    cloud.clock.advance(100)
    job = (await call.get(job.id)).job
    assert job.status == "FAILED"
    assert job.error_message.startswith(reason or "ERROR_DURING_PROCESSING")


async def test_f23_a_job_fails_for_no_reason(cloud: Cloud, call: Caller) -> None:
    cloud.faults.add("F23")
    job = await call.begin()
    cloud.clock.advance(100)
    job = (await call.get(job.id)).job
    assert (job.status, job.error_message) == ("FAILED", None)


@pytest.mark.parametrize(("fault", "misses"), [("F24/2", 2), ("F24", 5)])
async def test_f24_a_result_is_404_so_often_or_for_ever(
    cloud: Cloud, call: Caller, fault: str, misses: int
) -> None:
    cloud.faults.add(fault)
    job = await call.begin()
    cloud.clock.advance(100)
    for _ in range(misses):
        assert (await call.get(job.id)).job.status == "COMPLETED"
        with pytest.raises(llama_cloud.NotFoundError):
            await call.get(job.id, "text")
    if fault == "F24/2":
        assert (await call.get(job.id, "text")).text


@pytest.mark.parametrize(
    ("fault", "numbers"),
    [("F25", [1]), ("F25/2", []), ("F26", [1, 2, 1]), ("F26/order", [2, 1])],
)
async def test_pages_are_missing_twice_there_or_out_of_order_and_billed(
    cloud: Cloud, call: Caller, fault: str, numbers: list[int]
) -> None:
    cloud.faults.add(fault)
    job = await call.begin()
    cloud.clock.advance(100)
    result = await call.get(job.id, "text", "markdown")
    for pages in (result.text.pages, result.markdown.pages):
        assert [page.page_number for page in pages] == numbers
    assert cloud.invoice.total_nano_usd == 20 * CREDIT


@pytest.mark.parametrize(("fault", "good"), [("F27", [True, False]), ("F27/all", [False, False])])
async def test_f27_failed_pages_are_seen_in_markdown_alone_and_cost_nothing(
    cloud: Cloud, call: Caller, fault: str, good: list[bool]
) -> None:
    cloud.faults.add(fault)
    job = await call.begin()
    cloud.clock.advance(100)
    result = await call.get(job.id, "text", "markdown", "items")
    assert [page.success for page in result.markdown.pages] == good
    assert [page.success for page in result.items.pages] == good
    assert len(result.text.pages) == 2
    assert cloud.invoice.total_nano_usd == sum(good) * 10 * CREDIT


async def test_f28_markdown_is_empty_though_there_is_text(cloud: Cloud, call: Caller) -> None:
    cloud.faults.add("F28")
    job = await call.begin()
    cloud.clock.advance(100)
    result = await call.get(job.id, "text", "markdown")
    assert [page.markdown for page in result.markdown.pages] == ["", ""]
    assert all(page.text for page in result.text.pages)


async def test_f29_a_status_goes_back_once(cloud: Cloud, call: Caller) -> None:
    cloud.faults.add("F29")
    job = await call.begin()
    cloud.clock.advance(100)
    seen = [(await call.get(job.id)).job.status for _ in range(3)]
    assert seen == ["COMPLETED", "RUNNING", "COMPLETED"]


async def test_f30_a_new_job_is_neither_found_nor_listed_for_a_while(cloud: Cloud, call: Caller) -> None:
    cloud.faults.add("F30/3")
    job = await call.begin()
    with pytest.raises(llama_cloud.NotFoundError):
        await call.get(job.id)
    assert await jobs(cloud) == 0
    cloud.clock.advance(3)
    assert (await call.get(job.id)).job.id == job.id
    assert await jobs(cloud) == 1


@pytest.mark.parametrize(
    ("fault", "later", "credits", "billed"),
    [
        ("F31", 10**6, None, 20),
        ("F31/3600", 3000, None, 20),
        ("F31/3600", 4000, 20, 20),
        ("F31/wrong", 10, 40, 40),
    ],
)
async def test_f31_credits_are_told_late_never_or_wrong(
    cloud: Cloud, call: Caller, fault: str, later: float, credits: float | None, billed: int
) -> None:
    cloud.faults.add(fault)
    job = await call.begin()
    cloud.clock.advance(3 + later)
    assert (await call.get(job.id, "usage")).job.usage.credits == credits
    assert cloud.invoice.total_nano_usd == billed * CREDIT


async def test_f32_a_presigned_url_has_expired_or_is_foreign(cloud: Cloud, call: Caller) -> None:
    hosts = []
    for fault in ("F32", "F32/foreign"):
        cloud.faults.heal()
        cloud.faults.add(fault)
        job = await call.begin(disable_cache=True)
        cloud.clock.advance(100)
        linked = (await call.get(job.id, "markdown_content_metadata")).result_content_metadata["md"]
        hosts.append(linked.presigned_url)
    assert hosts[0].startswith(cloud.download_url)
    assert hosts[1].startswith("http://localhost:")
    seen = await raw.ask(cloud.download_url, "GET", hosts[0][len(cloud.download_url) :], authorization="")
    assert seen.status == 403


async def test_f33_a_key_is_turned_in_mid_flight(cloud: Cloud, call: Caller) -> None:
    job = await call.begin()
    cloud.faults.add("F33")
    with pytest.raises(llama_cloud.AuthenticationError):
        await call.get(job.id)


async def test_f35_an_idle_connection_is_found_closed(cloud: Cloud, call: Caller) -> None:
    cloud.faults.add("F35:n=1")
    job = await call.begin()
    with pytest.raises(llama_cloud.APIConnectionError):
        await call.get(job.id)
    assert (await call.get(job.id)).job.status == "PENDING"


async def test_f43_a_cancel_loses_its_race_and_the_job_is_billed(cloud: Cloud, call: Caller) -> None:
    cloud.faults.add("F43")
    job = await call.begin()
    with pytest.raises(llama_cloud.ConflictError):
        await call(lambda client: client.parsing.cancel(job.id))
    assert (await call.get(job.id)).job.status == "COMPLETED"
    assert cloud.invoice.total_nano_usd == 20 * CREDIT


async def test_a_fault_is_of_one_job_one_route_or_a_share(cloud: Cloud) -> None:
    first, second = [await wire.begin(cloud, disable_cache=True) for _ in range(2)]
    cloud.faults.add(f"F03:op=parse.get:id={second}")
    assert [(await wire.look(cloud, job)).status for job in (first, second, second)] == [200, 500, 500]
    cloud.faults.heal()
    cloud.faults.add("F03:op=files:n=2,F05:op=parse.versions")
    seen = [await wire.ask(cloud, "GET", path) for path in (f"{wire.PARSE}/versions", wire.FILES, wire.FILES)]
    assert [one.status for one in seen] == [503, 200, 500]


def test_every_fault_of_the_specification_is_in_the_catalogue() -> None:
    assert list(catalogue.SCOPES) == [f"F{number:02}" for number in range(1, 44)]


@pytest.mark.parametrize("text", ["F44", "F03:poem=1", "O01"])
async def test_an_unknown_fault_is_refused(cloud: Cloud, text: str) -> None:
    answer: Any = await raw.ask(cloud.control_url, "POST", "/faults", {"fault": text})
    assert answer.status == 400
