"""Buckets: made, shown, changed, emptied, and deleted when they are empty."""

from __future__ import annotations

import dataclasses
import re
from typing import Any

from waybill.sim.replies import json_reply
from waybill.sim.routing import Call, Done, Route
from waybill.sim.supabase import errors
from waybill.sim.supabase.calls import field, whom
from waybill.sim.supabase.policies import Doing
from waybill.sim.supabase.rows import Bucket
from waybill.sim.supabase.store import Store
from waybill.sim.wire import Request

_PATH = "/storage/v1/bucket"
_NAME = re.compile(r"[A-Za-z0-9_!.*'()&$@=;:+,?-][A-Za-z0-9_!.*'() &$@=;:+,?-]{0,99}")
_EMPTYING = "Empty bucket has been queued. Completion may take up to an hour."
_UNITS = {"": 1, "B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30}


class Buckets:
    """A project's buckets; a policy's own question has no key."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self) -> list[Route]:
        """Which request asks for which operation."""
        one = f"{_PATH}/{{bucket}}"
        return [
            Route("GET", _PATH, "bucket.list", self.list),
            Route("POST", _PATH, "bucket.create", self.create),
            Route("POST", f"{one}/empty", "bucket.empty", self.empty),
            Route("GET", one, "bucket.get", self.get),
            Route("PUT", one, "bucket.update", self.update),
            Route("DELETE", one, "bucket.delete", self.delete),
        ]

    async def list(self, call: Call) -> Done:
        """GET /bucket: those that may be seen, which is none for most."""
        caller = whom(call)
        shown = [one for one in self._store.rows.buckets() if self._store.may(caller, Doing.SELECT, one.id)]
        return Done(json_reply([{**one.body(), "type": "STANDARD"} for one in shown]))

    async def get(self, call: Call) -> Done:
        """GET /bucket/{bucket}."""
        return Done(json_reply(self._seen(call, Doing.SELECT).body()))

    async def create(self, call: Call) -> Done:
        """POST /bucket."""
        name = field(call.request, "name", str)
        name = field(call.request, "id", str, name)
        if not _NAME.fullmatch(name):
            raise errors.bad_bucket()
        if not self._store.may(whom(call), Doing.INSERT, name):
            raise errors.denied()
        if self._store.rows.bucket(name):
            raise errors.bucket_exists()
        now = self._store.clock.now()
        made = Bucket(name, public=False, size_limit=None, types=None, created=now, updated=now)
        self._store.rows.keep_bucket(_changed(made, call.request))
        return Done(json_reply({"name": name}))

    async def update(self, call: Call) -> Done:
        """PUT /bucket/{bucket}."""
        one = self._seen(call, Doing.UPDATE)
        now = self._store.clock.now()
        self._store.rows.keep_bucket(dataclasses.replace(_changed(one, call.request), updated=now))
        return Done(json_reply({"message": "Successfully updated"}))

    async def empty(self, call: Call) -> Done:
        """POST /bucket/{bucket}/empty."""
        one = self._seen(call, Doing.DELETE)
        for found in list(self._store.rows.objects(one.id)):
            self._store.remove(found)
        return Done(json_reply({"message": _EMPTYING}))

    async def delete(self, call: Call) -> Done:
        """DELETE /bucket/{bucket}."""
        one = self._seen(call, Doing.DELETE)
        if next(self._store.rows.objects(one.id), None):
            raise errors.bucket_not_empty()
        self._store.rows.drop_bucket(one.id)
        return Done(json_reply({"message": "Successfully deleted"}))

    def _seen(self, call: Call, doing: Doing) -> Bucket:
        one = self._store.bucket(call.parts["bucket"])
        if not self._store.may(whom(call), doing, one.id):
            raise errors.no_bucket()
        return one


def _changed(one: Bucket, request: Request) -> Bucket:
    body: Any = request.json
    given = body if isinstance(body, dict) else {}
    changes: dict[str, Any] = {}
    if "public" in given:
        changes["public"] = bool(given["public"])
    if "file_size_limit" in given:
        changes["size_limit"] = _bytes(given["file_size_limit"])
    if "allowed_mime_types" in given:
        types = given["allowed_mime_types"]
        changes["types"] = None if types is None else tuple(map(str, types))
    return dataclasses.replace(one, **changes)


def _bytes(given: Any) -> int | None:
    """A limit as a number, or a text such as 20MB; None for none."""
    if given is None:
        return None
    match = re.fullmatch(r"([0-9]+) *([KMG]?B?)", str(given))
    if match is None or match[2] not in _UNITS:
        raise errors.invalid("Invalid file size format, hint: use 20GB / 20MB / 30KB / 3B")
    return int(match[1]) * _UNITS[match[2]]
