"""Where a URL that somebody configured may lead us: to the public network, and not back inside.

The name is resolved here, each of its addresses is judged, and the connection is made to one of them: what
the name leads to a moment later makes no difference.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# IPv6 addresses that a translator turns into the IPv4 address in their last four bytes (RFC 6052).
_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")


class PrivateAddress(Exception):
    """A name leads to an address that is not public."""


async def addresses_of(host: str, port: int, *, loopback: bool) -> Sequence[str]:
    """The addresses of a host, in the order in which they are to be tried.

    Args:
        host: A name, or an address without brackets.
        port: Of the service there.
        loopback: This machine is taken, too.

    Raises:
        PrivateAddress: One of them is not public.
        OSError: The name leads nowhere now.
    """
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    # Behind % is the zone of a link-local address.
    addresses = list(dict.fromkeys(str(place[0]).partition("%")[0] for *_, place in found))
    if not all(may_be_reached(address, loopback=loopback) for address in addresses):
        raise PrivateAddress(f"{host} leads to a private address")
    return addresses


def may_be_reached(address: str, *, loopback: bool) -> bool:
    """Whether an IP address is public, or of this machine where that is allowed."""
    place = _meant(ipaddress.ip_address(address))
    if place.is_loopback:
        return loopback
    return place.is_global and not place.is_multicast


def _meant(address: Address) -> Address:
    """The IPv4 address where an IPv6 one is only a way to write it, or leads there."""
    if not isinstance(address, ipaddress.IPv6Address):
        return address
    if address in _TRANSLATED:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address
