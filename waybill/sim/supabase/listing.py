"""Lists: the older one shows a folder's level, the newer one whole keys in pages."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from waybill.sim.replies import json_reply
from waybill.sim.routing import Call, Done, Route
from waybill.sim.supabase.calls import field, whom
from waybill.sim.supabase.errors import bad_cursor, invalid
from waybill.sim.supabase.rows import Object
from waybill.sim.supabase.store import Store

_PATH = "/storage/v1/object"
_LEVEL, _PAGE = 100, 1000
_TIMES = {"updated_at": "updated", "created_at": "created", "last_accessed_at": "updated"}


class Listing:
    """What the caller may see; of a bucket that is not there, nothing."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self) -> list[Route]:
        """Which request asks for which operation."""
        return [
            Route("POST", f"{_PATH}/list/{{bucket}}", "object.list.v1", self.level),
            Route("POST", f"{_PATH}/list-v2/{{bucket}}", "object.list.v2", self.page),
        ]

    async def level(self, call: Call) -> Done:
        """POST /object/list/{bucket}: one folder's level; folders are without an id.

        By name they stand among the files, and capitals count as small; by a time they come first.
        """
        request = call.request
        prefix, search = field(request, "prefix", str), field(request, "search", str, "").lower()
        prefix = f"{prefix}/" if prefix and not prefix.endswith("/") else prefix
        folders: dict[str, None] = {}
        files: list[Object] = []
        for one in self._store.objects(whom(call), call.parts["bucket"], prefix):
            name, slash, _ = one.name.removeprefix(prefix).partition("/")
            if slash and name.lower().startswith(search):
                folders[name] = None
            elif name.lower().startswith(search):
                files.append(one)
        by = field(request, "sortBy", dict, {})
        backwards = by.get("order", "asc") == "desc"
        named = [(f"{name}/".lower(), _folder(name)) for name in folders]
        rows = [
            (one.name.removeprefix(prefix).lower(), one.row(one.name.removeprefix(prefix))) for one in files
        ]
        if column := _TIMES.get(by.get("column", "name")):
            files.sort(key=lambda one: float(getattr(one, column)), reverse=backwards)
            shown = [row for _, row in named] + [one.row(one.name.removeprefix(prefix)) for one in files]
        else:
            shown = [row for _, row in sorted(named + rows, key=lambda pair: pair[0], reverse=backwards)]
        start = field(request, "offset", int, 0)
        return Done(json_reply(shown[start : start + field(request, "limit", int, _LEVEL)]))

    async def page(self, call: Call) -> Done:
        """POST /object/list-v2/{bucket}: by name, from where the cursor stands."""
        request = call.request
        prefix = field(request, "prefix", str, "")
        limit = min(field(request, "limit", int, _PAGE), _PAGE)
        if limit < 1:
            raise invalid("body/limit must be >= 1")
        delimiter = "/" if field(request, "with_delimiter", bool, False) else ""
        after = _after(field(request, "cursor", str, ""))
        shown: list[dict[str, Any]] = []
        more = False
        for one in self._store.objects(whom(call), call.parts["bucket"], prefix, after):
            folder = _folder_of(one.name, prefix, delimiter)
            if folder and (folder == after or (shown and shown[-1]["name"] == folder)):
                continue
            if len(shown) == limit:
                more = True
                break
            key = {"key": folder.rstrip("/") or one.name} if delimiter else {}
            shown.append({**(_folder(folder) if folder else one.row()), **key})
        answer: dict[str, Any] = {
            "hasNext": more,
            "folders": [row for row in shown if row["id"] is None],
            "objects": [row for row in shown if row["id"] is not None],
        }
        if more:
            last = shown[-1]["name"]
            answer |= {"nextCursor": _cursor(last), "nextCursorKey": last}
        return Done(json_reply(answer))


def _folder_of(name: str, prefix: str, delimiter: str) -> str:
    if not delimiter:
        return ""
    head, slash, _ = name.removeprefix(prefix).partition(delimiter)
    return f"{prefix}{head}{slash}" if slash else ""


def _folder(name: str) -> dict[str, Any]:
    columns = ("id", "updated_at", "created_at", "last_accessed_at", "metadata")
    return {"name": name, **dict.fromkeys(columns)}


def _cursor(name: str) -> str:
    return base64.b64encode(f"l:{name}".encode()).decode()


def _after(cursor: str) -> str:
    if not cursor:
        return ""
    try:
        mark, _, name = base64.b64decode(cursor, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise bad_cursor() from error
    if mark != "l":
        raise bad_cursor()
    return name
