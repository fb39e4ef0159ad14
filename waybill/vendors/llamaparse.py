"""What is known of LlamaParse besides its row: tiers, regions, and addresses that it sends to."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from waybill.vendors.registry import LLAMAPARSE

# The newest of each tier when llama-cloud 2.19 was made (its documentation of `version`).
VERSIONS: Mapping[str, str] = {
    "fast": "2026-06-15",
    "cost_effective": "2026-09-28",
    "agentic": "2026-10-16",
    "agentic_plus": "2026-09-28",
}
# Keys of one region are unknown in the other.
REGIONS: Mapping[str, str] = {"na": LLAMAPARSE.base_url, "eu": "https://api.cloud.eu.llamaindex.ai"}
# The data centre of each (facts: LlamaParse, "Region"), where S3 keeps results.
_DATA_CENTRES: Mapping[str, str] = {"na": "us-east-1", "eu": "eu-central-1"}
# With what comes behind it LlamaCloud takes 200.
_LONGEST_WEBHOOK_URL = 120


def download_hosts(region: str) -> tuple[str, ...]:
    """S3's names for a bucket of a region, and for S3 there; the vendor does not publish the bucket's.

    One that begins with a dot is any host below it. S3's name without a data centre is that of the first one.
    """
    centre = _DATA_CENTRES.get(region, "")
    names = [f"s3.{centre}.amazonaws.com"] if centre else []
    names += ["s3.amazonaws.com"] if centre == "us-east-1" else []
    return tuple(form for name in names for form in (name, f".{name}"))


def webhook_fault(url: str, *, allow_local: bool = False) -> str:
    """Why LlamaCloud could not send there; empty where it could (facts: LlamaParse, "Webhooks")."""
    place = urlsplit(url)
    host = place.hostname or ""
    local = host == "localhost" or host.endswith((".local", ".internal", ".localhost"))
    try:
        local = local or not ipaddress.ip_address(host).is_global
    except ValueError:
        local = local or "." not in host
    if local and not allow_local:
        return f"{host or 'it'} is no public host: LlamaCloud does not send to private addresses"
    if place.scheme != "https" and not (local and allow_local):
        return "it must begin with https://"
    if place.query or place.fragment or "@" in place.netloc:
        return "it must be an address without a password, a query or a fragment"
    return f"it is over {_LONGEST_WEBHOOK_URL} characters" if len(url) > _LONGEST_WEBHOOK_URL else ""
