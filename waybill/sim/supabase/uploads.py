"""Uploads in one request, raw or as a form, and what is done with an object that is there."""

from __future__ import annotations

from waybill.sim.faults import Fault
from waybill.sim.replies import json_reply
from waybill.sim.routing import Call, Done, Route
from waybill.sim.supabase import errors
from waybill.sim.supabase.bodies import NO_TYPE, is_form
from waybill.sim.supabase.calls import body_of, field, whom
from waybill.sim.supabase.policies import Caller, Doing
from waybill.sim.supabase.rows import Object
from waybill.sim.supabase.store import SUPERUSER, Store

_PATH = "/storage/v1/object"


class Uploads:
    """Objects come, and go."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self) -> list[Route]:
        """Which request asks for which operation; what has a name of its own comes before."""
        one = f"{_PATH}/{{bucket}}/{{key...}}"
        return [
            Route("POST", one, "object.write.create", self.create, streamed=True),
            Route("PUT", one, "object.write.update", self.update, streamed=True),
            Route("DELETE", one, "object.delete", self.delete),
            Route("DELETE", f"{_PATH}/{{bucket}}", "object.remove", self.remove),
        ]

    async def create(self, call: Call) -> Done:
        """POST /object/{bucket}/{key}."""
        upsert = call.request.headers.get("x-upsert") == "true"
        return await self._write(call, upsert)

    async def update(self, call: Call) -> Done:
        """PUT /object/{bucket}/{key}: also of an object that is not there."""
        return await self._write(call, upsert=True)

    async def _write(self, call: Call, upsert: bool) -> Done:
        made = await self.take(call, whom(call), call.parts["bucket"], call.parts["key"], upsert)
        return Done(json_reply({"Id": made.id, "Key": f"{made.bucket}/{made.name}"}))

    async def take(self, call: Call, caller: Caller, bucket: str, key: str, upsert: bool) -> Object:
        """Receives an object and puts it in place.

        Raises:
            Refused: It must not be written, or is not what the bucket takes.
            ConnectionError: The client left, or the fault F6 cut it.
        """
        into = self._store.bucket(bucket)
        if not is_form(call.request):
            self._store.check_type(into, call.request.headers.get("content-type", NO_TYPE))
        racing = call.fault is not None and call.fault.name == "F19"
        self._store.check_upload(caller, bucket, key, upsert, racing)
        async with self._store.bodies.receiving(body_of(call), self._store.most_bytes(into)) as received:
            if is_form(call.request):
                self._store.check_type(into, received.content_type)
            return self._store.complete(bucket, key, received)

    async def delete(self, call: Call) -> Done:
        """DELETE /object/{bucket}/{key}: whether it is there is told to all."""
        caller, bucket = whom(call), call.parts["bucket"]
        one = self._store.object(SUPERUSER, bucket, call.parts["key"])
        if not self._store.may(caller, Doing.DELETE, bucket, one.name):
            raise errors.denied("Access denied")
        self._store.remove(one)
        return Done(json_reply({"message": "Successfully deleted"}))

    async def remove(self, call: Call) -> Done:
        """DELETE /object/{bucket}: those that could be; of the others nothing is said."""
        caller, bucket = whom(call), call.parts["bucket"]
        keys = field(call.request, "prefixes", list)
        if not keys:
            raise errors.invalid("body/prefixes must NOT have fewer than 1 items")
        found = [self._store.rows.object(bucket, key) for key in dict.fromkeys(map(str, keys))]
        allowed = [
            one
            for one in found
            if one
            and self._store.may(caller, Doing.SELECT, bucket, one.name)
            and self._store.may(caller, Doing.DELETE, bucket, one.name)
        ]
        gone = _partly(call.fault, allowed)
        for one in gone:
            self._store.remove(one)
        return Done(json_reply([one.whole_row() for one in gone]))


def _partly(fault: Fault | None, objects: list[Object]) -> list[Object]:
    return objects[: len(objects) // 2] if fault and fault.name == "F23" else objects
