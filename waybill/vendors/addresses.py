"""Whether a vendor's base URL may be given a key."""

from __future__ import annotations

from urllib.parse import urlsplit

from waybill.runtime.tls import LOOPBACK


def address_fault(name: str, url: str) -> str:
    """What is wrong with a setting that is a base URL; empty where nothing is.

    Args:
        name: The setting's.
        url: Its value.
    """
    place = urlsplit(url)
    if place.scheme not in ("http", "https") or not place.hostname:
        text = "must be an address with https:// in front (http:// of a simulator)"
        return f"{name} {text}; simulator mode has no default"
    if place.scheme == "http" and place.hostname not in LOOPBACK:
        return f"{name} is http:// of another machine, which would get the key in clear"
    if "@" in place.netloc:
        return f"{name} holds a password, which belongs in a setting of its own"
    if place.query or place.fragment:
        return f"{name} has a query or a fragment; an address ends before these"
    return ""
