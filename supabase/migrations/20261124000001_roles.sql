-- Schemas and roles: one schema and one login role a service, so that Postgres enforces ownership.
-- waybill_<svc> sees one tenant at a time (row-level security); waybill_<svc>_owner owns the tables,
-- sees all tenants by policy, and is for sweepers and recovery. Passwords are set by `waybill migrate`.
-- Roles belong to the whole server, so a second database on it finds them there.

create schema if not exists extensions;
create extension if not exists vector with schema extensions;

do $$
declare
    service record;
    role text;
begin
    for service in
        select * from (values
            ('storage', 'waybill_index'),
            ('parser', 'waybill_parser'),
            ('ledger', 'waybill_ledger'),
            ('orchestrator', 'waybill_runs')
        ) as known (name, schema_name)
    loop
        foreach role in array array['waybill_' || service.name, 'waybill_' || service.name || '_owner'] loop
            if not exists (select from pg_roles where rolname = role) then
                execute format('create role %I login', role);
            end if;
            execute format('alter role %I set search_path = %I, extensions', role, service.schema_name);
            execute format('grant usage on schema extensions to %I', role);
            if to_regclass('supabase_migrations.schema_migrations') is not null then
                -- A service checks at its start that its migrations were applied.
                execute format('grant usage on schema supabase_migrations to %I', role);
                execute format('grant select on supabase_migrations.schema_migrations to %I', role);
            end if;
        end loop;
        -- Who is no superuser may hand tables over only to roles it is a member of.
        execute format('grant %I to current_user', role);
        execute format('create schema %I authorization %I', service.schema_name, role);
        execute format('grant usage on schema %I to %I', service.schema_name, 'waybill_' || service.name);
    end loop;
end
$$;
