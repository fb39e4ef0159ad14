"""`waybill delete`: a document out of the index, or all of a collection, or those that a filter finds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from waybill.cli.asking import Yes, agree
from waybill.cli.exits import Exit
from waybill.cli.objects import Shape, deleted_object
from waybill.cli.paging import pages
from waybill.cli.pairs import pairs
from waybill.cli.plain import plain
from waybill.cli.screen import Screen, counted
from waybill.cli.session import Json, Tenant, reachable, session
from waybill.client import Client
from waybill.limits import DEFAULT_COLLECTION
from waybill.orchestrator.v1.orchestrator_service_pb2 import (
    DeleteDocumentRequest,
    DeleteDocumentsRequest,
    DeleteDocumentsResponse,
    ListDocumentsRequest,
)
from waybill.runtime.identity import DEFAULT_TENANT

_NAMED, _PAGE = 5, 200


def delete(
    document_key: Annotated[
        str, typer.Argument(metavar="DOCUMENT_KEY", help="As `waybill documents` shows it.")
    ] = "",
    collection: Annotated[
        str, typer.Option("--collection", help="Where it is; without a key and --where: all of it.")
    ] = "",
    where: Annotated[
        list[str] | None,
        typer.Option("--where", metavar="KEY=VALUE", help="All that say so; may be repeated."),
    ] = None,
    yes: Yes = False,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: Json = False,
) -> None:
    """Delete a document, or with --collection or --where many; their runs and bills stay."""
    metadata = pairs(where or [], "--where")
    if (document_key and metadata) or not (document_key or metadata or collection):
        raise typer.BadParameter("name a DOCUMENT_KEY, or say which: --where KEY=VALUE, or a --collection")
    collection = collection or DEFAULT_COLLECTION
    with session(tenant, as_json) as here:
        client = reachable(here.client)
        if document_key:
            delete_document(client, here.screen, collection, document_key)
        else:
            _delete_matching(client, here.screen, collection, metadata, yes)


def delete_document(client: Client, screen: Screen, collection: str, document_key: str) -> None:
    """Deletes, and prints how much is gone."""
    request = DeleteDocumentRequest(collection=collection, document_key=document_key)
    shape = deleted_object(client.orchestrator.DeleteDocument(request))
    if screen.as_json:
        screen.emit(shape)
        return
    screen.out.print(f"{plain(document_key)}: deleted {_amounts(shape)}", soft_wrap=True)
    if not any(shape.values()):
        screen.note(f"Nothing has this key. What is there: {screen.command('documents')}")


def _delete_matching(
    client: Client, screen: Screen, collection: str, metadata: Mapping[str, str], yes: bool
) -> None:
    asked = ListDocumentsRequest(collection=collection, metadata=metadata, page_size=_PAGE)
    listed = pages(client.orchestrator.ListDocuments, asked)
    keys = [document.document_key for answer in listed for document in answer.documents]
    gone = DeleteDocumentsResponse()
    if not keys:
        screen.note(f"Nothing matches. What is there: {screen.command('documents')}")
        _show(screen, gone)
        return
    agree(screen, f"Delete {_told(keys)} of collection {plain(collection)}?", yes)
    request = DeleteDocumentsRequest(collection=collection, metadata=metadata)
    for answer in pages(client.orchestrator.DeleteDocuments, request):
        for field in DeleteDocumentsResponse.DESCRIPTOR.fields:
            if field.cpp_type in (field.CPPTYPE_INT32, field.CPPTYPE_INT64):
                setattr(gone, field.name, getattr(gone, field.name) + getattr(answer, field.name))
        gone.unfinished.extend(answer.unfinished)
        if answer.next_page_token:
            screen.note(f"deleted {gone.documents:,} of {counted(len(keys), 'document')}")
    _show(screen, gone)


def _show(screen: Screen, gone: DeleteDocumentsResponse) -> None:
    shape = {"documents": gone.documents, **deleted_object(gone)}
    # The last page names documents of earlier ones again.
    unfinished = {one.run_id: one.document_key for one in gone.unfinished}
    if screen.as_json:
        named = [{"document_key": key, "run_id": run_id} for run_id, key in unfinished.items()]
        screen.emit({**shape, "unfinished": named})
    else:
        screen.out.print(f"deleted {_amounts(shape)}", soft_wrap=True)
    for run_id, key in unfinished.items():
        screen.note(f"stays, as a run of it is under way: {plain(key)}", "yellow")
        screen.note(f"  next: await it, or stop it: {screen.command(f'cancel {plain(run_id)}')}")
    if unfinished:
        raise typer.Exit(Exit.REFUSED)


def _told(keys: Sequence[str]) -> str:
    names = ", ".join(map(plain, keys[:_NAMED])) + (", …" if len(keys) > _NAMED else "")
    return f"{counted(len(keys), 'document')} ({names})"


def _amounts(shape: Shape) -> str:
    return ", ".join(
        counted(number, name.removesuffix("s").replace("_", " ")) for name, number in shape.items()
    )
