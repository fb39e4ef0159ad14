-- Objects whose bytes a vendor keeps, each at <tenant>/<object_id> there. What an object is, is decided by these
-- rows: a key has one STORED row, and a replacement is one transaction.

create table waybill_index.objects (
    object_id uuid primary key,
    tenant text not null check (tenant <> ''),
    -- In byte order, as every backend lists it.
    key text collate "C" not null check (key <> ''),
    -- PENDING (a call sends the bytes) or LINKED (somebody with a link does) → STORED → DROPPED → gone.
    state text not null check (state in ('PENDING', 'LINKED', 'STORED', 'DROPPED')),
    size_bytes bigint not null check (size_bytes >= 0),
    sha256 text not null,
    content_type text not null,
    metadata jsonb not null default '{}',
    -- A resumable upload at the vendor that may not have ended.
    upload_id text not null default '',
    created_at timestamptz not null,
    updated_at timestamptz not null,
    -- When the sweep takes it up: PENDING and LINKED, nobody ends it any more; DROPPED, nobody reads it any more.
    due_at timestamptz,
    check ((state = 'STORED') = (due_at is null))
);

create unique index objects_by_key on waybill_index.objects (tenant, key) where state = 'STORED';
create index objects_linked on waybill_index.objects (tenant, key) where state = 'LINKED';
create index objects_due on waybill_index.objects (due_at) where due_at is not null;

alter table waybill_index.objects enable row level security;
alter table waybill_index.objects force row level security;
create policy tenant_only on waybill_index.objects to waybill_storage
    using (tenant = nullif(current_setting('waybill.tenant', true), ''))
    with check (tenant = nullif(current_setting('waybill.tenant', true), ''));
create policy every_tenant on waybill_index.objects to waybill_storage_owner using (true) with check (true);
grant select, insert, update on waybill_index.objects to waybill_storage;
alter table waybill_index.objects owner to waybill_storage_owner;
