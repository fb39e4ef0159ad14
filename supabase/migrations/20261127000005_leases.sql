-- Which process works on a parse job is a lease: it runs out by this database's clock.

alter table waybill_parser.jobs
    -- Null while nobody works on it.
    add column leased_until timestamptz,
    -- It needs so little that it takes no place of the others.
    add column light boolean not null default false;
-- Whoever works on a job now knows nothing of leases; it has a lease's length to end.
update waybill_parser.jobs set leased_until = clock_timestamp() + interval '15 seconds' where state = 'RUNNING';

drop index waybill_parser.jobs_open;
create index jobs_open on waybill_parser.jobs (created_at)
    where state in ('QUEUED', 'RUNNING')
        or (state = 'CANCELLED' and (entry_id is not null or leased_until is not null));
create index jobs_leased on waybill_parser.jobs (owner) where leased_until is not null;
