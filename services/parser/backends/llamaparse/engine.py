"""LlamaParse, by LlamaCloud's official SDK (facts: LlamaParse).

A parse is two requests: the file, then a job of it that carries our ids in its metadata. A create whose reply
was lost is looked for before another is sent; so is an upload.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, BinaryIO

from services.parser.backends import counting
from services.parser.backends.llamaparse import errors, file_types, results
from services.parser.backends.llamaparse.answers import ENTRY, FILE, MORE, Status, VendorJob, word
from services.parser.backends.llamaparse.config import LlamaParseConfig
from services.parser.backends.llamaparse.errors import asking_about, not_an_answer
from services.parser.backends.llamaparse.looks import Looks
from services.parser.backends.llamaparse.requests import Requests
from services.parser.backends.llamaparse.results import Bounds, Content
from services.parser.backends.llamaparse.sdk import LlamaCloud, projects
from services.parser.backends.port import Capabilities, Charge, Order, Parse, Preview, Source, Stage
from services.parser.documents.limits import Limits
from services.parser.documents.sandbox import Sandbox
from services.parser.pages import Artifact
from waybill.runtime.errors import NotFound, Quota
from waybill.vendors.finding import Creation, among
from waybill.vendors.llamaparse import VERSIONS
from waybill.vendors.registry import LLAMAPARSE

# The platform's limit of a file (facts: LlamaParse, 4).
MOST_FILE_BYTES = 512_000_000
# Results of more pages are fetched by a link, not in an answer.
INLINE_PAGES = 200
# How long a parse may take until it is stuck, by tier (facts: LlamaParse, 5).
BASE_SECONDS, PAGE_SECONDS = 60.0, 5.0
TIER_FACTORS = {"fast": 1, "cost_effective": 2, "agentic": 5, "agentic_plus": 10}
# What was created is seen in a list so much later (F30).
LAG_SECONDS = 3.0
PROBE_SECONDS = 5.0
# While less than half of a minute's requests are left, one in so many is a look.
LOOK_REQUESTS = 20
# What the vendor keeps is deleted while half of them are left, or after so long.
LEISURE_SECONDS = 300.0
_MOST_REMEMBERED = 10_000
Sleep = Callable[[float], Awaitable[None]]


class LlamaParse:
    """Parses documents at LlamaCloud.

    Args:
        config: What to ask of it.
        cloud: Open.
        sandbox: Counts pages before they are bought.
        limits: Of a page's text.
        hook: The webhook of a job by its entry id, as the SDK takes it; None, none.
        sleep: Waits so many seconds.
    """

    def __init__(
        self,
        config: LlamaParseConfig,
        cloud: LlamaCloud,
        sandbox: Sandbox,
        limits: Limits,
        hook: Callable[[str], dict[str, Any]] | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self.capabilities = Capabilities(
            name=LLAMAPARSE.name,
            revision=config.revision(config.tier),
            vendor=LLAMAPARSE.name,
            cost_kind=config.kind,
            formats=file_types.formats(),
            any_text=True,
            keeps_parses=True,
            default_tier=config.tier,
            tier_revisions={tier: config.revision(tier) for tier in VERSIONS},
        )
        self._config = config
        self._cloud = cloud
        self._sandbox = sandbox
        self._limits = limits
        self._requests = Requests(config, cloud, hook)
        self._sleep = sleep
        self._half = config.requests_per_minute / 2
        spacing = LOOK_REQUESTS * config.seconds_a_request
        self._looks = Looks(self._jobs, partial(cloud.leisure, self._half, spacing))
        # What was told of jobs that have ended, so that it is not asked again.
        self._ended: OrderedDict[str, VendorJob] = OrderedDict()

    def is_light(self, filename: str, size_bytes: int, head: bytes = b"") -> bool:
        """Nothing is: it is counted, and sent."""
        return False

    def priced_as(self, source: Source, tier: str) -> str:
        """See the port."""
        return tier

    async def count_pages(self, source: Source, artifact: Artifact) -> int:
        """See the port; none of plain text, and where pages are the vendor's own, more than it will make."""
        return (await counting.count(self._sandbox, source, artifact)).most

    async def preview(self, source: Source, artifact: Artifact) -> Preview:
        """See the port."""
        return await counting.preview(self._sandbox.apart, source, artifact)

    def longest_seconds(self, order: Order) -> float:
        """See the port."""
        return (BASE_SECONDS + PAGE_SECONDS * order.pages) * TIER_FACTORS.get(order.tier, 10)

    async def begin(self, source: Source, order: Order, artifact: Artifact) -> Parse:
        """Sends the file, and creates a job of it."""
        counted = counting.of_read(source, order.pages, artifact).exact
        more = counting.may_have_more(source, artifact)
        upload = Creation(
            LLAMAPARSE.name,
            partial(self._requests.upload, source, order),
            partial(self._requests.uploaded, order),
        )
        file_id = await self._cloud.repeated(upload.attempt)
        create = Creation(
            LLAMAPARSE.name,
            partial(self._requests.create, order, file_id, counted=counted, may_have_more=more),
            partial(self._job_of, order),
        )
        begun = await self._cloud.repeated(create.attempt)
        return self._parse(begun)

    async def find(self, order: Order) -> Parse | None:
        """See the port; files of an order without a job are deleted."""
        async with asking_about():
            found = await self._cloud.repeated(partial(self._job_of, order))
            if found is None:
                await self._delete_files(order)
        return None if found is None else self._parse(found)

    async def look(self, parse_id: str) -> Parse:
        """See the port; many looks are one request."""
        async with asking_about():
            found = await self._looks.at(parse_id)
        if found is None:
            # It may not be seen yet; one that is gone is stuck at its time.
            return Parse(parse_id, Stage.RUNNING, look_in_seconds=LAG_SECONDS)
        return self._parse(found)

    async def collect(self, parse_id: str, order: Order, artifact: Artifact) -> None:
        """See the port."""
        if known := self._ended.get(parse_id):
            self._judge(known)
        fast = order.tier == "fast"
        # The fast tier has no markdown (facts: LlamaParse, 9).
        part = "text" if fast else "markdown"
        linked = not fast and order.pages > INLINE_PAGES
        async with asking_about(a_result=True):
            found, answer = await self._result(parse_id, "items_content_metadata" if linked else part, order)
            self._remember(found)
            if found.status is Status.COMPLETED:
                contents = await self._linked(answer) if linked else _READERS[part](answer)
                contents, derived = await self._with_text(parse_id, order, contents, fast=fast)
        self._judge(found)
        if contents and all(one.text is None for one in contents):
            raise errors.of_failed_job("", charged=True)
        may_be_more = MORE in found.metadata
        bounds = Bounds(found.counted_pages, order.pages, self._limits.page_text_bytes, may_be_more)
        await asyncio.to_thread(results.fill, artifact, contents, bounds, derived=derived)
        if not artifact.has_text:
            raise errors.empty()

    async def cancel(self, parse_id: str, order: Order) -> Parse:
        """See the port; a job that ended in that moment is billed."""
        async with asking_about():
            try:
                await self._cloud.repeated(partial(self._requests.cancel, parse_id))
            except NotFound:
                return Parse(parse_id, Stage.ENDED)
            found = self._remember(await self._cloud.repeated(partial(self._requests.get, parse_id)))
        if found.status is Status.COMPLETED:
            return Parse(parse_id, Stage.ENDED, charged_pages=order.pages)
        return self._parse(found)

    async def leisure(self) -> None:
        """See the port."""
        await self._cloud.leisure(self._half, LEISURE_SECONDS)

    async def charge(self, parse_id: str) -> Charge | None:
        """See the port."""
        known = self._ended.get(parse_id)
        if known is None or known.charge is None:
            async with asking_about():
                known = self._remember(await self._cloud.repeated(partial(self._requests.get, parse_id)))
        return known.charge

    async def forget(self, parse_id: str, order: Order) -> None:
        """See the port."""
        known = self._ended.pop(parse_id, None)
        async with asking_about():
            file_id = known.metadata.get(FILE, "") if known else ""
            if file_id:
                await self._cloud.repeated(partial(self._requests.delete_file, file_id))
            else:
                await self._delete_files(order)
            await self._cloud.repeated(partial(self._requests.delete_job, parse_id))

    async def check(self) -> bool:
        """Asks for the projects: free, and it needs a good key of the region.

        Raises:
            ServiceError: As `begin` does.
        """
        try:
            async with self._cloud.probe(PROBE_SECONDS) as headers:
                await projects(await self._cloud.sdk.projects.with_raw_response.list(extra_headers=headers))
        except Quota as error:
            # It answered, and knows the key.
            if error.reason != "VENDOR_RATE_LIMITED":
                raise
        return True

    def _parse(self, found: VendorJob) -> Parse:
        if found.status is Status.GOES_ON:
            return Parse(found.id, Stage.RUNNING, look_in_seconds=self._looks.pause(found.id))
        self._remember(found)
        free = found.status is Status.CANCELLED or (
            found.status is Status.FAILED and not self._config.failed_jobs_charged
        )
        return Parse(found.id, Stage.ENDED, charged_pages=0 if free else None)

    def _judge(self, found: VendorJob) -> None:
        """Raises what a job earns that has no result."""
        match found.status:
            case Status.FAILED:
                charged = bool(found.credits) or self._config.failed_jobs_charged
                raise errors.of_failed_job(found.message, charged=charged)
            case Status.CANCELLED:
                raise errors.of_cancelled_job()
            case Status.GOES_ON:
                # It had been said to have ended (F29).
                raise errors.not_yet()

    def _remember(self, found: VendorJob) -> VendorJob:
        if found.status is not Status.GOES_ON:
            self._ended[found.id] = found
            self._ended.move_to_end(found.id)
            if len(self._ended) > _MOST_REMEMBERED:
                self._ended.popitem(last=False)
        return found

    async def _result(self, parse_id: str, part: str, order: Order) -> tuple[VendorJob, Mapping[str, Any]]:
        return await self._cloud.repeated(partial(self._requests.result, parse_id, part, order.pages))

    async def _jobs(self, wanted: Callable[[], Sequence[str]]) -> Mapping[str, VendorJob]:
        return await self._cloud.repeated(partial(self._requests.jobs, wanted))

    async def _job_of(self, order: Order) -> VendorJob | None:
        """The job that was created for an order; None: there surely is none."""
        for late in (False, True):
            if late:
                await self._sleep(LAG_SECONDS)
            newest = self._requests.created_since(order.since)
            found = await among(
                newest, order.since.timestamp(), lambda one: one.metadata.get(ENTRY) == order.entry_id
            )
            if found is not None:
                return found
        return None

    async def _linked(self, answer: Mapping[str, Any]) -> list[Content]:
        """Pages behind a presigned link."""
        links = answer.get("result_content_metadata")
        url = word(links.get("items") if isinstance(links, dict) else None, "presigned_url")
        with tempfile.TemporaryFile() as file:
            # No repeat: a link that has expired works no better then.
            await self._cloud.download(url, file)
            return await asyncio.to_thread(_loaded, file)

    async def _with_text(
        self, parse_id: str, order: Order, contents: list[Content], *, fast: bool
    ) -> tuple[list[Content], bool]:
        """The same, or the pages' text where none has markdown; and whether it is that."""
        whole = [one.text for one in contents if one.text is not None]
        if fast or not whole or any(map(str.strip, whole)):
            return contents, fast
        # Markdown may be missing though there is text (facts: LlamaParse, 5).
        _, answer = await self._result(parse_id, "text", order)
        texts = results.of_text(answer)
        failed = {one.number for one in contents if one.text is None}
        return [one for one in texts if one.number not in failed], True

    async def _delete_files(self, order: Order) -> None:
        for file_id in await self._cloud.repeated(partial(self._requests.files_of, order)):
            await self._cloud.repeated(partial(self._requests.delete_file, file_id))


_READERS = {"markdown": results.of_markdown, "text": results.of_text}


def _loaded(file: BinaryIO) -> list[Content]:
    try:
        return results.of_items(json.load(file))
    except (ValueError, AttributeError):
        raise not_an_answer("has items that are not JSON") from None
