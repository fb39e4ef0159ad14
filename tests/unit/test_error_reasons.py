"""The contract's ErrorReason beside the code: no reason is missing there, and none is left over."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from services.parser import refusals
from waybill.common.v1.error_reason_pb2 import ErrorReason
from waybill.runtime import errors

ROOT = Path(__file__).parents[2]
PREFIX = "ERROR_REASON_"
CONTRACT = {name.removeprefix(PREFIX) for name in ErrorReason.DESCRIPTOR.values_by_name} - {"UNSPECIFIED"}
# What an error is made by, with its reason first or by name; a parse's refusal is looked up in a table.
MAKERS = {kind.__name__ for kind in errors.CODES} | {"Refused", "refusal", "ErrorInfo", "ServiceError"}
# Reasons that come with an error, from a place where this test finds them.
PASSED_ON = {
    "error.reason", "failure.reason", "job.reason", "reason", "run.reason", "self._reason", "self._refused",
    "choice.reason", "lack", "turn.reason", "row.reason", "row['healing']", "reason or code.name",
    "None",    "state_name(run)", "waits.reason",
}  # fmt: skip


@cache
def modules() -> dict[str, ast.Module]:
    """Our code, less what is generated and the simulators, whose reasons are their vendors'."""
    files = (file for root in ("services", "waybill") for file in sorted((ROOT / root).rglob("*.py")))
    kept = (file for file in files if not {"v1", "sim"} & {*file.relative_to(ROOT).parts})
    return {str(file.relative_to(ROOT)): ast.parse(file.read_text("utf-8")) for file in kept}


def given_reasons(tree: ast.Module) -> Iterator[ast.expr]:
    """What stands where an error, or a run's ending, takes its reason."""
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in MAKERS:
                named = [keyword.value for keyword in node.keywords if keyword.arg == "reason"]
                yield from named or node.args[:1]
            case ast.Call(func=ast.Name(id="Ending"), args=[_, reason, *_]):
                yield reason
            case ast.Dict(keys=keys, values=values):
                pairs = zip(keys, values, strict=True)
                yield from (
                    value for key, value in pairs if isinstance(key, ast.Constant) and key.value == "reason"
                )


def constants(tree: ast.Module) -> dict[str, str]:
    """The module's names for strings."""
    return {
        node.targets[0].id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    }


def values_of(reason: ast.expr, names: dict[str, str]) -> Iterator[str]:
    """The reasons that an expression may be; the expression itself where that cannot be told."""
    match reason:
        case ast.Constant(value=str(text)):
            if text:
                yield text
        case ast.IfExp(body=body, orelse=orelse):
            yield from (*values_of(body, names), *values_of(orelse, names))
        case ast.BoolOp(values=values):
            yield from (one for value in values for one in values_of(value, names))
        case ast.Name(id=name) | ast.Attribute(attr=name) if name in names:
            yield names[name]
        case _ if ast.unparse(reason) not in PASSED_ON:
            yield ast.unparse(reason)


def raised() -> dict[str, str]:
    """Each reason in the code, with a file that has it."""
    names = {name: text for tree in modules().values() for name, text in constants(tree).items()}
    return {
        text: file
        for file, tree in modules().items()
        for reason in given_reasons(tree)
        for text in values_of(reason, names)
    } | dict.fromkeys(refusals._REFUSALS, "services/parser/refusals.py")


def test_every_reason_in_the_code_is_in_the_contract() -> None:
    missing = {reason: file for reason, file in raised().items() if reason not in CONTRACT}
    assert not missing, (
        f"Add these to protos/waybill/common/v1/error_reason.proto, with what to do: {missing}"
    )


def test_every_reason_of_the_contract_is_in_the_code() -> None:
    words = {
        node.value
        for tree in modules().values()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert not CONTRACT - words


@pytest.mark.parametrize(
    "file", sorted((ROOT / "protos").rglob("*_service.proto")), ids=lambda file: file.stem
)
def test_an_rpc_announces_only_reasons_of_the_contract(file: Path) -> None:
    comments = re.sub(r"\n\s*//", "", file.read_text("utf-8"))
    announced = re.findall(r"Reasons: ([^\n]*)", comments)
    assert announced
    words = {word for text in announced for word in re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b(?!_)", text)}
    assert not words - CONTRACT - {"READY_DEGRADED"}
