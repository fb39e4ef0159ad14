"""LlamaCloud's requests, an attempt each (facts: LlamaParse, 1)."""

from __future__ import annotations

import datetime
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import llama_cloud
from llama_cloud import omit

from services.parser.backends.llamaparse.answers import (
    ENTRY,
    FILE,
    MORE,
    PAGES,
    RUN,
    VendorJob,
    items,
    job,
    word,
)
from services.parser.backends.llamaparse.config import LlamaParseConfig
from services.parser.backends.llamaparse.errors import of_result, of_thing
from services.parser.backends.llamaparse.file_types import sent_name
from services.parser.backends.llamaparse.sdk import (
    FILE_SECONDS,
    FILE_TIMEOUT,
    PAGE_SECONDS,
    Headers,
    LlamaCloud,
    content,
)
from services.parser.backends.port import Order, Source
from waybill.runtime import identity
from waybill.vendors.finding import CLOCK_SECONDS

LIST_PAGE = 100


class Requests:
    """The requests.

    Args:
        config: What to ask for.
        cloud: Open.
        hook: See `LlamaParse`.
    """

    def __init__(
        self, config: LlamaParseConfig, cloud: LlamaCloud, hook: Callable[[str], Any] | None
    ) -> None:
        self._config = config
        self._cloud = cloud
        self._hook = hook

    async def upload(self, source: Source, order: Order) -> str:
        """Sends a document; the vendor's id of the file."""
        # The length that is announced is the file's on the disk.
        source.file.flush()

        async def send(headers: Headers) -> dict[str, Any]:
            answer = await self._cloud.sdk.files.with_raw_response.create(
                # An open file: of a path the SDK makes a copy in memory.
                file=(sent_name(source.filename), source.file, "application/octet-stream"),
                purpose="parse",
                external_file_id=order.entry_id,
                extra_headers=headers,
                timeout=FILE_TIMEOUT,
            )
            return await content(answer)

        return word(await self._cloud.asked(send, at_most=FILE_SECONDS), "id")

    async def uploaded(self, order: Order) -> str | None:
        """The file of an order whose upload lost its reply."""
        found = await self.files_of(order)
        return found[0] if found else None

    async def create(self, order: Order, file_id: str, *, counted: bool, may_have_more: bool) -> VendorJob:
        """Begins a job of a file; a repeat begins, and buys, another."""
        tags = {ENTRY: order.entry_id, RUN: identity.caller().run_id, FILE: file_id}
        if counted:
            tags[PAGES] = str(order.pages)
        if may_have_more:
            tags[MORE] = "1"
        hooks = [self._hook(order.entry_id)] if self._hook else omit

        async def send(headers: Headers) -> VendorJob:
            answer = await self._cloud.sdk.parsing.with_raw_response.create(
                tier=order.tier,
                version=self._config.versions[order.tier],
                file_id=file_id,
                page_ranges={"max_pages": order.pages},
                user_metadata={name: value for name, value in tags.items() if value},
                webhook_configurations=hooks,
                client_name="waybill",
                extra_headers=headers,
            )
            # At the top here; below `job` where a job is read.
            return job(await content(answer))

        return await self._cloud.asked(send)

    async def created_since(self, since: datetime.datetime) -> AsyncIterator[VendorJob]:
        """Jobs of the project, the newest first."""
        earliest = since - datetime.timedelta(seconds=CLOCK_SECONDS)
        token, seen = "", {""}
        while True:
            page = partial(self._list, created_at_on_or_after=earliest, page_token=token or omit)
            answer = await self._cloud.asked(page)
            for one in items(answer):
                yield job(one)
            following = answer.get("next_page_token")
            if not isinstance(following, str) or following in seen:
                return  # a vendor that goes in a circle has said all
            seen.add(token := following)

    async def jobs(self, wanted: Callable[[], Sequence[str]]) -> Mapping[str, VendorJob]:
        """Jobs by id; which ones, is asked once it is the request's turn."""
        answer = await self._cloud.asked(lambda headers: self._list(headers, job_ids=list(wanted())))
        return {one.id: one for one in map(job, items(answer))}

    async def _list(self, headers: Headers, **wanted: Any) -> dict[str, Any]:
        answer = await self._cloud.sdk.parsing.with_raw_response.list(
            page_size=LIST_PAGE, extra_headers=headers, **wanted
        )
        return await content(answer)

    async def result(self, parse_id: str, part: str, pages: int) -> tuple[VendorJob, Mapping[str, Any]]:
        """A job with a part of its result, and what it cost as far as that is known.

        Raises:
            Unavailable: VENDOR_RESULT_MISSING, it may come.
        """

        async def send(headers: Headers) -> dict[str, Any]:
            answer = await self._cloud.sdk.parsing.with_raw_response.get(
                parse_id, expand=[part, "usage"], extra_headers=headers
            )
            return await content(answer)

        at_most = self._config.attempt_seconds + PAGE_SECONDS * pages
        answer = await self._cloud.asked(send, at_most=at_most, refused=of_result)
        return job(answer.get("job")), answer

    async def get(self, parse_id: str) -> VendorJob:
        """A job, with what it cost as far as that is known. Raises NotFound."""

        async def send(headers: Headers) -> VendorJob:
            answer = await self._cloud.sdk.parsing.with_raw_response.get(
                parse_id, expand=["usage"], extra_headers=headers
            )
            return job((await content(answer)).get("job"))

        return await self._cloud.asked(send, refused=of_thing)

    async def cancel(self, parse_id: str) -> None:
        """Says it; a job that has ended (409) stays as it is. Raises NotFound."""

        async def send(headers: Headers) -> None:
            try:
                await self._cloud.sdk.parsing.with_raw_response.cancel(parse_id, extra_headers=headers)
            except llama_cloud.ConflictError:
                return

        await self._cloud.asked(send, refused=of_thing)

    async def delete_job(self, parse_id: str) -> None:
        """Deletes a job with its result, if it is there."""
        await self._deleted(self._cloud.sdk.parsing.with_raw_response.delete, parse_id)

    async def delete_file(self, file_id: str) -> None:
        """Deletes a file, if it is there."""
        await self._deleted(self._cloud.sdk.files.with_raw_response.delete, file_id)

    async def _deleted(self, delete: Callable[..., Awaitable[Any]], which: str) -> None:
        async def send(headers: Headers) -> None:
            with suppress(llama_cloud.NotFoundError):
                await delete(which, extra_headers=headers)

        await self._cloud.asked(send)

    async def files_of(self, order: Order) -> Sequence[str]:
        """Files that were sent for an order."""

        async def send(headers: Headers) -> dict[str, Any]:
            answer = await self._cloud.sdk.files.with_raw_response.list(
                external_file_id=order.entry_id, extra_headers=headers
            )
            return await content(answer)

        return [word(one, "id") for one in items(await self._cloud.asked(send))]
