"""`waybill call`: any RPC of the contract with JSON in and out, where there is no grpcurl."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from google.protobuf import descriptor_pool, json_format
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from waybill.cli.session import Tenant, reachable, session
from waybill.client import Client
from waybill.runtime.errors import InvalidRequest, NotFound
from waybill.runtime.identity import DEFAULT_TENANT

# The client's stubs, each with its service in the contract.
_STUBS = {
    "orchestrator": {
        "orchestrator": "waybill.orchestrator.v1.OrchestratorService",
        "modes": "waybill.orchestrator.v1.ModeService",
        "spaces": "waybill.orchestrator.v1.SpaceMigrationService",
    },
    "storage": {
        "storage": "waybill.storage.v1.ObjectStorageService",
        "index": "waybill.storage.v1.DocumentIndexService",
    },
    "parser": {"parser": "waybill.parser.v1.ParserService"},
    "embedder": {"embedder": "waybill.embedder.v1.EmbedderService"},
    "ledger": {"ledger": "waybill.ledger.v1.LedgerService"},
}


def call(
    service: Annotated[str, typer.Argument(help="orchestrator, storage, parser, embedder or ledger.")],
    method: Annotated[str, typer.Argument(help="An RPC of it; all are listed when absent.")] = "",
    data: Annotated[
        str, typer.Argument(metavar="JSON", help="The request; a list for one that is streamed.")
    ] = "{}",
    tenant: Tenant = DEFAULT_TENANT,
) -> None:
    """Call an RPC: waybill call orchestrator ListRuns '{"pageSize": 1}'"""
    with session(tenant, as_json=True) as here:
        known = _methods(service)
        if not method:
            for name, (_, found) in known.items():
                here.screen.emit({"rpc": name, "request": found.input_type.name})
            return
        if method not in known:
            raise NotFound("METHOD_UNKNOWN", f"{service} has no {method}; it has {', '.join(known)}.")
        stub, found = known[method]
        answers = _send(reachable(here.client, service), stub, found, _requests(found, data))
        for answer in answers:
            here.screen.emit(json_format.MessageToDict(answer))


def _methods(service: str) -> Mapping[str, tuple[str, MethodDescriptor]]:
    """A service's RPCs, with the stub that calls each."""
    if service not in _STUBS:
        raise NotFound("SERVICE_UNKNOWN", f"There is no service {service!r}; there are {', '.join(_STUBS)}.")
    find = descriptor_pool.Default().FindServiceByName
    return {rpc.name: (stub, rpc) for stub, full in _STUBS[service].items() for rpc in find(full).methods}


def _requests(method: MethodDescriptor, data: str) -> list[Message]:
    kind = GetMessageClass(method.input_type)
    try:
        said = json.loads(data or "{}")
        parts = said if isinstance(said, list) else [said]
        return [json_format.ParseDict(part, kind()) for part in parts]
    except (ValueError, json_format.ParseError) as error:
        name = method.input_type.name
        raise InvalidRequest("INVALID_REQUEST", f"This is no {name} in JSON: {error}") from error


def _send(client: Client, stub: str, method: MethodDescriptor, requests: list[Message]) -> Any:
    """The answers, of which a plain call has one."""
    rpc = getattr(getattr(client, stub), method.name)
    answer = rpc(requests if method.client_streaming else requests[0])
    return answer if method.server_streaming else [answer]
