"""The files API: what is uploaded goes to disk as it comes, and is a job's source for 48 hours."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from waybill.sim import forms
from waybill.sim.clock import Clock
from waybill.sim.forms import Part
from waybill.sim.ids import Ids
from waybill.sim.llamacloud import documents, listing
from waybill.sim.llamacloud.documents import Document
from waybill.sim.llamacloud.downloads import Downloads
from waybill.sim.llamacloud.errors import Refused, invalid, missing
from waybill.sim.llamacloud.listing import stamp
from waybill.sim.llamacloud.settings import MOST_FILE_BYTES, PRESIGNED_SECONDS, SOURCE_SECONDS
from waybill.sim.replies import json_reply
from waybill.sim.routing import Call, Done, Route
from waybill.sim.wire import Reply, Request

PURPOSES = ("user_data", "parse", "extract", "split", "classify", "sheet", "agent_app")
MOST_NAME = 255


@dataclass(frozen=True)
class File:
    """One stored file."""

    id: str
    project: str
    document: Document
    purpose: str
    external_id: str | None
    created: float

    @property
    def expires(self) -> float:
        """When it goes."""
        return self.created + SOURCE_SECONDS

    def body(self) -> dict[str, Any]:
        """LlamaCloud's JSON."""
        return {
            "id": self.id,
            "name": self.document.name,
            "project_id": self.project,
            "file_type": self.document.extension.lstrip(".") or None,
            "external_file_id": self.external_id,
            "purpose": self.purpose,
            "expires_at": stamp(self.expires),
            "last_modified_at": stamp(self.created),
            "download_url": None,
        }


async def receive(request: Request, folder: Path) -> dict[str, Part]:
    """A form with a file, on disk.

    Raises:
        Refused: It is too large, empty, without a name, or no form.
    """
    try:
        form = await forms.receive(request, folder, MOST_FILE_BYTES)
    except forms.TooLarge as error:
        raise Refused(413, "File too large") from error
    if form is None or "file" not in form:
        raise missing("body.file")
    file = form["file"]
    if not file.filename:
        raise Refused(400, "A file name is required.")
    if len(file.filename) > MOST_NAME:
        raise Refused(400, "File name too long")
    if not file.size:
        raise Refused(400, "The uploaded file is empty.")
    return form


def document(part: Part) -> Document:
    """An uploaded file, looked at."""
    return documents.look(part.path, part.filename, part.size, part.sha256)


class Files:
    """Files by id; each is seen by its project alone."""

    def __init__(self, ids: Ids, clock: Clock, folder: Path, downloads: Downloads) -> None:
        self._ids, self._clock, self._folder, self._downloads = ids, clock, folder, downloads
        self._files: dict[str, File] = {}

    def routes(self) -> list[Route]:
        """Which request asks for which operation."""
        path = "/api/v1/beta/files"
        return [
            Route("POST", path, "files.create", self.create, streamed=True),
            Route("GET", path, "files.list", self.list),
            Route("POST", f"{path}/query", "files.query", self.query),
            Route("GET", f"{path}/{{id}}", "files.get", self.get),
            Route("DELETE", f"{path}/{{id}}", "files.delete", self.delete),
            Route("GET", f"{path}/{{id}}/content", "files.content", self.content),
        ]

    def source(self, project: str, file_id: str) -> Document:
        """What a job parses.

        Raises:
            Refused: There is no such file in the project, or it is gone.
        """
        file = self._files.get(file_id)
        if file is None or file.project != project:
            raise Refused(404, "File not found")
        if self._clock.now() >= file.expires:
            raise Refused(404, "Source file not found in storage")
        return file.document

    def peek(self, file_id: str) -> str:
        """The sha256 of a file's bytes; empty where there is none."""
        file = self._files.get(file_id)
        return file.document.sha256 if file else ""

    async def create(self, call: Call) -> Done:
        """POST /api/v1/beta/files."""
        form = await receive(call.request, self._folder)
        if "purpose" not in form:
            raise missing("body.purpose")
        purpose = form["purpose"].text
        if purpose not in PURPOSES:
            raise invalid("body.purpose", f"Input should be one of {', '.join(PURPOSES)}", purpose)
        external = form["external_file_id"].text if "external_file_id" in form else None
        file = File(
            self._ids.uuid("dfl-"), call.owner, document(form["file"]), purpose, external, self._clock.now()
        )
        self._files[file.id] = file
        return Done(json_reply(file.body()))

    async def get(self, call: Call) -> Done:
        """GET /api/v1/beta/files/{id}."""
        return Done(json_reply(self._find(call).body()))

    async def list(self, call: Call) -> Done:
        """GET /api/v1/beta/files: newest first."""
        query = call.request.query
        wanted: dict[str, Any] = {
            name: query[name] for name in ("external_file_id", "file_name") if name in query
        }
        return Done(self._page(call, wanted, [v for n, v in call.request.pairs if n == "file_ids"], query))

    async def query(self, call: Call) -> Done:
        """POST /api/v1/beta/files/query: the list under a JSON filter."""
        body = call.request.json or {}
        given = {name: value for name, value in (body.get("filter") or {}).items() if value is not None}
        ids = given.pop("file_ids", [])
        paging = {name: str(body[name]) for name in ("page_size", "page_token") if body.get(name)}
        return Done(self._page(call, given, ids, paging))

    async def delete(self, call: Call) -> Done:
        """DELETE /api/v1/beta/files/{id}; a job that has begun keeps its source."""
        del self._files[self._find(call).id]
        return Done(Reply(204))

    async def content(self, call: Call) -> Done:
        """GET /api/v1/beta/files/{id}/content: where it can be fetched for a while."""
        file = self._find(call)
        url = self._downloads.mint(file.document.path.read_bytes)
        expires = stamp(self._clock.now() + PRESIGNED_SECONDS)
        return Done(json_reply({"url": url, "expires_at": expires, "form_fields": None}))

    def _find(self, call: Call) -> File:
        file = self._files.get(call.parts["id"])
        if file is None or file.project != call.owner or self._clock.now() >= file.expires:
            raise Refused(404, "File not found")
        return file

    def _page(self, call: Call, wanted: dict[str, Any], ids: Any, paging: Any) -> Reply:
        now = self._clock.now()
        mine = [file for file in reversed(self._files.values()) if file.project == call.owner]
        shown = [
            file
            for file in mine
            if now < file.expires
            and (not ids or file.id in ids)
            and wanted.get("external_file_id") in (None, file.external_id)
            and wanted.get("file_name") in (None, file.document.name)
        ]
        items, token = listing.page(shown, paging, most=1000, default=50)
        bodies = [file.body() for file in items]
        return json_reply({"items": bodies, "next_page_token": token, "total_size": len(shown)})
