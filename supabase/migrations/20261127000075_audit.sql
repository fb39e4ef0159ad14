-- Who did what, with which credential: appended, and never changed. The changes of budgets are among it.

create table waybill_ledger.audit (
    audit_id bigint generated always as identity primary key,
    -- Given by whoever tells of it, so that telling it again appends nothing.
    event_id uuid not null unique,
    -- Whose it is to see; '*', which no tenant can be called, is the operator's.
    tenant text not null check (tenant <> ''),
    happened_at timestamptz not null,
    action text not null,
    -- What it was done to: an id, a key or an RPC.
    target text not null,
    -- OK, or the reason of the failure.
    outcome text not null check (outcome <> ''),
    -- Short facts by name.
    detail jsonb not null,
    -- The caller's tenant, its subject and credential where it had them, and the label of its call.
    caller text not null,
    subject text not null,
    credential_id text not null,
    correlation_id text not null
);
create index audit_by_time on waybill_ledger.audit (tenant, happened_at, audit_id);
create index audit_by_target on waybill_ledger.audit (tenant, target, audit_id);

insert into waybill_ledger.audit (
    event_id, tenant, happened_at, action, target, outcome, detail,
    caller, subject, credential_id, correlation_id)
select gen_random_uuid(), tenant, changed_at, case when new is null then 'budget.remove' else 'budget.set' end,
    budget_id::text, 'OK',
    jsonb_strip_nulls(jsonb_build_object(
        'old_limit', old ->> 'limit',
        'old_thresholds', (select string_agg(one, ',') from jsonb_array_elements_text(old -> 'thresholds') one),
        'new_limit', new ->> 'limit',
        'new_thresholds', (select string_agg(one, ',') from jsonb_array_elements_text(new -> 'thresholds') one))),
    changed_by, subject, credential_id, correlation_id
from waybill_ledger.budget_changes order by change_id;
drop table waybill_ledger.budget_changes;

alter table waybill_ledger.audit enable row level security;
alter table waybill_ledger.audit force row level security;
create policy tenant_only on waybill_ledger.audit to waybill_ledger
    using (tenant in (nullif(current_setting('waybill.tenant', true), ''),
        case when current_setting('waybill.tenant', true) <> '' then '*' end))
    with check (tenant = nullif(current_setting('waybill.tenant', true), ''));
create policy every_tenant on waybill_ledger.audit to waybill_ledger_owner using (true) with check (true);

-- It stays the migrating role's: an owner could give itself any right. Nobody who serves updates or deletes.
grant select, insert on waybill_ledger.audit to waybill_ledger, waybill_ledger_owner;
