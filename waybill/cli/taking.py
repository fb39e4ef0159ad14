"""Which of the files that a command means are sent: those of a type that the stack reads."""

from __future__ import annotations

from waybill.cli.plain import plain
from waybill.cli.screen import Screen
from waybill.cli.session import reachable
from waybill.cli.sources import FileTypes, Gathering, Source, kind_of, told_by_kind
from waybill.client import Client
from waybill.orchestrator.v1.orchestrator_service_pb2 import ListFileTypesRequest


def to_send(client: Client, screen: Screen, found: Gathering) -> list[Source]:
    """The files to send; the others are told by kind, with the types that are read."""
    answer = reachable(client).orchestrator.ListFileTypes(ListFileTypesRequest())
    types = FileTypes(
        frozenset(suffix for each in answer.file_types for suffix in each.suffixes), answer.any_text
    )
    taken: list[Source] = []
    left: list[Source] = []
    for source in found.sources:
        (taken if types.take(source) else left).append(source)
    for source in left:
        found.pass_over(kind_of(source), source.path)
    for line in told_by_kind(found.passed_over):
        screen.note(plain(line))
    if left:
        text = " and any other text" if answer.any_text else ""
        labels = ", ".join(each.label for each in answer.file_types)
        screen.note(f"types that are read: {plain(labels)}{text}")
    return taken
