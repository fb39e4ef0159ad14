"""Objects under another key, in the same bucket or another."""

from __future__ import annotations

import dataclasses

from waybill.sim.replies import json_reply
from waybill.sim.routing import Call, Done, Route
from waybill.sim.supabase import errors
from waybill.sim.supabase.calls import field, whom
from waybill.sim.supabase.policies import Doing
from waybill.sim.supabase.rows import Object
from waybill.sim.supabase.store import Store, check_key


class Copying:
    """Copies have an id of their own; what is moved keeps its own."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self) -> list[Route]:
        """Which request asks for which operation."""
        return [
            Route("POST", "/storage/v1/object/copy", "object.copy", self.copy),
            Route("POST", "/storage/v1/object/move", "object.move", self.move),
        ]

    async def copy(self, call: Call) -> Done:
        """POST /object/copy."""
        source, bucket, key = self._named(call)
        upsert = call.request.headers.get("x-upsert") == "true"
        self._store.check_upload(whom(call), bucket, key, upsert)
        made = self._store.copy(source, bucket, key)
        return Done(json_reply({**made.whole_row(), "Id": made.id, "Key": f"{bucket}/{key}"}))

    async def move(self, call: Call) -> Done:
        """POST /object/move: never onto an object that is there."""
        source, bucket, key = self._named(call)
        check_key(key)
        if not self._store.may(whom(call), Doing.UPDATE, source.bucket, source.name):
            raise errors.no_object()
        if not self._store.may(whom(call), Doing.UPDATE, bucket, key):
            raise errors.denied()
        if (bucket, key) != (source.bucket, source.name):
            if self._store.rows.object(bucket, key):
                raise errors.resource_exists()
            now = self._store.clock.now()
            self._store.keep(dataclasses.replace(source, bucket=bucket, name=key, updated=now))
            self._store.rows.drop(source)
        return Done(json_reply({"message": "Successfully moved"}))

    def _named(self, call: Call) -> tuple[Object, str, str]:
        """What is copied, and where to."""
        bucket = field(call.request, "bucketId", str)
        source = self._store.object(whom(call), bucket, field(call.request, "sourceKey", str))
        to = field(call.request, "destinationBucket", str, bucket)
        if self._store.rows.bucket(to) is None:
            raise errors.no_related()
        return source, to, field(call.request, "destinationKey", str)
