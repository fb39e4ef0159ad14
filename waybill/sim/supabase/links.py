"""Signed links: a token in the URL in place of a key."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from waybill.sim.replies import json_reply
from waybill.sim.routing import Call, Done, Route
from waybill.sim.supabase.calls import field, whom
from waybill.sim.supabase.errors import Refused, invalid
from waybill.sim.supabase.reading import Reading
from waybill.sim.supabase.store import SUPERUSER, Store
from waybill.sim.supabase.tokens import Links, Use
from waybill.sim.supabase.uploads import Uploads
from waybill.sim.wire import Request

_PATH = "/storage/v1/object"
_HIDDEN = "Either the object does not exist or you do not have access to it"
_SKEW_SECONDS = 86_400.0


class Signing:
    """Links are made with a key and used without.

    Args:
        upload_seconds: How long a link for an upload holds: the project's, nobody chooses.
    """

    def __init__(
        self, store: Store, links: Links, reading: Reading, uploads: Uploads, upload_seconds: int
    ) -> None:
        self._store, self._links, self._reading, self._uploads = store, links, reading, uploads
        self._upload_seconds = upload_seconds

    def routes(self) -> list[Route]:
        """Which request asks for which operation."""
        upload, sign = f"{_PATH}/upload/sign/{{bucket}}/{{key...}}", f"{_PATH}/sign/{{bucket}}"
        return [
            Route("POST", upload, "object.sign.upload", self.sign_upload),
            Route("PUT", upload, "object.write.signed", self.upload, streamed=True),
            Route("POST", f"{sign}/{{key...}}", "object.sign.one", self.sign),
            Route("POST", sign, "object.sign.many", self.sign_many),
            Route("GET", f"{sign}/{{key...}}", "object.read.signed", self.download),
        ]

    async def sign(self, call: Call) -> Done:
        """POST /object/sign/{bucket}/{key}."""
        bucket, key = call.parts["bucket"], call.parts["key"]
        seconds = _seconds(call.request)
        self._store.object(whom(call), bucket, key)
        return Done(json_reply({"signedURL": self._link(bucket, key, seconds)}))

    async def sign_many(self, call: Call) -> Done:
        """POST /object/sign/{bucket}: an error each, and 200 for all."""
        bucket, seconds = call.parts["bucket"], _seconds(call.request)
        rows: list[dict[str, Any]] = []
        for key in field(call.request, "paths", list):
            row = {"error": None, "path": key, "signedURL": None}
            try:
                self._store.object(whom(call), bucket, key)
                row["signedURL"] = self._link(bucket, key, seconds)
            except Refused:
                row["error"] = _HIDDEN
            rows.append(row)
        return Done(json_reply(rows))

    async def download(self, call: Call) -> Done:
        """GET and HEAD /object/sign/{bucket}/{key}?token=…, without a key."""
        bucket, key = call.parts["bucket"], call.parts["key"]
        late = 0.0
        if call.fault and call.fault.name == "F25":
            late = float(call.fault.variant or _SKEW_SECONDS)
        claims = self._links.read(Use.DOWNLOAD, _token(call.request), f"{bucket}/{key}", late)
        one = self._store.object(SUPERUSER, bucket, key)
        return Done(self._reading.give(call.request, one, claims["exp"]))

    async def sign_upload(self, call: Call) -> Done:
        """POST /object/upload/sign/{bucket}/{key}: whether it may replace is fixed here."""
        bucket, key = call.parts["bucket"], call.parts["key"]
        self._store.bucket(bucket)
        upsert = call.request.headers.get("x-upsert") == "true"
        self._store.check_upload(whom(call), bucket, key, upsert)
        token = self._links.sign(Use.UPLOAD, f"{bucket}/{key}", self._upload_seconds, upsert=upsert)
        url = f"/object/upload/sign/{quote(f'{bucket}/{key}')}?token={token}"
        return Done(json_reply({"url": url, "token": token}))

    async def upload(self, call: Call) -> Done:
        """PUT /object/upload/sign/{bucket}/{key}?token=…, without a key."""
        bucket, key = call.parts["bucket"], call.parts["key"]
        claims = self._links.read(Use.UPLOAD, _token(call.request), f"{bucket}/{key}")
        await self._uploads.take(call, SUPERUSER, bucket, key, claims["upsert"])
        return Done(json_reply({"Key": f"{bucket}/{key}"}))

    def _link(self, bucket: str, key: str, seconds: int) -> str:
        token = self._links.sign(Use.DOWNLOAD, f"{bucket}/{key}", seconds)
        return f"/object/sign/{quote(f'{bucket}/{key}')}?token={token}"


def _token(request: Request) -> str:
    if not (token := request.query.get("token", "")):
        raise invalid("querystring must have required property 'token'")
    return token


def _seconds(request: Request) -> int:
    body = request.json
    if not isinstance(body, dict) or body.get("expiresIn") is None:
        raise invalid("body must have required property 'expiresIn'")
    given = body["expiresIn"]
    # Digits in a text are a number to the server, too.
    text = "" if isinstance(given, bool) else str(given)
    if not text.isdecimal() or int(text) < 1:
        raise invalid("body/expiresIn must be >= 1")
    return int(text)
