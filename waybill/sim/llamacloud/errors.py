"""LlamaCloud's errors as it writes them."""

from __future__ import annotations

from typing import Any

from waybill.sim import replies

NO_RESULT = "Result not found. Check job status to see if it has completed."
NO_CREDITS = "You've exceeded the maximum number of credits for your plan."


class Refused(replies.Refused):
    """A request that LlamaCloud answers with an error."""

    def __init__(self, status: int, detail: str | list[dict[str, Any]]) -> None:
        super().__init__(replies.json_reply({"detail": detail}, status))


def invalid(loc: str, message: str, given: object = None, kind: str = "value_error") -> Refused:
    """422, in the form of a list."""
    return Refused(422, [{"type": kind, "loc": loc.split("."), "msg": message, "input": given}])


def missing(loc: str) -> Refused:
    """422: a field that must be there."""
    return invalid(loc, "Field required", kind="missing")


def bad_key() -> Refused:
    """401."""
    return Refused(401, "Invalid API Key")


def no_such_path() -> Refused:
    """404."""
    return Refused(404, "Not Found")


def no_such_job() -> Refused:
    """404."""
    return Refused(404, "Parse job not found")
