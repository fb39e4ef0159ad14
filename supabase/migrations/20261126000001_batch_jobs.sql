-- The batch tier: how a run's texts are embedded, the vendor's batch jobs of runs, and versions and steps
-- that outlive the wait for them.

alter table waybill_runs.runs
    add column tier text not null default '' check (tier in ('', 'SYNCHRONOUS', 'BATCH')),
    add column tier_reason text not null default '',
    -- Times that the newest try was taken up again after it had waited.
    add column wakes integer not null default 0,
    -- In which order contents came, whatever the clock said, and however long each then waits.
    add column edition bigint generated always as identity;

-- Until when a later try, or the same one after a wait, takes the outcome over.
alter table waybill_runs.steps add column valid_until timestamptz;

-- Not abandoned before then, though unpublished.
alter table waybill_index.document_versions add column keep_until timestamptz;
-- Of the arrival that published it, or found it unchanged, last.
alter table waybill_index.document_versions add column edition bigint not null default 0;

create table waybill_runs.batch_jobs (
    job_key uuid primary key,
    tenant text not null check (tenant <> ''),
    run_id uuid not null references waybill_runs.runs on delete cascade,
    -- Which of its run, from 1.
    number integer not null,
    -- SENDING: whether the vendor has it, nobody knows. LEFT: its run went on without it, or ended; its
    -- entries in the ledger are still to be ended. COLLECTED: its files are still at the vendor.
    state text not null default 'SENDING'
        check (state in ('SENDING', 'SENT', 'CANCELLING', 'LEFT', 'COLLECTED', 'CLOSED')),
    vendor_id text not null default '',
    -- How it came out: counts, and the vendor's words for them.
    outcome jsonb,
    created_at timestamptz not null,
    -- When it is looked at next.
    look_at timestamptz not null,
    unique (run_id, number)
);
create index batch_jobs_open on waybill_runs.batch_jobs (look_at) where state <> 'CLOSED';

alter table waybill_runs.batch_jobs owner to waybill_orchestrator_owner;
alter table waybill_runs.batch_jobs enable row level security;
alter table waybill_runs.batch_jobs force row level security;
create policy tenant_only on waybill_runs.batch_jobs to waybill_orchestrator
    using (tenant = nullif(current_setting('waybill.tenant', true), ''))
    with check (tenant = nullif(current_setting('waybill.tenant', true), ''));
create policy every_tenant on waybill_runs.batch_jobs to waybill_orchestrator_owner
    using (true) with check (true);
grant select, insert, update on waybill_runs.batch_jobs to waybill_orchestrator;
