"""Links to objects on this machine's disk: what each grants, signed by a key of ours.

A link carries all that it grants, so that nothing need be kept of it, and it outlives a restart. It is bound
to one content: once the object has another, a download link is good for nothing.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from services.storage.backends.port import Link, ObjectSpec
from waybill.runtime.clock import Now
from waybill.runtime.config import ConfigError

PATH = "/objects"
_PURPOSE = b"waybill object link 1\n"


class LinkRefused(Exception):
    """A link grants nothing; the text is for whoever has it."""


@dataclass(frozen=True, slots=True)
class Grant:
    """What a link allows.

    Attributes:
        method: GET, HEAD with it, or PUT.
        tenant: Whose object it is.
        spec: The object. A download is of this very content; an upload must bring it.
        expires_ms: Since the epoch.
        file_name: The last part of the link's path; what a browser calls the file.
    """

    method: Literal["GET", "PUT"]
    tenant: str
    spec: ObjectSpec
    expires_ms: int
    file_name: str


class LocalLinks:
    """Makes links and judges them.

    Args:
        keys: The first one signs; links that any of them signed are good.
        base_url: What links begin with.
        clock: The time of day, with a zone.
    """

    def __init__(self, keys: Sequence[str], base_url: str, clock: Now) -> None:
        self._keys = [key.encode() for key in keys]
        self._base_url = base_url.rstrip("/")
        self._clock = clock

    def link(
        self, method: Literal["GET", "PUT"], tenant: str, spec: ObjectSpec, seconds: int, file_name: str
    ) -> Link:
        """A link that lives so long from now."""
        ends = self._clock() + datetime.timedelta(seconds=seconds)
        grant = Grant(method, tenant, spec, round(ends.timestamp() * 1_000), file_name)
        text = _packed(grant)
        token = f"{text}.{_signature(self._keys[0], text)}"
        url = f"{self._base_url}{PATH}/{quote(file_name, safe='')}?token={token}"
        return Link(url, method, {}, ends)

    def granted(self, token: str, method: str, file_name: str) -> Grant:
        """What a link grants that came with a request of this method, for this name.

        Raises:
            LinkRefused: It is none of ours, has expired, or is for something else.
        """
        text, _, signature = token.encode("ascii", "replace").decode().rpartition(".")
        good = False
        for key in self._keys:  # each of them, whatever the first says: how long it takes tells nothing
            good |= hmac.compare_digest(_signature(key, text).encode(), signature.encode())
        if not good:
            raise LinkRefused("This link is not valid. Ask for a new one.")
        grant = _unpacked(text)
        if file_name != grant.file_name or method not in _METHODS[grant.method]:
            raise LinkRefused("This link is for something else. Use it as it was given.")
        if self._clock().timestamp() * 1_000 >= grant.expires_ms:
            raise LinkRefused("This link has expired. Ask for a new one.")
        return grant


_METHODS: Mapping[str, Sequence[str]] = {"GET": ("GET", "HEAD"), "PUT": ("PUT",)}


def kept_keys(file: Path) -> tuple[str, ...]:
    """The keys in a file, a key a line; the file is made with one where it is missing. It blocks.

    Raises:
        ConfigError: The file holds none.
    """
    if not file.exists():
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = file.with_name(f"{file.name}.new")
        fresh.unlink(missing_ok=True)
        with open(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as written:
            written.write(f"{secrets.token_urlsafe(32)}\n")
            written.flush()
            os.fsync(written.fileno())
        fresh.replace(file)
    if not (keys := tuple(file.read_text().split())):
        raise ConfigError(
            f"cannot start: {file} holds no key. Write one, or delete the file: then one is made."
        )
    return keys


def _packed(grant: Grant) -> str:
    spec = grant.spec
    fields = [grant.method, grant.tenant, grant.expires_ms, grant.file_name]
    fields += [spec.key, spec.size_bytes, spec.sha256, spec.content_type, dict(spec.metadata)]
    said = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(said.encode()).decode().rstrip("=")


def _unpacked(text: str) -> Grant:
    """What we have packed ourselves, and signed."""
    said = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    method, tenant, expires_ms, file_name, *spec = json.loads(said)
    return Grant(method, tenant, ObjectSpec(*spec), expires_ms, file_name)


def _signature(key: bytes, text: str) -> str:
    digest = hmac.new(key, _PURPOSE + text.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
