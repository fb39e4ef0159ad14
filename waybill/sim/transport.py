"""Faults of the way between a client and any vendor; a vendor's catalogue gives each its name."""

from __future__ import annotations

import dataclasses
import functools
import zlib
from enum import StrEnum

from waybill.sim.replies import lost
from waybill.sim.wire import Delivery, Reply

# Where a redirect leads: this server, under another host's name.
FOREIGN = "/foreign"
_HTML = b"<html><head><title>Bad gateway</title></head><body><h1>Bad gateway</h1></body></html>"
_BOMB_BLOCK_BYTES, _BOMB_BLOCKS = 2**20, 256


class Transport(StrEnum):
    """What happens to a request, or to the reply after the work was done."""

    OUTAGE = "connections are refused, for the fault's variant in seconds where it has a trigger"
    RESET_BEFORE = "a reset before the work"
    RESET_AFTER = "a reset after the work"
    HALF = "half the announced body, then the end"
    DRIP = "a byte every 100 ms"
    SILENT = "headers, then silence"
    STALL = "no answer before the work, while the connection stays open"
    PAUSE = "half the announced body, then silence"
    GATEWAY = "a gateway's 502 as HTML, before the work"
    TRUNCATED = "half the body under a length that fits it"
    HTML = "HTML under the status of success"
    NULL = "null under the status of success"
    EMPTY = "no body under the status of success"
    GATEWAY_AFTER = "a gateway's 504 as HTML, after the work"
    BOMB = "256 MB of blanks and the body in a small gzip"
    REDIRECT = "a redirect to another host, before the work"
    STALE = "a connection that is reset under the next request"


_DELIVERIES = {
    Transport.RESET_AFTER: Delivery.RESET,
    Transport.HALF: Delivery.HALF,
    Transport.DRIP: Delivery.DRIP,
    Transport.SILENT: Delivery.SILENT,
    Transport.PAUSE: Delivery.PAUSE,
    Transport.STALE: Delivery.STALE,
}


def instead(kind: Transport | None, port: int) -> Reply | None:
    """The reply in place of any work; None where the work goes on.

    Args:
        port: This server's.
    """
    match kind:
        case Transport.OUTAGE | Transport.RESET_BEFORE:
            return lost()
        case Transport.STALL:
            return Reply(0, delivery=Delivery.STALL)
        case Transport.GATEWAY:
            return Reply(502, _HTML, {"content-type": "text/html"})
        case Transport.REDIRECT:
            return Reply(307, headers={"location": f"http://localhost:{port}{FOREIGN}"})
    return None


def broken(kind: Transport | None, reply: Reply) -> Reply:
    """A reply whose work was done, as it leaves."""
    match kind:
        case Transport.TRUNCATED:
            return dataclasses.replace(reply, body=reply.body[: len(reply.body) // 2])
        case Transport.HTML:
            return dataclasses.replace(
                reply, body=_HTML, headers={**reply.headers, "content-type": "text/html"}
            )
        case Transport.NULL:
            return dataclasses.replace(reply, body=b"null")
        case Transport.EMPTY:
            return dataclasses.replace(reply, body=b"")
        case Transport.GATEWAY_AFTER:
            return Reply(504, _HTML, {"content-type": "text/html"})
        case Transport.BOMB:
            headers = {**reply.headers, "content-encoding": "gzip"}
            return dataclasses.replace(reply, body=_bomb(bytes(reply.body)), headers=headers)
    return dataclasses.replace(reply, delivery=_DELIVERIES[kind]) if kind in _DELIVERIES else reply


def _bomb(body: bytes) -> bytes:
    """256 MB of blanks before the body, which JSON allows, in some 260 kB of valid gzip.

    A block that was compressed up to a full flush can be repeated as it is.
    """
    block, checksum = _blanks()
    tail = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    end = tail.compress(body) + tail.flush()
    size = _BOMB_BLOCKS * _BOMB_BLOCK_BYTES + len(body)
    header = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    trailer = zlib.crc32(body, checksum).to_bytes(4, "little") + (size % 2**32).to_bytes(4, "little")
    return header + block * _BOMB_BLOCKS + end + trailer


@functools.cache
def _blanks() -> tuple[bytes, int]:
    blanks = b" " * _BOMB_BLOCK_BYTES
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    block = packer.compress(blanks) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = 0
    for _ in range(_BOMB_BLOCKS):
        checksum = zlib.crc32(blanks, checksum)
    return block, checksum
