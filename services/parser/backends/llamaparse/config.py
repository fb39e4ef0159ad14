"""How to reach LlamaParse: the settings that begin with LLAMA_CLOUD_."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from waybill import llamaparse_settings as own
from waybill.common.v1.cost_pb2 import CostKind
from waybill.runtime.config import Settings
from waybill.runtime.settings import MODE
from waybill.vendors.addresses import address_fault
from waybill.vendors.keys import Keys
from waybill.vendors.llamaparse import REGIONS, VERSIONS, download_hosts, webhook_fault
from waybill.vendors.registry import LLAMAPARSE

_DATED = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True)
class Webhooks:
    """Where LlamaCloud tells of parses that end, and how it is believed.

    Attributes:
        url: LLAMA_CLOUD_WEBHOOK_URL, public and https: what LlamaCloud sends to; none, no listener.
        bind: LLAMA_CLOUD_WEBHOOK_BIND, host:port where the parser listens for it.
        secrets: LLAMA_CLOUD_WEBHOOK_SECRET and, while it is changed, LLAMA_CLOUD_WEBHOOK_SECRET_PREVIOUS.
    """

    url: str
    bind: str
    secrets: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Webhooks({self.url!r}, {self.bind!r}, secrets not shown)"


@dataclass(frozen=True)
class LlamaParseConfig:
    """How to reach LlamaParse, and what to ask of it.

    Attributes:
        keys: LLAMA_CLOUD_API_KEY and, while it is rotated, LLAMA_CLOUD_API_KEY_NEXT; or
            LLAMA_CLOUD_API_KEY_FILE, a key a line, read again when it changes.
        kind: What its money is: simulated under WAYBILL_MODE=simulator.
        base_url: LLAMA_CLOUD_BASE_URL, else the host of LLAMA_CLOUD_REGION, na or eu.
        organization: LLAMA_CLOUD_ORGANIZATION, its id, sent along where set.
        project: LLAMA_CLOUD_PROJECT, the same.
        tier: LLAMA_CLOUD_TIER, of a parse that names none.
        versions: Of each tier the dated version that is asked for; LLAMA_CLOUD_VERSION is that of `tier`.
        requests_per_minute: LLAMA_CLOUD_REQUESTS_PER_MINUTE, what the account's plan allows; 0 is any number.
        attempt_seconds: LLAMA_CLOUD_ATTEMPT_SECONDS, the longest that one attempt may take, but for files.
        failed_jobs_charged: LLAMA_CLOUD_FAILED_JOBS_CHARGED, 1 where a job that fails costs something.
        download_hosts: LLAMA_CLOUD_DOWNLOAD_HOSTS, comma-separated, where results may lie besides the host
            of base_url; one that begins with a dot is any host below it.
        webhooks: Where the settings name a public address.
    """

    keys: Keys
    kind: CostKind
    base_url: str = LLAMAPARSE.base_url
    organization: str = ""
    project: str = ""
    tier: str = LLAMAPARSE.default_subject
    versions: Mapping[str, str] = field(default_factory=lambda: VERSIONS)
    requests_per_minute: int = int(own.LLAMA_CLOUD_REQUESTS_PER_MINUTE.default or 0)
    attempt_seconds: float = 30.0
    failed_jobs_charged: bool = False
    download_hosts: tuple[str, ...] = download_hosts("na")
    webhooks: Webhooks | None = None

    @classmethod
    def read(cls, settings: Settings) -> LlamaParseConfig:
        """From the environment; what is missing is told by `settings.check`."""
        file = settings.text(own.LLAMA_CLOUD_API_KEY_FILE)
        first = settings.text(own.LLAMA_CLOUD_API_KEY, "" if file else None)
        simulated = settings.text(MODE) == "simulator"
        tier, region = (
            settings.choice(own.LLAMA_CLOUD_TIER),
            settings.choice(own.LLAMA_CLOUD_REGION),
        )
        version = settings.text(own.LLAMA_CLOUD_VERSION, VERSIONS.get(tier, ""))
        hosts = settings.text(own.LLAMA_CLOUD_DOWNLOAD_HOSTS)
        config = cls(
            keys=Keys([first, settings.text(own.LLAMA_CLOUD_API_KEY_NEXT)], Path(file) if file else None),
            kind=CostKind.COST_KIND_SIMULATED if simulated else CostKind.COST_KIND_REAL,
            base_url=settings.text(own.LLAMA_CLOUD_BASE_URL, "" if simulated else REGIONS.get(region, "")),
            organization=settings.text(own.LLAMA_CLOUD_ORGANIZATION),
            project=settings.text(own.LLAMA_CLOUD_PROJECT),
            tier=tier,
            versions={**VERSIONS, tier: version},
            requests_per_minute=settings.integer(
                own.LLAMA_CLOUD_REQUESTS_PER_MINUTE, 0 if simulated else None
            ),
            attempt_seconds=settings.integer(own.LLAMA_CLOUD_ATTEMPT_SECONDS),
            failed_jobs_charged=settings.choice(own.LLAMA_CLOUD_FAILED_JOBS_CHARGED) == "1",
            download_hosts=tuple(filter(None, map(str.strip, hosts.split(",")))) or download_hosts(region),
            webhooks=_webhooks(settings, allow_local=simulated),
        )
        config._judge(settings, region, version)
        return config

    @property
    def seconds_a_request(self) -> float:
        """How long to wait after the vendor said that it is too much."""
        return 60.0 / self.requests_per_minute if self.requests_per_minute else 1.0

    def revision(self, tier: str) -> str:
        """Names what is asked of a tier: another one parses a known content anew."""
        return f"llamaparse-{self.versions.get(tier, 'unknown')}"

    def may_lead_to(self, url: str) -> bool:
        """Whether a result may be fetched from there."""
        place, own = urlsplit(url), urlsplit(self.base_url)
        host = place.hostname or ""
        known = any(
            host == one or (one.startswith(".") and host.endswith(one))
            for one in (own.hostname or "", *self.download_hosts)
        )
        # A simulator mints them for this machine, without TLS.
        return known and place.scheme in ("https", own.scheme) and "@" not in place.netloc

    def _judge(self, settings: Settings, region: str, version: str) -> None:
        if fault := address_fault(own.LLAMA_CLOUD_BASE_URL.name, self.base_url):
            settings.fault(fault)
        named = next((one for one, url in REGIONS.items() if url == self.base_url.rstrip("/")), region)
        if named != region:
            settings.fault(f"LLAMA_CLOUD_BASE_URL is of region {named}, LLAMA_CLOUD_REGION is {region}")
        if not _DATED.fullmatch(version):
            settings.fault(
                f"LLAMA_CLOUD_VERSION is {version!r}; it is a date such as {VERSIONS['fast']}: what "
                "`latest` means changes under results that are kept"
            )


def _webhooks(settings: Settings, *, allow_local: bool) -> Webhooks | None:
    url = settings.text(own.LLAMA_CLOUD_WEBHOOK_URL)
    secrets = (
        settings.text(own.LLAMA_CLOUD_WEBHOOK_SECRET),
        settings.text(own.LLAMA_CLOUD_WEBHOOK_SECRET_PREVIOUS),
    )
    if not url:
        return None
    if fault := webhook_fault(url, allow_local=allow_local):
        settings.fault(f"LLAMA_CLOUD_WEBHOOK_URL: {fault}")
    if not secrets[0]:
        settings.fault("LLAMA_CLOUD_WEBHOOK_URL is set without LLAMA_CLOUD_WEBHOOK_SECRET: nothing is signed")
    return Webhooks(
        url.rstrip("/"),
        settings.text(own.LLAMA_CLOUD_WEBHOOK_BIND),
        tuple(filter(None, secrets)),
    )
