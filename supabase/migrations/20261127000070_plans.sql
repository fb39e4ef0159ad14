-- What somebody agreed to before a run began: the day of its prices, and the most that it was to spend.

create table waybill_ledger.plans (
    run_id uuid primary key,
    tenant text not null check (tenant <> ''),
    -- In UTC; the run's holds take the prices of this day.
    price_day date not null,
    real_nano_usd bigint not null check (real_nano_usd >= 0),
    simulated_nano_usd bigint not null check (simulated_nano_usd >= 0),
    approved_at timestamptz not null default clock_timestamp()
);

alter table waybill_ledger.plans owner to waybill_ledger_owner;
alter table waybill_ledger.plans enable row level security;
alter table waybill_ledger.plans force row level security;
create policy tenant_only on waybill_ledger.plans to waybill_ledger
    using (tenant = nullif(current_setting('waybill.tenant', true), ''))
    with check (tenant = nullif(current_setting('waybill.tenant', true), ''));
create policy every_tenant on waybill_ledger.plans to waybill_ledger_owner using (true) with check (true);

-- Nobody changes what was agreed.
grant select, insert on waybill_ledger.plans to waybill_ledger;
