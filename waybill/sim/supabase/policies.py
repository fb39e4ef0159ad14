"""Who may do what: Supabase's policies by row, as one question."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from waybill.sim.keys import Account

SERVICE_ROLE, ANON, AUTHENTICATED = "service_role", "anon", "authenticated"


class Doing(StrEnum):
    """What a policy of Postgres speaks of."""

    SELECT = "select"
    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True)
class Caller(Account):
    """Whom a request acts for.

    Args:
        role: Of Postgres.
        claims: Of its token; none for a key.
    """

    role: str = ANON
    claims: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Question:
    """May this caller do this to this object; to the bucket itself, where the key is empty."""

    caller: Caller
    doing: Doing
    bucket: str
    key: str = ""


Policy = Callable[[Question], bool]


def by_role(question: Question) -> bool:
    """A project's state where nobody wrote a policy: its service role passes by them all."""
    return question.caller.role == SERVICE_ROLE


def by_tenant(question: Question) -> bool:
    """As `by_role`, and a user has the objects below the folder of the tenant in its `app_metadata`."""
    if by_role(question):
        return True
    told = question.caller.claims.get("app_metadata") or {}
    tenant = told.get("tenant") if told.get("tenant_id") is None else told["tenant_id"]
    return question.caller.role == AUTHENTICATED and bool(tenant) and question.key.startswith(f"{tenant}/")


POLICIES = {"role": by_role, "tenant": by_tenant}
