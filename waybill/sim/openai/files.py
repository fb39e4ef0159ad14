"""The files API: what batches read and write."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from typing import Any

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

    def __init__(self, new_id: Callable[[str], str]) -> None:
        self._new_id = new_id
        self._files: dict[str, File] = {}

    def add(self, owner: str, content: bytes, name: str, purpose: str, now: float) -> File:
        """Stores a file."""
        file = File(self._new_id("file-"), owner, content, name, purpose, now)
        self._files[file.id] = file
        return file

    def upload(self, owner: str, request: Request, now: float) -> File:
        """Stores the file of a multipart form.

        Raises:
            Refused: A part is missing, or the purpose is not `batch`.
        """
        form = _form(request)
        name, content = form.get("file", ("", b""))
        purpose = form.get("purpose", ("", b""))[1].decode("utf-8", "replace")
        if "file" not in form:
            raise Refused(400, "'file' is a required property", param="file")
        if purpose != "batch":
            raise Refused(400, f"'{purpose}' is not one of ['batch'] - 'purpose'", param="purpose")
        return self.add(owner, content, name, purpose, now)

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


def _form(request: Request) -> dict[str, tuple[str, bytes]]:
    """A multipart form's parts by name, each with its file name and content."""
    kind = _header("content-type", request.headers.get("content-type", ""))
    boundary = kind.get_param("boundary", header="content-type")
    if kind.get_content_type() != "multipart/form-data" or not isinstance(boundary, str):
        raise Refused(400, "Send multipart/form-data.")
    form = {}
    for part in (b"\r\n" + request.body).split(f"\r\n--{boundary}".encode())[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        for line in head.decode("utf-8", "replace").strip().split("\r\n"):
            name, _, value = line.partition(":")
            if name.lower() == "content-disposition":
                shown = _header("content-disposition", value.strip())
                field = shown.get_param("name", header="content-disposition")
                form[str(field)] = (shown.get_filename(""), content)
    return form


def _header(name: str, value: str) -> Message:
    message = Message()
    message[name] = value
    return message


def file_id(seed: int, prefix: str, number: int) -> str:
    """An id that depends on the seed and how many there were before."""
    return prefix + hashlib.sha256(f"{seed} {prefix} {number}".encode()).hexdigest()[:24]
