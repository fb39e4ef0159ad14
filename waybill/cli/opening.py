"""`waybill open`: the file behind a document or a key, by a link."""

from __future__ import annotations

import os
import sys
import webbrowser
from collections.abc import Mapping
from typing import Annotated

import typer
from google.protobuf.duration_pb2 import Duration

from waybill.cli.session import Json, Tenant, reachable, session
from waybill.cli.stored import For, lasting, show_link
from waybill.client import Client
from waybill.limits import DEFAULT_COLLECTION
from waybill.runtime.errors import NotFound
from waybill.runtime.identity import DEFAULT_TENANT
from waybill.storage.v1.link_pb2 import Link
from waybill.storage.v1.object_storage_service_pb2 import SignDownloadRequest


def open_source(
    key: Annotated[
        str, typer.Argument(metavar="KEY", help="Of a document, as searches show it, or of an object.")
    ],
    collection: Annotated[str, typer.Option("--collection", help="Where it is.")] = DEFAULT_COLLECTION,
    life: For = None,
    only_print: Annotated[bool, typer.Option("--print", help="Open no browser.")] = False,
    tenant: Tenant = DEFAULT_TENANT,
    as_json: Json = False,
) -> None:
    """Open the file that a document was made from: print its link, and open a browser."""
    with session(tenant, as_json) as here:
        link = _signed(reachable(here.client, "storage"), key, collection, lasting(life))
        show_link(here.screen, link)
        if here.screen.out.is_terminal and not (only_print or as_json) and has_windows(os.environ):
            webbrowser.open(link.url)


def _signed(client: Client, key: str, collection: str, life: Duration | None) -> Link:
    """A link to the document's file; to the object where there is no such document."""
    document = SignDownloadRequest.DocumentName(collection=collection, document_key=key)
    try:
        return client.storage.SignDownload(SignDownloadRequest(document=document, life=life)).link
    except NotFound as error:
        if error.reason != "DOCUMENT_NOT_FOUND":
            raise
        no_document = error
    try:
        return client.storage.SignDownload(SignDownloadRequest(key=key, life=life)).link
    except NotFound:
        raise no_document from None


def has_windows(environ: Mapping[str, str], platform: str = sys.platform) -> bool:
    """Whether a browser would have a window; one in the terminal would take it over."""
    return platform in ("darwin", "win32") or bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))
