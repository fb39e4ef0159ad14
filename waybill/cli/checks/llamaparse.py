"""What only LlamaParse has: regions, a plan's rate that it does not tell, and versions."""

from __future__ import annotations

from collections.abc import Iterator

from waybill.cli.checks.check import Check, Given, Reply, simulated
from waybill.cli.checks.finding import Finding, State
from waybill.llamaparse_settings import LLAMA_CLOUD_REQUESTS_PER_MINUTE
from waybill.vendors.llamaparse import REGIONS, VERSIONS


class LlamaParseCheck(Check):
    """See Check."""

    def base(self, given: Given) -> str:
        """Of the address that is set, else of the region."""
        return given.get(self.vendor.address) or REGIONS.get(given.get("REGION", ""), self.vendor.base_url)

    def is_the_vendors(self, base: str) -> bool:
        """Of any region."""
        return base in REGIONS.values()

    def more(self, reply: Reply, base: str, given: Given) -> Iterator[Finding]:
        """By the settings alone."""
        region = next((one for one, url in REGIONS.items() if url == base), "")
        place = "none: a simulator" if simulated(given) else f"none of {', '.join(REGIONS)}: {base}"
        yield self.found("region", State.OK, region or place)
        rate = given.get("REQUESTS_PER_MINUTE") or (
            LLAMA_CLOUD_REQUESTS_PER_MINUTE.default if region else "0"
        )
        limit = "no limit" if rate == "0" else f"{rate} requests a minute"
        yield self.found("rate", State.OK, f"{limit}, as set; the free plan allows 20")
        tier = self.subject(given)
        yield self.found("version", State.OK, f"{tier} {given.get('VERSION') or VERSIONS.get(tier, '')}")
