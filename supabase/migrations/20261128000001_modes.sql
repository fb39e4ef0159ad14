-- The live switch of a service's mode: a row where one was set, of all tenants and all orchestrators.

create table waybill_runs.modes (
    service text primary key check (service in ('parser', 'embedder')),
    mode text not null check (mode in ('MODE_LOCAL', 'MODE_REAL', 'MODE_HYBRID')),
    -- What the service said of its settings: started with others, it takes the switch no more.
    settings text not null,
    set_at timestamptz not null default clock_timestamp(),
    -- The caller's tenant, its subject and credential where it had them.
    set_by text not null check (set_by <> ''),
    subject text not null,
    credential_id text not null
);

-- It is no tenant's: all may read it, and only the role that sees every tenant writes it.
alter table waybill_runs.modes owner to waybill_orchestrator_owner;
alter table waybill_runs.modes enable row level security;
alter table waybill_runs.modes force row level security;
create policy all_read on waybill_runs.modes for select to waybill_orchestrator using (true);
create policy every_tenant on waybill_runs.modes to waybill_orchestrator_owner using (true) with check (true);
grant select on waybill_runs.modes to waybill_orchestrator;
