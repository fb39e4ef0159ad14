"""Forms with files."""

from __future__ import annotations

from dataclasses import dataclass
from email.message import Message

from waybill.sim.wire import Request


@dataclass(frozen=True)
class Part:
    """One part of a form."""

    content: bytes
    filename: str = ""


def form(request: Request) -> dict[str, Part] | None:
    """A multipart form's parts by name; None where the request is no such form."""
    kind = _header("content-type", request.headers.get("content-type", ""))
    boundary = kind.get_param("boundary", header="content-type")
    if kind.get_content_type() != "multipart/form-data" or not isinstance(boundary, str):
        return None
    parts = {}
    for part in (b"\r\n" + request.body).split(f"\r\n--{boundary}".encode())[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        for line in head.decode("utf-8", "replace").strip().split("\r\n"):
            name, _, value = line.partition(":")
            if name.lower() == "content-disposition":
                shown = _header("content-disposition", value.strip())
                field = shown.get_param("name", header="content-disposition")
                parts[str(field)] = Part(content, shown.get_filename(""))
    return parts


def _header(name: str, value: str) -> Message:
    message = Message()
    message[name] = value
    return message
