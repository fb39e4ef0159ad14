-- Which space a collection is searched in, where it is not the embedder's own; and a second space beside it.

create table waybill_index.collection_spaces (
    tenant text not null check (tenant <> ''),
    collection text not null check (collection <> ''),
    -- Of every search, and of every version that is published.
    space_id integer not null references waybill_index.spaces,
    -- Filled beside it, kept for the way back, or being dropped; null: there is none.
    other_space_id integer references waybill_index.spaces check (other_space_id <> space_id),
    -- FILLING → FILLED → SWITCHED ⇄ ROLLED_BACK, and from each of them → DONE.
    state text not null check (state in ('FILLING', 'FILLED', 'SWITCHED', 'ROLLED_BACK', 'DONE')),
    -- Once the other space is whole, searches change over to it.
    moving boolean not null default false,
    -- Nothing is published until then, so that the last vectors can be made.
    held_until timestamptz,
    -- On whose behalf it is filled, and under which ids it is billed.
    run_id text not null,
    correlation_id text not null,
    subject text not null default '',
    credential_id text not null default '',
    -- Why the fill rests.
    reason text not null default '',
    message text not null default '',
    -- Which process fills it, and from when on one is to.
    owner text not null default '',
    leased_until timestamptz,
    look_at timestamptz not null default now(),
    created_at timestamptz not null default now(),
    changed_at timestamptz not null default now(),
    primary key (tenant, collection)
);

create index collection_spaces_to_fill on waybill_index.collection_spaces (look_at)
    where state = 'FILLING' or moving;

alter table waybill_index.collection_spaces enable row level security;
alter table waybill_index.collection_spaces force row level security;
create policy tenant_only on waybill_index.collection_spaces to waybill_storage
    using (tenant = nullif(current_setting('waybill.tenant', true), ''))
    with check (tenant = nullif(current_setting('waybill.tenant', true), ''));
create policy every_tenant on waybill_index.collection_spaces to waybill_storage_owner
    using (true) with check (true);
grant select, insert, update on waybill_index.collection_spaces to waybill_storage;
alter table waybill_index.collection_spaces owner to waybill_storage_owner;
