"""What an `ingest` finds beside the files: documents of the same content, and those whose file has left."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from waybill.cli.asking import agree
from waybill.cli.outcome import Outcome
from waybill.cli.paging import pages
from waybill.cli.plain import plain
from waybill.cli.screen import Screen, counted
from waybill.cli.sources import NAME_INVALID, Gathering
from waybill.client import Client
from waybill.limits import DEFAULT_COLLECTION
from waybill.orchestrator.v1.document_pb2 import Document
from waybill.orchestrator.v1.orchestrator_service_pb2 import DeleteDocumentRequest, ListDocumentsRequest
from waybill.orchestrator.v1.run_pb2 import Run
from waybill.runtime.errors import Precondition, ServiceError

_PAGE = 200
_NAMED = 5
_NEW = (Run.STATE_READY, Run.STATE_READY_DEGRADED)


def with_twin(client: Client, screen: Screen, outcome: Outcome) -> Outcome:
    """Says which other document of the collection has the same content as one that is new."""
    run = outcome.run
    if outcome.error or run is None or run.state not in _NEW or not run.source_sha256:
        return outcome
    request = ListDocumentsRequest(collection=run.collection, source_sha256=run.source_sha256, page_size=2)
    try:
        listed = client.orchestrator.ListDocuments(request).documents
    except ServiceError as error:
        screen.note(f"not known, whether another document is the same: {plain(error.message)}", "yellow")
        return outcome
    others = [one.document_key for one in listed if one.document_key != run.document_key]
    return replace(outcome, same_content_as=others[0]) if others else outcome


def remove_what_left(
    client: Client, screen: Screen, found: Gathering, outcomes: Sequence[Outcome], collection: str, yes: bool
) -> bool:
    """Deletes, after a question, the documents that came from these folders and have no file there any more.

    Returns:
        Whether none of them stays.
    """
    if (unread := _unread(found)) is not None:
        screen.note(f"Nothing was removed, since this could not be read: {plain(str(unread))}", "yellow")
        return False
    gone = [document for folder in _folders(found) for document in _left(client, found, folder, collection)]
    if not gone:
        return True
    names = ", ".join(plain(one.document_key) for one in gone[:_NAMED]) + (", …" if gone[_NAMED:] else "")
    agree(screen, f"Delete {counted(len(gone), 'document')} whose file left the folder ({names})?", yes)
    renamed = {outcome.same_content_as: outcome.source.document_key for outcome in outcomes}
    kept = [one for one in gone if not _remove(client, screen, one, renamed.get(one.document_key))]
    return not kept


def _unread(found: Gathering) -> Path | None:
    """What of a folder could not be read, so that nobody knows whether it left."""
    faults = (one for one in found.sources if one.folder and one.fault)
    return next((one.path for one in faults if one.fault and one.fault.reason != NAME_INVALID), None)


def _folders(found: Gathering) -> Mapping[str, Path]:
    """By what the index knows them by."""
    return {one.origin: one.folder for one in found.sources if one.folder}


def _left(client: Client, found: Gathering, origin: str, collection: str) -> Iterator[Document]:
    folder = _folders(found)[origin]
    kept = {one.document_key for one in found.sources if one.folder == folder}
    request = ListDocumentsRequest(
        collection=collection or DEFAULT_COLLECTION, origin=origin, page_size=_PAGE
    )
    for answer in pages(client.orchestrator.ListDocuments, request):
        for document in answer.documents:
            # A file may have come back meanwhile.
            if document.document_key not in kept and not os.path.lexists(folder / document.document_key):
                yield document


def _remove(client: Client, screen: Screen, document: Document, renamed_to: str | None) -> bool:
    key = document.document_key
    request = DeleteDocumentRequest(collection=document.collection, document_key=key)
    refusal = None
    try:
        client.orchestrator.DeleteDocument(request)
    except Precondition as error:
        refusal = error
    run_id = refusal.metadata.get("run_id") if refusal else None
    state = "KEPT" if refusal else "REMOVED"
    if screen.as_json:
        screen.emit({"document_key": key, "state": state, "renamed_to": renamed_to, "run_id": run_id})
    else:
        now = f": its content is now {plain(renamed_to)}" if renamed_to else ""
        screen.out.print(f"{state} {plain(key)}{now}", soft_wrap=True)
    if refusal:
        stop = f"a run of it is under way; stop it: {screen.command(f'cancel {run_id}')}"
        screen.note(f"  {stop if run_id else plain(refusal.message)}", "yellow")
    return refusal is None
