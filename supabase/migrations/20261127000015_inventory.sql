-- What a caller lists: documents by name, collections with their counts.

-- The folder that it was last ingested from, as the caller names it; empty where it was none.
alter table waybill_index.documents add column origin text not null default '';
alter table waybill_runs.runs add column origin text not null default '';

-- Nobody wrote down when the versions until now were published.
alter table waybill_index.document_versions add column published_at timestamptz;
update waybill_index.document_versions set published_at = began_at where state = 'PUBLISHED';

-- Published documents, so that a collection's count costs the same however many there are.
alter table waybill_index.totals add column documents bigint not null default 0;
update waybill_index.totals set documents = counted.documents
from (
    select tenant, collection, (uuid_hash(document_id) & 15)::smallint as slot, space_id,
        count(*) as documents
    from waybill_index.documents join waybill_index.document_versions using (tenant, document_id)
    where state = 'PUBLISHED'
    group by 1, 2, 3, 4
) counted
where (totals.tenant, totals.collection, totals.slot, totals.space_id)
    = (counted.tenant, counted.collection, counted.slot, counted.space_id);

create or replace function waybill_index.count_version() returns trigger language plpgsql as $$
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
    insert into waybill_index.totals as held (
        tenant, collection, slot, space_id, documents, chunks, vectors, length)
    values (
        version.tenant, place.collection, place.slot, version.space_id,
        coalesce((new.state = 'PUBLISHED')::int, 0) - coalesce((old.state = 'PUBLISHED')::int, 0),
        case when new.state = 'PUBLISHED' then new.chunk_count else 0 end
            - case when old.state = 'PUBLISHED' then old.chunk_count else 0 end,
        case when new.state = 'PUBLISHED' then new.vector_count else 0 end
            - case when old.state = 'PUBLISHED' then old.vector_count else 0 end,
        case when new.state = 'PUBLISHED' then new.length else 0 end
            - case when old.state = 'PUBLISHED' then old.length else 0 end)
    on conflict (tenant, collection, slot, space_id) do update set
        documents = held.documents + excluded.documents,
        chunks = held.chunks + excluded.chunks,
        vectors = held.vectors + excluded.vectors,
        length = held.length + excluded.length;
    -- Nothing tells of what was deleted.
    delete from waybill_index.totals
    where (tenant, collection, slot) = (version.tenant, place.collection, place.slot)
        and (documents, chunks, vectors, length) = (0, 0, 0, 0);
    return null;
end
$$;
