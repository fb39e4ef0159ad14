"""What goes of budgets: windows that are long over, and their alerts.

goes    the window of an hour, a day or a month that began so long ago
goes    the window of a run that has held nothing since: tried again, the run has its whole limit
stays   a window in which something is held or in doubt
stays   every budget with its changes, and every entry, and so every bill
"""

from __future__ import annotations

from services.ledger.rows import ALL_TENANTS

# A month is the longest. Windows of runs over all tenants are few, and no index finds their entries.
WINDOWS = f"""
with old as materialized (
    select w.window_id from waybill_ledger.budget_windows w
    where held = 0 and in_doubt = 0
        and case when run_id is null
            then started_at < now() - make_interval(days => 31 + %(days)s)
            else tenant <> '{ALL_TENANTS}' and not exists (
                select from waybill_ledger.entries e
                where e.tenant = w.tenant and e.run_id = w.run_id
                    and e.held_at > now() - make_interval(days => %(days)s)) end
    limit %(rows)s for update skip locked
), told as (
    delete from waybill_ledger.budget_alerts using old where budget_alerts.window_id = old.window_id
)
delete from waybill_ledger.budget_windows using old where budget_windows.window_id = old.window_id
"""  # noqa: S608  (constants only)
