-- The parser's jobs: one row for each parse that was asked for.

create table waybill_parser.jobs (
    job_id uuid primary key,
    tenant text not null check (tenant <> ''),
    source_key text not null,
    source_sha256 text not null check (source_sha256 ~ '^[0-9a-f]{64}$'),
    filename text not null,
    tier text not null check (tier <> ''),
    state text not null default 'QUEUED'
        check (state in ('QUEUED', 'RUNNING', 'SUCCEEDED', 'FAILED', 'CANCELLED')),
    backend text not null,
    cost_kind text not null check (cost_kind in ('REAL', 'SIMULATED')),
    -- On whose behalf, and where in the trace, the work is done.
    correlation_id text not null,
    run_id text not null,
    step_span_id text not null,
    traceparent text not null,
    -- Process that works on it; a later one takes it over, and writes of the earlier are refused.
    owner text not null default '',
    -- Processes that have died while they worked on it.
    deaths integer not null default 0 check (deaths >= 0),
    -- Ledger entry of the newest attempt, written before its hold. A cancelled job has one for as long as
    -- something may be left of it: the entry, or a result in storage.
    entry_id uuid,
    result_key text not null default '',
    -- Above 0 once the result is stored: too late to cancel.
    page_count integer not null default 0 check (page_count >= 0),
    reason text not null default '',
    message text not null default '',
    created_at timestamptz not null default clock_timestamp(),
    ended_at timestamptz,
    check ((state in ('SUCCEEDED', 'FAILED', 'CANCELLED')) = (ended_at is not null)),
    check ((state = 'SUCCEEDED') = (result_key <> '')),
    check ((state = 'FAILED') = (reason <> ''))
);

-- One live parse of one content: who asks again gets the same job, and nothing is paid twice.
create unique index jobs_by_content on waybill_parser.jobs (tenant, source_sha256, tier)
    where state not in ('FAILED', 'CANCELLED');
create index jobs_open on waybill_parser.jobs (created_at)
    where state in ('QUEUED', 'RUNNING') or (state = 'CANCELLED' and entry_id is not null);

alter table waybill_parser.jobs owner to waybill_parser_owner;
alter table waybill_parser.jobs enable row level security;
alter table waybill_parser.jobs force row level security;

create policy tenant_only on waybill_parser.jobs to waybill_parser
    using (tenant = nullif(current_setting('waybill.tenant', true), ''))
    with check (tenant = nullif(current_setting('waybill.tenant', true), ''));
create policy every_tenant on waybill_parser.jobs to waybill_parser_owner
    using (true) with check (true);

grant select, insert, update, delete on waybill_parser.jobs to waybill_parser;
