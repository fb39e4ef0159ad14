-- The ledger: one row for each attempt at a vendor call.

create table waybill_ledger.entries (
    entry_id uuid primary key,
    tenant text not null check (tenant <> ''),
    -- Null outside a run (a search's embedding).
    run_id uuid,
    correlation_id text not null,
    spend_key text not null,
    attempt integer not null check (attempt > 0),
    state text not null
        check (state in ('HELD', 'SETTLED', 'RELEASED', 'IN_DOUBT', 'WRITTEN_OFF')),
    kind text not null check (kind in ('REAL', 'SIMULATED')),
    service text not null,
    operation text not null,
    vendor text not null,
    model text not null,
    unit text not null,
    quantity bigint not null check (quantity >= 0),
    price_nano_usd_per_million bigint not null check (price_nano_usd_per_million >= 0),
    expected_nano_usd bigint not null check (expected_nano_usd >= 0),
    reported_nano_usd bigint check (reported_nano_usd >= 0),
    invoiced_nano_usd bigint check (invoiced_nano_usd >= 0),
    owner text not null,
    trace_id text not null,
    parent_span_id text not null,
    step_span_id text not null,
    held_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz not null,
    ended_at timestamptz,
    end_reason text not null default '',
    check ((state = 'HELD') = (ended_at is null)),
    check ((state = 'SETTLED') <= (reported_nano_usd is not null)),
    unique nulls not distinct (tenant, run_id, spend_key, attempt)
);

create index entries_by_correlation on waybill_ledger.entries (tenant, correlation_id);
create index entries_held on waybill_ledger.entries (expires_at) where state = 'HELD';

alter table waybill_ledger.entries owner to waybill_ledger_owner;
alter table waybill_ledger.entries enable row level security;
alter table waybill_ledger.entries force row level security;

create policy tenant_only on waybill_ledger.entries to waybill_ledger
    using (tenant = nullif(current_setting('waybill.tenant', true), ''))
    with check (tenant = nullif(current_setting('waybill.tenant', true), ''));
create policy every_tenant on waybill_ledger.entries to waybill_ledger_owner
    using (true) with check (true);

grant select, insert, update on waybill_ledger.entries to waybill_ledger;
