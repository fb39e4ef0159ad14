"""What a create asks for: tier, version, pages, timeouts, webhooks and the options that make a result."""

from __future__ import annotations

import hashlib
import ipaddress
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from waybill.sim.llamacloud import versions
from waybill.sim.llamacloud.errors import invalid, missing
from waybill.sim.llamacloud.settings import TIERS
from waybill.sim.outbox import reachable

EVENTS = (
    *("parse.pending", "parse.running", "parse.success"),
    *("parse.error", "parse.partial_success", "parse.cancelled"),
)
MOST_BASE_SECONDS, MOST_PAGE_SECONDS = 7200, 300
_MOST_TAGS, _MOST_NAME, _MOST_VALUE = 50, 64, 512
# Other values of these give the same result, so they do not make another cache entry.
_NOT_OPTIONS = (
    *("file_id", "tier", "version", "client_name", "user_metadata", "disable_cache"),
    *("webhook_configurations", "webhook_configuration_ids", "http_proxy"),
)
_TARGETS = re.compile(r"[1-9]\d{0,6}(-[1-9]\d{0,6})?(,[1-9]\d{0,6}(-[1-9]\d{0,6})?)*")
_MOST_TARGETS = 100_000


@dataclass(frozen=True)
class Hook:
    """Where a job's events go; no events are all events."""

    url: str
    events: tuple[str, ...]
    headers: Mapping[str, str]
    as_json: bool
    secret: str


@dataclass(frozen=True)
class Configuration:
    """One create's body, checked.

    Args:
        version: The dated one.
        targets: Pages that are asked for, from 1; none are all.
        base_seconds: With `page_seconds` for each page, when the job is TIMEOUT; None is never.
        options: sha256 of all that the result depends on, but the file.
    """

    tier: str
    version: str
    file_id: str
    source_url: str
    targets: tuple[int, ...]
    max_pages: int | None
    base_seconds: int | None
    page_seconds: int
    confident: bool
    disable_cache: bool
    user_metadata: Mapping[str, str] | None
    hooks: tuple[Hook, ...]
    options: str

    def pages(self, there_are: int) -> list[int]:
        """Which of a document's pages are parsed; targets go before max_pages."""
        if self.targets:
            return [number for number in self.targets if number <= there_are]
        return list(range(1, min(there_are, self.max_pages or there_are) + 1))

    def timeout(self, pages: int) -> float | None:
        """Seconds that so many pages may take."""
        return None if self.base_seconds is None else self.base_seconds + self.page_seconds * pages


def read(body: Any, private_webhooks: bool, uploaded: bool = False) -> Configuration:
    """Checks a create's body.

    Args:
        private_webhooks: An address of this machine is taken.
        uploaded: The file comes with it.

    Raises:
        Refused: As LlamaCloud would.
    """
    if not isinstance(body, dict):
        raise invalid("body", "Input should be a valid dictionary", body)
    tier, version = _tier(body)
    ranges, timeouts = _part(body, "page_ranges"), _part(_part(body, "processing_control"), "timeouts")
    _check_sources(body, uploaded)
    _check_crop(_part(body, "crop_box"))
    max_pages = _number(ranges, "max_pages", "page_ranges.max_pages", 1, None)
    where = "processing_control.timeouts"
    base = _number(timeouts, "base_in_seconds", f"{where}.base_in_seconds", 1, MOST_BASE_SECONDS)
    extra_name = "extra_time_per_page_in_seconds"
    extra = _number(timeouts, extra_name, f"{where}.{extra_name}", 0, MOST_PAGE_SECONDS)
    options = {name: value for name, value in body.items() if name not in _NOT_OPTIONS and value is not None}
    whole = json.dumps([tier, version, options], sort_keys=True)
    return Configuration(
        tier=tier,
        version=version,
        file_id=str(body.get("file_id") or ""),
        source_url=str(body.get("source_url") or ""),
        targets=_targets(ranges.get("target_pages")),
        max_pages=max_pages,
        base_seconds=base,
        page_seconds=extra or 0,
        confident=_part(body, "processing_options").get("confidence_score_effort") == "high",
        disable_cache=bool(body.get("disable_cache")),
        user_metadata=_tags(body.get("user_metadata")),
        hooks=_hooks(body.get("webhook_configurations"), private_webhooks),
        options=hashlib.sha256(whole.encode()).hexdigest(),
    )


