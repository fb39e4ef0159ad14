"""What a job gives back, by the values of `expand`; and what faults make of it."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable, Sequence
from typing import Any

from waybill.sim.llamacloud import pages
from waybill.sim.llamacloud.downloads import Downloads
from waybill.sim.llamacloud.errors import NO_RESULT, Refused, invalid
from waybill.sim.llamacloud.jobs import Job
from waybill.sim.llamacloud.pages import HEIGHT, WIDTH, Page
from waybill.sim.llamacloud.settings import PRESIGNED_SECONDS, RESULT_SECONDS

_ABOUT_JOB = ("job_metadata", "usage")
_INLINE = ("text", "text_full", "markdown", "markdown_full", "items", "metadata", "forms")
# The key in `result_content_metadata` of each value that asks for a URL.
_URLS = {
    "text_content_metadata": "text",
    "markdown_content_metadata": "md",
    "items_content_metadata": "items",
    "metadata_content_metadata": "metadata",
    "forms_content_metadata": "forms",
    "raw_words_content_metadata": "rawWords",
    "xlsx_content_metadata": "xlsx",
    "output_pdf_content_metadata": "outputPDF",
}
_IMAGES = "images_content_metadata"
EXPANDS = (*_ABOUT_JOB, *_INLINE, *_URLS, _IMAGES)
_NOT_FAST = ("markdown", "items")
_PAGE_BREAK = "\n\n---\n\n"
HUGE_PAGE_BYTES = 40 * 2**20


def wanted(pairs: Sequence[tuple[str, str]], tier: str) -> list[str]:
    """The values of `expand`, repeated or joined by commas.

    Raises:
        Refused: One is unknown, or not to be had in the job's tier.
    """
    names = [part for name, text in pairs if name == "expand" for part in text.split(",") if part]
    if unknown := [name for name in names if name not in EXPANDS]:
        raise invalid("query.expand", f"Unknown expand value: {unknown[0]}", unknown[0])
    for name in names:
        if tier == "fast" and name.startswith(_NOT_FAST):
            kind = name.partition("_")[0].title()
            raise Refused(400, f"{kind} expansion is not available for FAST tier jobs.")
    return names


class Results:
    """The results of jobs.

    Args:
        foreign: A URL on a host that is not the vendor's.
    """

    def __init__(self, downloads: Downloads, early: str, foreign: Callable[[], str]) -> None:
        self._downloads, self._early, self._foreign = downloads, early, foreign

    def fields(self, job: Job, status: str, names: Sequence[str], now: float, huge: bool) -> dict[str, Any]:
        """The fields beside `job`.

        Args:
            status: The job's, as it is shown.
            names: From `wanted`.
            huge: The first page has 40 MB of markdown.

        Raises:
            Refused: There is no result, or none any more.
        """
        fields: dict[str, Any] = {}
        if "job_metadata" in names:
            fields["job_metadata"] = {"cache_hit": job.cached, "num_pages": len(job.pages)}
        asked = [name for name in names if name not in _ABOUT_JOB]
        if not asked:
            return fields
        if status != "COMPLETED" and self._early == "absent":
            return fields
        if status != "COMPLETED" or now >= job.updated + RESULT_SECONDS or _is_lost(job):
            raise Refused(404, NO_RESULT)
        made = _pages(job)
        if huge:
            made[0] = dataclasses.replace(made[0], items=(pages.text("x" * HUGE_PAGE_BYTES),))
        for name in asked:
            if name in _INLINE:
                fields[name] = _inline(name, made)
        if urls := {_URLS[name]: self._link(job, name, made) for name in asked if name in _URLS}:
            fields["result_content_metadata"] = urls
        if _IMAGES in asked:
            fields[_IMAGES] = {"images": [], "total_count": 0}
        return fields

    def _link(self, job: Job, name: str, made: list[Page]) -> dict[str, Any]:
        content = _content(name.removesuffix("_content_metadata"), made)
        expired = job.broken_as("F32") and job.variant("expired") == "expired"
        url = self._downloads.mint(lambda: content, 0 if expired else PRESIGNED_SECONDS)
        if job.broken_as("F32") and not expired:
            url = self._foreign()
        return {
            "size_bytes": len(content),
            "exists": bool(content),
            "presigned_url": url if content else None,
        }


def _is_lost(job: Job) -> bool:
    """F24: the result is not there, so many times or for ever."""
    if not job.broken_as("F24"):
        return False
    job.seen["F24"] += 1
    return job.variant("") == "" or job.seen["F24"] <= int(job.variant(""))


@functools.lru_cache(maxsize=64)
def _made(sha256: str, options: str, numbers: tuple[int, ...]) -> tuple[Page, ...]:
    return tuple(pages.page(sha256, options, number) for number in numbers)


def _pages(job: Job) -> list[Page]:
    made = list(_made(job.document.sha256, job.configuration.options, tuple(job.pages)))
    for place in range(len(made) - job.failed_pages, len(made)):
        made[place] = dataclasses.replace(made[place], failed=True)
    if job.broken_as("F25"):
        return made[: -int(job.variant("1"))]
    if job.broken_as("F26"):
        return made[::-1] if job.variant("twice") == "order" else [*made, made[0]]
    if job.broken_as("F28"):
        return [dataclasses.replace(one, items=()) for one in made]
    return made


def _inline(name: str, made: list[Page]) -> Any:
    match name:
        case "text_full":
            return _PAGE_BREAK.join(page.text for page in made)
        case "markdown_full":
            return _PAGE_BREAK.join(page.markdown for page in made if not page.failed)
        case "text":
            return {"pages": [{"page_number": page.number, "text": page.text} for page in made]}
        case "markdown":
            return {"pages": [_page(page, {"markdown": page.markdown}) for page in made]}
        case "items":
            size = {"page_width": WIDTH, "page_height": HEIGHT}
            return {"pages": [_page(page, {"items": list(page.items), **size}) for page in made]}
        case "forms":
            return {"pages": [_page(page, {"forms": []}) for page in made]}
    return {"pages": [{"page_number": page.number, "confidence": 0.99} for page in made]}


def _page(page: Page, content: dict[str, Any]) -> dict[str, Any]:
    if page.failed:
        return {"success": False, "page_number": page.number, "error": "The page could not be parsed."}
    return {"success": True, "page_number": page.number, **content}


def _content(name: str, made: list[Page]) -> bytes:
    """The file behind a URL; empty where the job made none."""
    if name in ("text", "markdown"):
        return str(_inline(f"{name}_full", made)).encode()
    if name in _INLINE:
        return json.dumps(_inline(name, made)).encode()
    return b""
