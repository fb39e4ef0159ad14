-- Budgets: what may be spent, and what has been, as running sums that a hold raises in its own transaction.

-- Whose work an entry paid for, so that budgets and reports can name it; empty outside a run.
alter table waybill_ledger.entries
    add column collection text not null default '',
    add column document_key text not null default '',
    -- What the attempt sends to its vendor.
    add column size_bytes bigint not null default 0 check (size_bytes >= 0),
    -- The windows of budgets that it counts in, from its hold to its last adjustment.
    add column window_ids uuid[] not null default '{}';
update waybill_ledger.entries set collection = runs.collection, document_key = runs.document_key
from waybill_runs.runs where runs.run_id = entries.run_id;

-- A job is worked on by any process, at any time: it says for which document.
alter table waybill_parser.jobs
    add column collection text not null default '',
    add column document_key text not null default '',
    add column size_bytes bigint not null default 0;

create table waybill_ledger.budgets (
    budget_id uuid primary key default gen_random_uuid(),
    -- '*', which no tenant can be called, is all tenants together: the operator's.
    tenant text not null check (tenant <> ''),
    -- Empty is any.
    collection text not null,
    service text not null,
    -- Zeros, unless it is one run's own.
    run_id uuid not null,
    kind text not null check (kind in ('REAL', 'SIMULATED')),
    unit text not null check (unit in ('NANO_USD', 'REQUESTS', 'BYTES')),
    -- In UTC.
    period text not null check (period in ('HOUR', 'DAY', 'MONTH', 'RUN')),
    limit_amount bigint not null check (limit_amount >= 0),
    -- Percent of the limit.
    thresholds integer[] not null,
    created_at timestamptz not null default clock_timestamp(),
    updated_at timestamptz not null default clock_timestamp(),
    -- What is deleted limits nothing, but its windows go on to count what was held in them.
    deleted_at timestamptz,
    check (period = 'RUN' or run_id = '00000000-0000-0000-0000-000000000000'),
    unique (tenant, run_id, collection, service, kind, unit, period)
);

-- Sums change with each attempt: room for the row's next version beside it spares the index.
create table waybill_ledger.budget_windows (
    -- Made of the budget and the start or the run: whoever needs it knows it without asking.
    window_id uuid primary key,
    budget_id uuid not null references waybill_ledger.budgets (budget_id),
    tenant text not null check (tenant <> ''),
    unit text not null,
    -- Of the period RUN a run, of others a start.
    run_id uuid,
    started_at timestamptz,
    -- As the last hold found it.
    limit_amount bigint not null,
    used bigint not null default 0 check (used >= 0),
    held bigint not null default 0 check (held >= 0),
    in_doubt bigint not null default 0 check (in_doubt >= 0)
) with (fillfactor = 50);

create table waybill_ledger.budget_changes (
    change_id bigint generated always as identity primary key,
    budget_id uuid not null references waybill_ledger.budgets (budget_id),
    tenant text not null check (tenant <> ''),
    changed_at timestamptz not null default clock_timestamp(),
    -- The caller's tenant, its subject and credential where it had them, and the label of its call.
    changed_by text not null,
    subject text not null,
    credential_id text not null,
    correlation_id text not null,
    -- Limit and thresholds; null before it was set, and after it was deleted.
    old jsonb,
    new jsonb
);
create index budget_changes_by_budget on waybill_ledger.budget_changes (tenant, budget_id, change_id);

create table waybill_ledger.budget_alerts (
    window_id uuid not null references waybill_ledger.budget_windows (window_id),
    threshold integer not null,
    budget_id uuid not null references waybill_ledger.budgets (budget_id),
    tenant text not null check (tenant <> ''),
    -- As they were when the threshold was reached.
    limit_amount bigint not null,
    used bigint not null,
    held bigint not null,
    in_doubt bigint not null,
    alerted_at timestamptz not null default clock_timestamp(),
    primary key (window_id, threshold)
);

do $$
declare
    name text;
    mine text := $sql$tenant = nullif(current_setting('waybill.tenant', true), '')$sql$;
    -- What is all tenants' is raised by each; without a tenant there is nothing.
    ours text := $sql$tenant in (nullif(current_setting('waybill.tenant', true), ''),
        case when current_setting('waybill.tenant', true) <> '' then '*' end)$sql$;
begin
    foreach name in array array['budgets', 'budget_windows', 'budget_changes', 'budget_alerts'] loop
        execute format('alter table waybill_ledger.%I owner to waybill_ledger_owner', name);
        execute format('alter table waybill_ledger.%I enable row level security', name);
        execute format('alter table waybill_ledger.%I force row level security', name);
        execute format('create policy every_tenant on waybill_ledger.%I to waybill_ledger_owner'
            ' using (true) with check (true)', name);
        execute format('create policy tenant_only on waybill_ledger.%I to waybill_ledger'
            ' using (%s) with check (%s)', name, ours,
            case when name in ('budgets', 'budget_changes') then mine else ours end);
    end loop;
end
$$;

grant select, insert, update on waybill_ledger.budgets, waybill_ledger.budget_windows to waybill_ledger;
-- Rows are appended: nobody updates or deletes one.
grant select, insert on waybill_ledger.budget_changes, waybill_ledger.budget_alerts to waybill_ledger;
