-- Schemas and roles: one schema and one login role a service, so that Postgres enforces ownership.
-- waybill_<svc> sees one tenant at a time (row-level security); waybill_<svc>_owner owns the tables,
-- sees all tenants by policy, and is for sweepers and recovery. Passwords are set by `waybill migrate`.
-- Roles belong to the whole server, so a second database on it finds them there.

do $$
declare
    service record;
    role text;
    vectors name;
begin
    -- A server that is also somebody else's may have it already, wherever they put it.
    if not exists (select from pg_extension where extname = 'vector') then
        create schema if not exists extensions;
        create extension vector with schema extensions;
    end if;
    select nspname into vectors
    from pg_extension join pg_namespace on pg_namespace.oid = extnamespace where extname = 'vector';

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
            execute format('alter role %I set search_path = %I, %I', role, service.schema_name, vectors);
            -- The server's own zone may be another, and its days with it.
            execute format('alter role %I set timezone = ''UTC''', role);
            if not has_schema_privilege(role, vectors, 'usage') then
                execute format('grant usage on schema %I to %I', vectors, role);
            end if;
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
