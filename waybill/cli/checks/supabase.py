"""What Supabase Storage says of the key's role and of the bucket, in words of its own.

It answers nearly every fault by HTTP 400 and says in the body what it was. It hides a bucket from who may not
see it, so whether a bucket is missing or the role is wrong, only the key itself tells.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from waybill.cli.checks.check import Check, Given, Reply, simulated
from waybill.cli.checks.finding import Finding, State
from waybill.stack.config import migrations_folder
from waybill.vendors.supabase import (
    BUCKET_BYTES,
    BUCKET_MIGRATION,
    MEDIA_TYPES,
    SERVICE_ROLE,
    STORAGE_PATH,
    key_headers,
    role_of,
    takes,
)

_HOSTED = ".supabase.co"


class SupabaseCheck(Check):
    """See Check."""

    def base(self, given: Given) -> str:
        """Of the storage API."""
        project = given.get(self.vendor.address, "").rstrip("/")
        return given.get("STORAGE_URL") or (project and project + STORAGE_PATH)

    def headers(self, key: str) -> Mapping[str, str]:
        """Two of them."""
        return key_headers(key)

    def read(self, reply: Reply, key: str, base: str, given: Given) -> Iterator[Finding]:
        """Key first: with a wrong one the rest is not told."""
        told = _fields(reply.body)
        code, status = told.get("code"), str(told.get("statusCode", reply.status))
        role = role_of(key)
        secret = self.mend(given, self.vendor.key, "sb_secret_…")
        if reply.status == 401 or code == "AccessDenied":
            detail = "refused: it has expired" if '"exp"' in str(told.get("message")) else "refused"
            yield self.found("key", State.FAILED, detail, secret)
        elif role not in ("", SERVICE_ROLE):
            detail = f"of the role {role}, which sees no bucket; the storage service needs a secret key"
            yield self.found("key", State.FAILED, detail, secret)
        elif reply.status == 200 and "id" in told:
            yield self.found("key", State.OK, "accepted")
            yield from self._of_bucket(told, given)
        elif code == "NoSuchBucket":
            yield self.found("key", State.OK, "accepted")
            detail = f"{self.subject(given)} is not there"
            yield self.found("bucket", State.FAILED, detail, self._made(given, there=False))
        elif status.startswith("5") or status in ("408", "429"):
            yield self.trouble(reply)
        else:
            detail = f"HTTP {reply.status} at {base}, which is no Storage API"
            wrong = "STORAGE_URL" if given.get("STORAGE_URL") else self.vendor.address
            yield self.found("address", State.FAILED, detail, self.mend(given, wrong))

    def _of_bucket(self, bucket: Mapping[str, Any], given: Given) -> Iterator[Finding]:
        name, limit, allowed = bucket["id"], bucket.get("file_size_limit"), bucket.get("allowed_mime_types")
        again = self._made(given, there=True)
        if bucket.get("public"):
            detail = f"{name} is public: who knows an object's name needs no key"
            yield self.found("bucket", State.FAILED, detail, again)
        else:
            yield self.found("bucket", State.OK, name)
        if limit and limit < BUCKET_BYTES:
            detail = f"{limit:,} bytes, and an object has up to {BUCKET_BYTES:,}"
            yield self.found("limits", State.FAILED, detail, again)
        else:
            size = f"{limit:,} bytes" if limit else "none of the bucket's own"
            yield self.found("limits", State.OK, f"{size}; the project's, which it does not tell, holds too")
        refused = [one for one in MEDIA_TYPES if not takes(allowed, one)]
        if refused:
            yield self.found("media types", State.FAILED, f"{name} refuses {', '.join(refused)}", again)
        else:
            yield self.found("media types", State.OK, ", ".join(allowed or ["any"]))

    def _made(self, given: Given, *, there: bool) -> str:
        """The command that makes the bucket as it shall be; the migration knows it by one name only."""
        if self.subject(given) != self.vendor.default_subject:
            return self.mend(given, self.vendor.subject.upper(), self.vendor.default_subject)
        if simulated(given):
            return self._made_there(given, there=there)
        host = urlsplit(given.get(self.vendor.address, "")).hostname or ""
        project = host.removesuffix(_HOSTED) if host.endswith(_HOSTED) else "REF"
        migration = migrations_folder(os.environ) / BUCKET_MIGRATION
        database = f"postgresql://postgres:PASSWORD@db.{project}{_HOSTED}:5432/postgres"
        return f"psql '{database}' -f {shlex.quote(str(migration))}"

    def _made_there(self, given: Given, *, there: bool) -> str:
        """The same of a simulator, which keeps its buckets over a restart."""
        bucket = {"name": self.subject(given), "public": False}
        unbound = {"file_size_limit": None, "allowed_mime_types": None}
        way = (
            f"PUT {self.base(given)}/bucket/{bucket['name']}" if there else f"POST {self.base(given)}/bucket"
        )
        key = f"-H 'apikey: {self.vendor.simulator_key}'"
        return f"curl -X {way} {key} -H 'content-type: application/json' -d '{json.dumps(bucket | unbound)}'"


def _fields(body: bytes) -> Mapping[str, Any]:
    try:
        told = json.loads(body)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}
