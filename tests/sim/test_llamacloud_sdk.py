"""LlamaCloud's own client takes the simulator for LlamaCloud."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from llama_cloud import AsyncLlamaCloud, LlamaCloud
from llama_cloud.types import ParsingCreateResponse

from waybill.sim.llamacloud.settings import TIERS, LlamaCloudSettings
from waybill.sim.llamacloud.simulator import LlamaCloudSimulator, simulator
from waybill.sim.threaded import threaded

KEY = "llx-test-0000000000"
TWO_PAGES = ("two.txt", b"first page\fsecond page", "text/plain")


@pytest.fixture
async def client(cloud: LlamaCloudSimulator) -> AsyncIterator[AsyncLlamaCloud]:
    """Strict: what does not fit the SDK's types raises."""
    async with AsyncLlamaCloud(
        api_key=KEY, base_url=cloud.base_url, max_retries=0, timeout=5, _strict_response_validation=True
    ) as made:
        yield made


async def begin(client: AsyncLlamaCloud, tier: str = "agentic", **more: object) -> ParsingCreateResponse:
    file = await client.files.create(file=TWO_PAGES, purpose="parse")
    return await client.parsing.create(file_id=file.id, tier=tier, version="latest", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("tier", TIERS)
async def test_a_job_goes_from_pending_to_its_pages_and_its_bill(
    cloud: LlamaCloudSimulator, client: AsyncLlamaCloud, tier: str
) -> None:
    job = await begin(client, tier, user_metadata={"run": "r1"})
    assert (job.status, job.user_metadata) == ("PENDING", {"run": "r1"})
    cloud.clock.advance(1)
    assert (await client.parsing.get(job.id)).job.status == "RUNNING"
    cloud.clock.advance(4)
    result = await client.parsing.get(
        job.id, expand=["text"] if tier == "fast" else ["text", "markdown", "items"]
    )
    assert result.job.status == "COMPLETED"
    assert result.text
    assert [page.page_number for page in result.text.pages] == [1, 2]
    credits = {"fast": 2, "cost_effective": 6, "agentic": 20, "agentic_plus": 90}[tier]
    assert cloud.invoice.total_nano_usd == credits * 1_250_000
    cloud.clock.advance(5)
    usage = (await client.parsing.get(job.id, expand=["usage"])).job.usage
    assert usage
    assert usage.credits == credits


def test_the_synchronous_client_too() -> None:
    with (
        threaded(simulator(LlamaCloudSettings(latency_seconds=0)), KEY) as remote,
        LlamaCloud(api_key=remote.key, base_url=remote.base_url, max_retries=0) as client,
    ):
        file = client.files.create(file=TWO_PAGES, purpose="parse")
        job = client.parsing.create(file_id=file.id, tier="cost_effective", version="latest")
        remote.clock.advance(10)
        result = client.parsing.get(job.id, expand=["markdown_full"])
        assert result.markdown_full
        assert "# Heading 2" in result.markdown_full
