-- What runs wait for: one table for a vendor's batch, a vendor's parse, and what comes later. A run that
-- waits takes up no place, and nothing of it is in memory.

create table waybill_runs.waits (
    wait_id uuid primary key default gen_random_uuid(),
    tenant text not null check (tenant <> ''),
    run_id uuid not null references waybill_runs.runs on delete cascade,
    -- What knows when the run is to be woken, and ends what a run leaves behind.
    kind text not null check (kind in ('batch', 'parse')),
    -- Which one of its kind: a batch job's key, a parse job's id.
    ref text not null,
    -- The run goes on, or has ended, without it: nobody is woken, but something is still to be ended.
    left_behind boolean not null default false,
    created_at timestamptz not null,
    -- When it is looked at next, while no step of its run is at it.
    look_at timestamptz not null,
    -- Who looks at it now, by runtime/leases.py.
    owner text not null default '',
    leased_until timestamptz,
    deaths integer not null default 0,
    unique (run_id, kind, ref)
);
create index waits_due on waybill_runs.waits (look_at);
create index waits_leased on waybill_runs.waits (owner) where leased_until is not null;

alter table waybill_runs.waits owner to waybill_orchestrator_owner;
alter table waybill_runs.waits enable row level security;
alter table waybill_runs.waits force row level security;
create policy tenant_only on waybill_runs.waits to waybill_orchestrator
    using (tenant = nullif(current_setting('waybill.tenant', true), ''))
    with check (tenant = nullif(current_setting('waybill.tenant', true), ''));
create policy every_tenant on waybill_runs.waits to waybill_orchestrator_owner
    using (true) with check (true);
grant select, insert, update, delete on waybill_runs.waits to waybill_orchestrator;

-- Runs that wait on a batch now go on; one that waits though its job is lost is woken at the first look.
insert into waybill_runs.waits (tenant, run_id, kind, ref, left_behind, created_at, look_at)
select tenant, run_id, 'batch', job_key::text, state in ('LEFT', 'COLLECTED'), created_at, look_at
from waybill_runs.batch_jobs where state <> 'CLOSED';
insert into waybill_runs.waits (tenant, run_id, kind, ref, created_at, look_at)
select tenant, run_id, 'batch', '', now(), now()
from waybill_runs.runs
where state = 'WAITING_ON_VENDOR' and not exists (
    select from waybill_runs.waits where waits.run_id = runs.run_id and not left_behind);

drop index waybill_runs.batch_jobs_open;
alter table waybill_runs.batch_jobs drop column look_at;
