-- The document index: documents, their versions, and what a search reads: chunks and vectors.

create table waybill_index.spaces (
    space_id integer primary key,
    model text not null,
    dimension integer not null check (dimension between 1 and 4000),
    revision text not null,
    unique (model, dimension, revision)
);

insert into waybill_index.spaces (space_id, model, dimension, revision) values
    (1, 'wordllama-l2-supercat', 256, '0.4.0'),
    (2, 'text-embedding-3-small', 1536, ''),
    (3, 'text-embedding-3-large', 3072, '');

create table waybill_index.documents (
    document_id uuid primary key default gen_random_uuid(),
    tenant text not null check (tenant <> ''),
    collection text not null check (collection <> ''),
    document_key text not null check (document_key <> ''),
    -- The version that searches see; null until the first one is published.
    current_version_id uuid unique,
    metadata jsonb not null default '{}',
    created_at timestamptz not null default clock_timestamp(),
    unique (tenant, collection, document_key),
    unique (tenant, document_id)
);

create table waybill_index.document_versions (
    version_id uuid primary key default gen_random_uuid(),
    tenant text not null check (tenant <> ''),
    document_id uuid not null,
    run_id text not null check (run_id <> ''),
    source_sha256 text not null,
    recipe text not null,
    space_id integer not null references waybill_index.spaces,
    -- BUILDING → PUBLISHED → SUPERSEDED → SWEPT (a row without content, so that a late repeat of its
    -- publishing is still answered); or BUILDING → ABANDONED → gone.
    state text not null default 'BUILDING'
        check (state in ('BUILDING', 'PUBLISHED', 'SUPERSEDED', 'ABANDONED', 'SWEPT')),
    -- Counted when published, so that a search's coverage is cheap.
    chunk_count integer not null default 0,
    vector_count integer not null default 0,
    began_at timestamptz not null default clock_timestamp(),
    superseded_at timestamptz,
    unique (document_id, run_id),
    unique (tenant, version_id),
    foreign key (tenant, document_id) references waybill_index.documents (tenant, document_id)
);

create index versions_to_sweep on waybill_index.document_versions (state)
    where state in ('BUILDING', 'SUPERSEDED', 'ABANDONED');

-- Says whether another document needs a source that one was made from.
create index versions_by_source on waybill_index.document_versions (tenant, source_sha256);

alter table waybill_index.documents
    add foreign key (tenant, current_version_id)
    references waybill_index.document_versions (tenant, version_id);

create table waybill_index.chunks (
    tenant text not null check (tenant <> ''),
    version_id uuid not null,
    ordinal integer not null check (ordinal >= 0),
    sha256 text not null,
    text text not null,
    heading text not null,
    page integer not null,
    start_char integer not null,
    end_char integer not null,
    token_count integer not null,
    tsv tsvector not null
        generated always as (to_tsvector('pg_catalog.english', heading || E'\n\n' || text)) stored,
    primary key (version_id, ordinal),
    foreign key (tenant, version_id) references waybill_index.document_versions (tenant, version_id)
);

-- Finds vectors that a tenant already has for the same text.
create index chunks_by_content on waybill_index.chunks (tenant, sha256);

create table waybill_index.vectors (
    tenant text not null check (tenant <> ''),
    space_id integer not null references waybill_index.spaces,
    version_id uuid not null,
    ordinal integer not null,
    primary key (version_id, ordinal, space_id),
    foreign key (tenant, version_id) references waybill_index.document_versions (tenant, version_id)
);

do $$
begin
    execute (
        select format('alter table waybill_index.vectors add column e %I.halfvec not null', nspname)
        from pg_extension join pg_namespace on pg_namespace.oid = extnamespace where extname = 'vector');
end
$$;

-- Out of line, the heap would look so small that the planner prefers scanning it to the vector index.
alter table waybill_index.vectors alter column e set storage plain;

-- For a small tenant, reading all of its vectors beats the index over everybody's.
create index vectors_by_tenant on waybill_index.vectors (tenant);

do $$
declare
    space record;
    name text;
begin
    for space in
        select space_id, dimension, nspname from waybill_index.spaces, pg_extension
        join pg_namespace on pg_namespace.oid = extnamespace where extname = 'vector'
    loop
        execute format(
            'create index %1$I on waybill_index.vectors'
            ' using hnsw ((e::%4$I.halfvec(%2$s)) %4$I.halfvec_cosine_ops)'
            ' with (m = 16, ef_construction = 64) where space_id = %3$s',
            'vectors_space_' || space.space_id, space.dimension, space.space_id, space.nspname);
    end loop;

    foreach name in array array['documents', 'document_versions', 'chunks', 'vectors'] loop
        execute format('alter table waybill_index.%I enable row level security', name);
        execute format('alter table waybill_index.%I force row level security', name);
        execute format(
            'create policy tenant_only on waybill_index.%I to waybill_storage'
            ' using (tenant = nullif(current_setting(''waybill.tenant'', true), ''''))'
            ' with check (tenant = nullif(current_setting(''waybill.tenant'', true), ''''))', name);
        execute format(
            'create policy every_tenant on waybill_index.%I to waybill_storage_owner'
            ' using (true) with check (true)', name);
        execute format('grant select, insert, delete on waybill_index.%I to waybill_storage', name);
        execute format('alter table waybill_index.%I owner to waybill_storage_owner', name);
    end loop;
end
$$;

grant select on waybill_index.spaces to waybill_storage;
grant update on waybill_index.documents, waybill_index.document_versions to waybill_storage;
alter table waybill_index.spaces owner to waybill_storage_owner;