def _tier(body: Mapping[str, Any]) -> tuple[str, str]:
    for name in ("tier", "version"):
        if name not in body:
            raise missing(name)
    tier, version = body["tier"], body["version"]
    if tier not in TIERS:
        raise invalid("tier", f"Unsupported tier: {tier}. Must be one of: {', '.join(TIERS)}", tier)
    dated = versions.resolve(tier, version)
    if dated is None:
        raise invalid("version", f"Unsupported version for tier {tier}: {version}", version)
    return tier, dated


def _check_sources(body: Mapping[str, Any], uploaded: bool) -> None:
    named = [name for name in ("file_id", "source_url") if body.get(name)]
    if len(named) + uploaded != 1:
        raise invalid("file_id", "Exactly one of file_id and source_url must be given", named)


def _check_crop(box: Mapping[str, Any]) -> None:
    for side, ratio in box.items():
        if ratio is not None and not (isinstance(ratio, int | float) and 0 <= ratio <= 1):
            raise invalid(f"crop_box.{side}", "Input should be from 0 to 1", ratio)


def _part(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = body.get(name)
    if part is None:
        return {}
    if not isinstance(part, dict):
        raise invalid(name, "Input should be a valid dictionary", part)
    return part


def _number(part: Mapping[str, Any], name: str, where: str, least: int, most: int | None) -> int | None:
    given = part.get(name)
    if given is None:
        return None
    if type(given) is not int or given < least or (most is not None and given > most):
        raise invalid(where, f"Input should be from {least} to {most or 'any number'}", given)
    return given


def _targets(given: Any) -> tuple[int, ...]:
    if given is None:
        return ()
    where = "page_ranges.target_pages"
    if not isinstance(given, str) or not _TARGETS.fullmatch(given):
        raise invalid(where, "Input should be like 1,3,5-8", given)
    pages: list[int] = []
    for part in given.split(","):
        first, _, last = part.partition("-")
        pages += range(int(first), min(int(last or first), int(first) + _MOST_TARGETS) + 1)
    if len(set(pages)) != len(pages):
        raise invalid(where, "Pages are named twice", given)
    return tuple(sorted(pages))


def _tags(given: Any) -> Mapping[str, str] | None:
    if given is None:
        return None
    good = isinstance(given, dict) and len(given) <= _MOST_TAGS
    for name, value in given.items() if good else ():
        good = good and isinstance(value, str) and len(name) <= _MOST_NAME and len(value) <= _MOST_VALUE
    if not good:
        raise invalid("user_metadata", "Too many entries, or one that is too long or no text", given)
    return dict(given)


def _hooks(given: Any, private: bool) -> tuple[Hook, ...]:
    if given is None:
        return ()
    if not isinstance(given, list):
        raise invalid("webhook_configurations", "Input should be a valid list", given)
    return tuple(_hook(one, f"webhook_configurations.{place}", private) for place, one in enumerate(given))


def _hook(given: Any, where: str, private: bool) -> Hook:
    if not isinstance(given, dict):
        raise invalid(where, "Input should be a valid dictionary", given)
    url, events = str(given.get("webhook_url") or ""), given.get("webhook_events")
    if not _public(url) and not (private and reachable(url)):
        raise invalid(f"{where}.webhook_url", "Input should be a public HTTPS URL", url)
    if events is not None and (not isinstance(events, list) or not events or set(events) - set(EVENTS)):
        raise invalid(f"{where}.webhook_events", f"Input should be among {', '.join(EVENTS)}", events)
    form = given.get("webhook_output_format") or "string"
    if form not in ("string", "json"):
        raise invalid(f"{where}.webhook_output_format", "Input should be 'string' or 'json'", form)
    headers = {str(name): str(value) for name, value in (given.get("webhook_headers") or {}).items()}
    secret = str(given.get("webhook_signing_secret") or "")
    return Hook(url, tuple(events or ()), headers, form == "json", secret)


def _public(url: str) -> bool:
    """Whether the real service would send there."""
    place = urlsplit(url)
    host = place.hostname or ""
    try:
        return place.scheme == "https" and ipaddress.ip_address(host).is_global
    except ValueError:
        return place.scheme == "https" and "." in host and not host.endswith((".local", ".internal"))
