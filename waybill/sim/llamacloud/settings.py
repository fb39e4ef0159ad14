"""How the simulated LlamaCloud behaves, and what it sells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from waybill.sim.simulator import Settings

TIERS = ("fast", "cost_effective", "agentic", "agentic_plus")
# LlamaCloud's price list, 2026: 1,000 credits are $1.25; credits a page by tier.
NANO_USD_PER_CREDIT = 1_250_000
CREDITS_PER_PAGE = MappingProxyType({"fast": 1, "cost_effective": 3, "agentic": 10, "agentic_plus": 45})
# On top of a page's price, for `confidence_score_effort: high`.
CONFIDENCE_CREDITS = 5
CACHED = "cached"

MOST_FILE_BYTES = 512 * 2**20
CACHE_SECONDS = SOURCE_SECONDS = 48 * 3600
RESULT_SECONDS = 30 * 24 * 3600
PRESIGNED_SECONDS = 600
UPLOADS_PER_SECOND, UPLOAD_WINDOW_SECONDS = 50, 5


@dataclass(frozen=True)
class Plan:
    """What a customer has: requests a minute, and credits a month; None is without an end."""

    requests_per_minute: int | None
    credits: int | None


PLANS = {"free": Plan(20, 10_000), "starter": Plan(None, None), "pro": Plan(None, None)}


@dataclass(frozen=True)
class JobTimes:
    """How long a job takes, by the clock.

    Args:
        queued_seconds: As PENDING.
        page_seconds: A page, in the fast tier; the others take `TIER_FACTORS` as long.
        billed_seconds: From its end until its credits are told.
    """

    queued_seconds: float = 1.0
    page_seconds: float = 0.2
    billed_seconds: float = 5.0


TIER_FACTORS = MappingProxyType({"fast": 1, "cost_effective": 2, "agentic": 5, "agentic_plus": 10})


@dataclass(frozen=True)
class Assumptions:
    """What no source settles; each can be turned over.

    Args:
        early_results: A result asked for before its job is done is a `404`, or `absent`.
        wrong_state: The status for a cancel or a delete in the wrong state.
        failed_billed: A failed job costs its pages.
        cancelled_billed: A cancelled job costs its pages.
        failed_pages_billed: Pages that failed in a job that did not are billed.
        cache_hits_notify: A cached job sends its webhooks.
        signatures: A webhook with a secret is signed.
        private_webhooks: An address of this machine is taken, which the real service refuses.
    """

    early_results: str = "404"
    wrong_state: int = 409
    failed_billed: bool = False
    cancelled_billed: bool = False
    failed_pages_billed: bool = False
    cache_hits_notify: bool = True
    signatures: bool = True
    private_webhooks: bool = True


@dataclass(frozen=True)
class LlamaCloudSettings(Settings):
    """One simulator.

    Args:
        plan: Of keys that name none.
        region: Of this host; a key of another is not known here.
        most_pages: A document with more is TOO_MANY_PAGES.
        credits_per_page: By tier.
        jobs: How long jobs take.
        assumptions: What no source settles.
    """

    plan: str = "pro"
    region: str = "na"
    most_pages: int = 2_000
    credits_per_page: Mapping[str, int] = field(default_factory=lambda: CREDITS_PER_PAGE)
    jobs: JobTimes = field(default_factory=JobTimes)
    assumptions: Assumptions = field(default_factory=Assumptions)

    def prices(self) -> dict[str, int]:
        """Integer nano-USD per page, by what is billed."""
        rates = {tier: rate * NANO_USD_PER_CREDIT for tier, rate in self.credits_per_page.items()}
        return {**rates, "confidence": CONFIDENCE_CREDITS * NANO_USD_PER_CREDIT, CACHED: 0}
