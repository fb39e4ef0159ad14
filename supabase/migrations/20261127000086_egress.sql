-- What a paid store has sent, as each process that reads from it counts it: the entry of a day is their sum.

create table waybill_ledger.egress_counts (
    tenant text not null check (tenant <> ''),
    entry_id uuid not null references waybill_ledger.entries (entry_id),
    -- A process counts from 0, so that a count told twice counts once.
    counter_id uuid not null,
    size_bytes bigint not null check (size_bytes >= 0),
    primary key (entry_id, counter_id)
);

alter table waybill_ledger.egress_counts owner to waybill_ledger_owner;
alter table waybill_ledger.egress_counts enable row level security;
alter table waybill_ledger.egress_counts force row level security;

create policy tenant_only on waybill_ledger.egress_counts to waybill_ledger
    using (tenant = nullif(current_setting('waybill.tenant', true), ''))
    with check (tenant = nullif(current_setting('waybill.tenant', true), ''));
create policy every_tenant on waybill_ledger.egress_counts to waybill_ledger_owner
    using (true) with check (true);

grant select, insert, update on waybill_ledger.egress_counts to waybill_ledger;
