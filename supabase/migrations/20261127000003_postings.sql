-- Words of ours instead of tsvectors: which chunks have a word, what a collection holds in all, and what
-- else a search filters by.

alter table waybill_index.chunks
    drop column tsv,
    -- Words that it counts as; null until it is in the postings, which the storage service sees to.
    add column length integer;

create index chunks_to_index on waybill_index.chunks (version_id) where length is null;

alter table waybill_index.document_versions
    -- The version in postings. Random, so that the first ones of a word are a fair sample of all.
    add column number bigint not null unique default (random() * 9.2e18)::bigint,
    -- Words of its chunks, counted when published.
    add column length bigint not null default 0,
    -- The document's, once this version is published.
    add column metadata jsonb not null default '{}';

-- Versions whose postings no search may see: few, and so excluded one by one.
create index versions_unseen on waybill_index.document_versions (tenant) include (number)
    where state in ('BUILDING', 'SUPERSEDED', 'ABANDONED');

-- A word's places in one version, as put by one call. Without a primary key: nothing is ever updated.
create table waybill_index.postings (
    -- Hash of tenant, collection and term.
    word bigint not null,
    number bigint not null,
    -- 0 to 3: how much the best of its chunks has of the word. What cannot all be read is read from 0 on.
    rank smallint not null,
    tenant text not null check (tenant <> ''),
    -- Six bytes a chunk: ordinal and count of the word, length of the chunk.
    entries bytea not null
);

-- The entries of a large version go out of line; compressing them costs more than it saves.
alter table waybill_index.postings alter column entries set storage external;

create index postings_by_word on waybill_index.postings (word, rank, number);
-- Its keys repeat, so that each costs a few bytes.
create index postings_by_version on waybill_index.postings (number);

-- What the published versions of a collection hold, in several rows, so that publishers seldom meet.
create table waybill_index.totals (
    tenant text not null check (tenant <> ''),
    collection text not null,
    slot smallint not null,
    space_id integer not null references waybill_index.spaces,
    chunks bigint not null default 0,
    vectors bigint not null default 0,
    length bigint not null default 0,
    primary key (tenant, collection, slot, space_id)
);

insert into waybill_index.totals (tenant, collection, slot, space_id, chunks, vectors)
select tenant, collection, uuid_hash(document_id) & 15, space_id, sum(chunk_count), sum(vector_count)
from waybill_index.documents join waybill_index.document_versions using (tenant, document_id)
where state = 'PUBLISHED'
group by 1, 2, 3, 4;

-- Whatever writes a version, the totals follow it.
create function waybill_index.count_version() returns trigger language plpgsql as $$
declare
    version waybill_index.document_versions := coalesce(new, old);
    place record;
begin
    select collection, (uuid_hash(document_id) & 15)::smallint as slot into place
    from waybill_index.documents where document_id = version.document_id;
    -- In one order, so that two that change the same rows wait and do not deadlock.
    perform from waybill_index.totals
    where (tenant, collection, slot) = (version.tenant, place.collection, place.slot)
    order by space_id for update;
    insert into waybill_index.totals as held (tenant, collection, slot, space_id, chunks, vectors, length)
    values (
        version.tenant, place.collection, place.slot, version.space_id,
        case when new.state = 'PUBLISHED' then new.chunk_count else 0 end
            - case when old.state = 'PUBLISHED' then old.chunk_count else 0 end,
        case when new.state = 'PUBLISHED' then new.vector_count else 0 end
            - case when old.state = 'PUBLISHED' then old.vector_count else 0 end,
        case when new.state = 'PUBLISHED' then new.length else 0 end
            - case when old.state = 'PUBLISHED' then old.length else 0 end)
    on conflict (tenant, collection, slot, space_id) do update set
        chunks = held.chunks + excluded.chunks,
        vectors = held.vectors + excluded.vectors,
        length = held.length + excluded.length;
    -- Nothing tells of what was deleted.
    delete from waybill_index.totals
    where (tenant, collection, slot) = (version.tenant, place.collection, place.slot)
        and (chunks, vectors, length) = (0, 0, 0);
    return null;
end
$$;

alter function waybill_index.count_version() owner to waybill_storage_owner;

create trigger count_update after update of state, chunk_count, vector_count, length
    on waybill_index.document_versions for each row
    when (old.state = 'PUBLISHED' or new.state = 'PUBLISHED')
    execute function waybill_index.count_version();
create trigger count_delete after delete on waybill_index.document_versions for each row
    when (old.state = 'PUBLISHED')
    execute function waybill_index.count_version();

do $$
declare
    name text;
begin
    foreach name in array array['postings', 'totals'] loop
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

grant update on waybill_index.totals to waybill_storage;
