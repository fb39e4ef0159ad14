"""`waybill delete DOCUMENT_KEY`: a document out of the index, with what only it needed."""

from __future__ import annotations

from typing import Annotated

import typer

from waybill.cli.objects import deleted_object
from waybill.cli.plain import plain
from waybill.cli.screen import Screen, counted
from waybill.cli.session import DEFAULT_TENANT, Json, Tenant, reachable, session
from waybill.client import Client
from waybill.orchestrator.v1.orchestrator_service_pb2 import DeleteDocumentRequest


def delete(
    document_key: Annotated[str, typer.Argument(metavar="DOCUMENT_KEY", help="As `waybill runs` shows it.")],
    collection: Annotated[str, typer.Option("--collection", help="Where it is.")] = "default",
    tenant: Tenant = DEFAULT_TENANT,
    as_json: Json = False,
) -> None:
    """Delete a document; its runs and their bills stay."""
    with session(tenant, as_json) as here:
        delete_document(reachable(here.client), here.screen, collection, document_key)


def delete_document(client: Client, screen: Screen, collection: str, document_key: str) -> None:
    """Deletes, and prints how much is gone."""
    request = DeleteDocumentRequest(collection=collection, document_key=document_key)
    shape = deleted_object(client.orchestrator.DeleteDocument(request))
    if screen.as_json:
        screen.emit(shape)
        return
    gone = [counted(number, name.removesuffix("s").replace("_", " ")) for name, number in shape.items()]
    screen.out.print(f"{plain(document_key)}: deleted {', '.join(gone)}", soft_wrap=True)
    if not any(shape.values()):
        screen.note(f"Nothing has this key. What was ingested: {screen.command('runs')}")
