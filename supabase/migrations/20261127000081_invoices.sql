-- What vendors say they charged, line by line. All tenants' spending is on one invoice: it is the operator's,
-- whom the ledger serves by the role that sees every tenant.

create table waybill_ledger.invoices (
    invoice_id uuid primary key default gen_random_uuid(),
    sha256 text not null check (sha256 ~ '^[0-9a-f]{64}$'),
    name text not null,
    vendor text not null check (vendor <> ''),
    kind text not null check (kind in ('REAL', 'SIMULATED')),
    imported_at timestamptz not null default clock_timestamp(),
    unique (sha256, vendor, kind)
);

create table waybill_ledger.invoice_lines (
    invoice_id uuid not null references waybill_ledger.invoices (invoice_id),
    line integer not null,
    -- Of a line that names an entry: our id of it, or the vendor's.
    entry_id uuid,
    vendor_reference text not null,
    -- Of a sum: its day, and the models that it is over; none is all.
    day date,
    models text[] not null,
    unit text not null,
    quantity bigint check (quantity >= 0),
    requests bigint check (requests >= 0),
    nano_usd bigint,
    primary key (invoice_id, line)
);

do $$
declare
    name text;
begin
    foreach name in array array['invoices', 'invoice_lines'] loop
        execute format('alter table waybill_ledger.%I owner to waybill_ledger_owner', name);
        execute format('alter table waybill_ledger.%I enable row level security', name);
        execute format('alter table waybill_ledger.%I force row level security', name);
        execute format('create policy every_tenant on waybill_ledger.%I to waybill_ledger_owner'
            ' using (true) with check (true)', name);
    end loop;
end
$$;
