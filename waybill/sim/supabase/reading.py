"""Reads: an object's bytes, whole or a range of them, and what is known of it."""

from __future__ import annotations

import re
from email.utils import formatdate
from urllib.parse import parse_qs, quote

from waybill.sim.replies import content_reply, json_reply
from waybill.sim.routing import Call, Done, Route
from waybill.sim.supabase import errors
from waybill.sim.supabase.calls import whom
from waybill.sim.supabase.rows import Object
from waybill.sim.supabase.store import SUPERUSER, Store
from waybill.sim.wire import Reply, Request

_PATH = "/storage/v1/object"


class Reading:
    """Objects as they are given out; each way in has its own name, one object the same reply."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self) -> list[Route]:
        """Which request asks for which operation; what has a name of its own comes first."""
        rest = "{bucket}/{key...}"
        return [
            Route("GET", f"{_PATH}/info/public/{rest}", "object.read.public.info", self.info),
            Route("GET", f"{_PATH}/info/authenticated/{rest}", "object.info", self.info),
            Route("GET", f"{_PATH}/info/{rest}", "object.info", self.info),
            Route("GET", f"{_PATH}/public/{rest}", "object.read.public", self.public),
            Route("GET", f"{_PATH}/authenticated/{rest}", "object.read", self.read),
            Route("GET", f"{_PATH}/{rest}", "object.read", self.read),
        ]

    async def read(self, call: Call) -> Done:
        """GET and HEAD /object/{bucket}/{key}."""
        return Done(self.give(call.request, self._found(call)))

    async def public(self, call: Call) -> Done:
        """GET and HEAD /object/public/{bucket}/{key}, which needs no key."""
        bucket, key = call.parts["bucket"], call.parts["key"]
        if not self._store.bucket(bucket).public:
            raise errors.no_bucket()
        return Done(self.give(call.request, self._store.object(SUPERUSER, bucket, key)))

    async def info(self, call: Call) -> Done:
        """GET /object/info/{bucket}/{key}."""
        one = self._found(call)
        headers = {"etag": one.etag, "cache-control": one.cache_control, "last-modified": _changed(one)}
        return Done(json_reply(one.info(), headers=headers))

    def _found(self, call: Call) -> Object:
        bucket, key, caller = call.parts["bucket"], call.parts["key"], whom(call)
        if self._store.bucket(bucket).public:
            return self._store.object(SUPERUSER, bucket, key)
        if not caller.fingerprint:
            # Without a key a bucket that is not public is as none.
            raise errors.no_bucket()
        return self._store.object(caller, bucket, key)

    def give(self, request: Request, one: Object, expires: float | None = None) -> Reply:
        """An object's reply: 200, 206, 304 or 416.

        Args:
            expires: When the link goes by which it was asked for.
        """
        headers = {
            "content-type": one.content_type,
            "etag": one.etag,
            "last-modified": _changed(one),
            "accept-ranges": "bytes",
            "x-robots-tag": "none",
        }
        if expires is None:
            headers["cache-control"] = one.cache_control
        else:
            headers["expires"] = formatdate(expires, usegmt=True)
        if request.headers.get("if-none-match") == one.etag:
            return Reply(304, headers=headers)
        headers |= _disposition(request)
        if not re.fullmatch(r"bytes=([0-9]+-[0-9]*|-[0-9]+)", request.headers.get("range", "bytes=0-")):
            return errors.bad_range().reply
        reply = content_reply(request, self._store.bodies.stored(one.version, one.size), headers)
        return errors.bad_range().reply if reply.status == 416 else reply


def _changed(one: Object) -> str:
    return formatdate(one.updated, usegmt=True)


def _disposition(request: Request) -> dict[str, str]:
    """What `?download=NAME` asks for; the name may be empty."""
    asked = parse_qs(request.search, keep_blank_values=True).get("download")
    if asked is None:
        return {}
    name = quote(asked[-1])
    named = f" filename={name}; filename*=UTF-8''{name}" if name else ""
    return {"content-disposition": f"attachment;{named}"}
