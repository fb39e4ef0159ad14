"""The files API: what batches read and write."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from waybill.sim import forms
from waybill.sim.ids import Ids
from waybill.sim.openai.errors import Refused
from waybill.sim.wire import Request


@dataclass(frozen=True)
class File:
    """One stored file."""

    id: str
    owner: str
    content: bytes
    name: str
    purpose: str
    created: float

    def body(self) -> dict[str, Any]:
        """OpenAI's JSON."""
        return {
            "id": self.id,
            "object": "file",
            "bytes": len(self.content),
            "created_at": int(self.created),
            "filename": self.name,
            "purpose": self.purpose,
            "status": "processed",
        }


class Files:
    """Files by id; each is seen by its owner alone."""

    def __init__(self, ids: Ids) -> None:
        self._ids = ids
        self._files: dict[str, File] = {}

    def add(self, owner: str, content: bytes, name: str, purpose: str, now: float) -> File:
        """Stores a file."""
        file = File(self._ids.new("file-"), owner, content, name, purpose, now)
        self._files[file.id] = file
        return file

    async def upload(self, owner: str, request: Request, folder: Path, now: float) -> File:
        """Stores the file of a multipart form.

        Raises:
            Refused: A part is missing, or the purpose is not `batch`.
        """
        form = await forms.receive(request, folder)
        if form is None:
            raise Refused(400, "Send multipart/form-data.")
        if "file" not in form:
            raise Refused(400, "'file' is a required property", param="file")
        purpose = form["purpose"].text if "purpose" in form else ""
        if purpose != "batch":
            raise Refused(400, f"'{purpose}' is not one of ['batch'] - 'purpose'", param="purpose")
        return self.add(owner, form["file"].content, form["file"].filename, purpose, now)

    def get(self, owner: str, file_id: str) -> File:
        """A file.

        Raises:
            Refused: There is none of this id, or not for this owner.
        """
        file = self._files.get(file_id)
        if file is None or file.owner != owner:
            raise Refused(404, f"No such File object: {file_id}", param="id")
        return file

    def delete(self, owner: str, file_id: str) -> dict[str, Any]:
        """Forgets a file; answers OpenAI's JSON.

        Raises:
            Refused: There is none of this id, or not for this owner.
        """
        del self._files[self.get(owner, file_id).id]
        return {"id": file_id, "object": "file", "deleted": True}
