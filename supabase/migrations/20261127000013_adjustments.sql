-- What a vendor charged in the end, where that is not what was settled: appended, never an update.

create table waybill_ledger.adjustments (
    adjustment_id uuid primary key default gen_random_uuid(),
    tenant text not null check (tenant <> ''),
    entry_id uuid not null references waybill_ledger.entries (entry_id),
    -- As its entry has them.
    run_id uuid not null,
    correlation_id text not null,
    kind text not null check (kind in ('REAL', 'SIMULATED')),
    -- What the vendor charged, by a price of its own, and how much more or less that is than was known.
    model text not null,
    unit text not null,
    quantity bigint not null check (quantity >= 0),
    nano_usd bigint not null check (nano_usd <> 0),
    reason text not null,
    adjusted_at timestamptz not null default clock_timestamp()
);

create index adjustments_by_entry on waybill_ledger.adjustments (entry_id);
create index adjustments_by_run on waybill_ledger.adjustments (tenant, run_id);
create index adjustments_by_correlation on waybill_ledger.adjustments (tenant, correlation_id);

alter table waybill_ledger.adjustments owner to waybill_ledger_owner;
alter table waybill_ledger.adjustments enable row level security;
alter table waybill_ledger.adjustments force row level security;

create policy tenant_only on waybill_ledger.adjustments to waybill_ledger
    using (tenant = nullif(current_setting('waybill.tenant', true), ''))
    with check (tenant = nullif(current_setting('waybill.tenant', true), ''));
create policy every_tenant on waybill_ledger.adjustments to waybill_ledger_owner
    using (true) with check (true);

-- Rows are appended: nobody updates or deletes one.
grant select, insert on waybill_ledger.adjustments to waybill_ledger;
