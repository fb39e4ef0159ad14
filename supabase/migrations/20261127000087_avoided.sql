-- What a run did not buy, since it was there. No money: it stands beside sums, never in them.

create table waybill_ledger.avoided (
    tenant text not null check (tenant <> ''),
    run_id uuid not null,
    correlation_id text not null,
    collection text not null,
    document_key text not null,
    operation text not null,
    service text not null,
    kind text not null check (kind in ('REAL', 'SIMULATED', 'LOCAL')),
    vendor text not null,
    model text not null,
    unit text not null,
    quantity bigint not null check (quantity > 0),
    price_nano_usd_per_million bigint not null check (price_nano_usd_per_million >= 0),
    nano_usd bigint not null check (nano_usd >= 0),
    noted_at timestamptz not null default clock_timestamp(),
    primary key (tenant, run_id, operation, kind, vendor, model, unit, price_nano_usd_per_million)
);

create index avoided_by_time on waybill_ledger.avoided (tenant, noted_at);
create index avoided_by_day on waybill_ledger.avoided (noted_at);
create index avoided_by_correlation on waybill_ledger.avoided (tenant, correlation_id);

alter table waybill_ledger.avoided owner to waybill_ledger_owner;
alter table waybill_ledger.avoided enable row level security;
alter table waybill_ledger.avoided force row level security;

create policy tenant_only on waybill_ledger.avoided to waybill_ledger
    using (tenant = nullif(current_setting('waybill.tenant', true), ''))
    with check (tenant = nullif(current_setting('waybill.tenant', true), ''));
create policy every_tenant on waybill_ledger.avoided to waybill_ledger_owner
    using (true) with check (true);

-- Rows are appended: nobody updates or deletes one.
grant select, insert on waybill_ledger.avoided to waybill_ledger;
