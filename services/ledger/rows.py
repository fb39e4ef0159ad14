"""A row of the ledger, and what stands in its columns for none and for all: neither is null.

Only `=` walks an index, and a budget over all tenants belongs to none of them.
"""

from __future__ import annotations

from typing import Any

from waybill.runtime.identity import DEFAULT_TENANT

Row = dict[str, Any]
# The run of what is outside a run.
NO_RUN = "00000000-0000-0000-0000-000000000000"
# The tenant of what is over all tenants: a budget, an event of the audit.
ALL_TENANTS = "*"


def seen_by(tenant: str, operator: str) -> list[str]:
    """Whose rows a tenant's callers see: their own, and those over all tenants where it is the operator."""
    return [tenant, ALL_TENANTS] if tenant == operator else [tenant]


def tenant_option(entry: Row) -> str:
    """What a command about an entry needs; nothing for the tenant that commands are of anyway."""
    tenant: str = entry["tenant"]
    return "" if tenant == DEFAULT_TENANT else f" --tenant {tenant}"
