"""`waybill types`: which files can be ingested."""

from __future__ import annotations

from waybill.cli.plain import plain
from waybill.cli.session import Json, Tenant, reachable, session
from waybill.orchestrator.v1.orchestrator_service_pb2 import ListFileTypesRequest
from waybill.runtime.identity import DEFAULT_TENANT


def types(tenant: Tenant = DEFAULT_TENANT, as_json: Json = False) -> None:
    """List the types of file that can be ingested."""
    with session(tenant, as_json) as here:
        answer = reachable(here.client).orchestrator.ListFileTypes(ListFileTypesRequest())
        listed = [
            {"name": each.name, "label": each.label, "suffixes": list(each.suffixes)}
            for each in answer.file_types
        ]
        if as_json:
            here.screen.emit({"file_types": listed, "any_text": answer.any_text})
            return
        width = max((len(each.label) for each in answer.file_types), default=0)
        for each in answer.file_types:
            here.screen.show(f"{plain(each.label):<{width}}  {plain(' '.join(each.suffixes))}")
        if answer.any_text:
            here.screen.note("Any other text is read as plain text, whatever its name.")
