-- Runs, their steps, and the spans that services export.

-- The contract's Run.State, name for name; a test holds the two together.
create type waybill_runs.run_state as enum (
    'QUEUED', 'RUNNING', 'WAITING_ON_VENDOR', 'BLOCKED_ON_BUDGET', 'READY', 'READY_DEGRADED',
    'UNCHANGED', 'FAILED', 'EXPIRED', 'CANCELLED');

create table waybill_runs.runs (
    run_id uuid primary key,
    tenant text not null check (tenant <> ''),
    correlation_id text not null,
    request_id uuid,
    -- The caller's span, which the run's root links to.
    caller_traceparent text not null default '',
    collection text not null,
    document_key text not null,
    filename text not null,
    source_sha256 text not null,
    size_bytes bigint not null,
    source_key text not null,
    state waybill_runs.run_state not null,
    step text not null,
    reason text not null default '',
    message text not null default '',
    document_id text not null default '',
    version_id text not null default '',
    pages integer not null default 0,
    chunks integer not null default 0,
    embedded_chunks integer not null default 0,
    -- Of the newest try; those alone in the slot for suspects too.
    starts integer not null default 0,
    alone_starts integer not null default 0,
    tries integer not null default 1,
    complete_by timestamptz,
    -- Grows with every change; a watcher resumes after the last one it saw.
    revision bigint not null default 1,
    created_at timestamptz not null,
    ended_at timestamptz,
    check ((ended_at is not null) = (state in
        ('READY', 'READY_DEGRADED', 'UNCHANGED', 'FAILED', 'EXPIRED', 'CANCELLED'))),
    unique (tenant, request_id)
);
create index runs_unfinished on waybill_runs.runs (tenant, source_sha256) where ended_at is null;
create index runs_newest on waybill_runs.runs (tenant, run_id desc);
create index runs_by_correlation on waybill_runs.runs (tenant, correlation_id, run_id desc);

-- A step's span: its id is derived, its times are these.
create table waybill_runs.steps (
    tenant text not null check (tenant <> ''),
    run_id uuid not null references waybill_runs.runs on delete cascade,
    span_id text not null,
    name text not null,
    try integer not null default 1,
    status text not null check (status in ('UNSET', 'OK', 'ERROR')),
    -- What the step answered when it ended well; ids and counts, for a later try.
    outcome jsonb,
    -- More than one after a crash in it.
    starts integer not null default 1,
    started_at timestamptz not null,
    ended_at timestamptz,
    primary key (run_id, span_id)
);

-- Live spans of runs, as the services exported them; delivered at least once.
create table waybill_runs.spans (
    trace_id text not null,
    span_id text not null,
    tenant text not null check (tenant <> ''),
    parent_span_id text not null,
    step_span_id text not null,
    service text not null,
    name text not null,
    kind text not null,
    start_unix_nano bigint not null,
    duration_nano bigint not null,
    status text not null,
    entry_id text not null,
    primary key (trace_id, span_id)
);

do $$
declare
    table_name text;
begin
    foreach table_name in array array['runs', 'steps', 'spans'] loop
        execute format('alter table waybill_runs.%I owner to waybill_orchestrator_owner', table_name);
        execute format('alter table waybill_runs.%I enable row level security', table_name);
        execute format('alter table waybill_runs.%I force row level security', table_name);
        execute format($policy$
            create policy tenant_only on waybill_runs.%I to waybill_orchestrator
            using (tenant = nullif(current_setting('waybill.tenant', true), ''))
            with check (tenant = nullif(current_setting('waybill.tenant', true), ''))
        $policy$, table_name);
        execute format($policy$
            create policy every_tenant on waybill_runs.%I to waybill_orchestrator_owner
            using (true) with check (true)
        $policy$, table_name);
    end loop;
end $$;

alter type waybill_runs.run_state owner to waybill_orchestrator_owner;
grant usage on type waybill_runs.run_state to waybill_orchestrator;
grant select, insert, update on waybill_runs.runs, waybill_runs.steps to waybill_orchestrator;
grant select on waybill_runs.spans to waybill_orchestrator;
