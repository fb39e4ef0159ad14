-- Vectors are numbered as they come. Up to some number they have an HNSW, built in bulk over a part of the
-- numbers; the storage service builds it, and reads exactly what came since.

alter table waybill_index.vectors add column arrival bigint not null default 0;
alter table waybill_index.vectors
    alter column arrival drop default,
    alter column arrival add generated always as identity;

-- What a tenant has in a part, and how much any part holds.
drop index waybill_index.vectors_by_tenant;
create index vectors_by_tenant on waybill_index.vectors (tenant, space_id, arrival);
create index vectors_by_arrival on waybill_index.vectors (space_id, arrival);

-- Where each part ends, ascending; the first begins at 0. The end itself is the next part's.
alter table waybill_index.spaces add column segments bigint[] not null default '{}';

-- Until now an index took each vector as it came. One that holds some serves until another is built: its
-- part has no end.
do $$
declare
    space record;
begin
    for space in
        select space_id, exists (select from waybill_index.vectors where space_id = spaces.space_id) as used
        from waybill_index.spaces
    loop
        if space.used then
            execute format(
                'alter index waybill_index.%I rename to %I',
                'vectors_space_' || space.space_id,
                format('vectors_%s_0_9223372036854775807', space.space_id));
            update waybill_index.spaces set segments = '{9223372036854775807}'
            where space_id = space.space_id;
        else
            execute format('drop index waybill_index.%I', 'vectors_space_' || space.space_id);
        end if;
    end loop;
end
$$;
