-- The bucket of Supabase Storage, and who may do what in it without Waybill. Harmless to run again, and where the
-- server has no Storage: then it does nothing. The platform owns the tables of schema storage: nothing here
-- alters one.

do $migration$
declare
    own constant text := $own$
        bucket_id = 'waybill' and (storage.foldername(name))[1] = (
            select coalesce(auth.jwt() -> 'app_metadata' ->> 'tenant_id', auth.jwt() -> 'app_metadata' ->> 'tenant'))
    $own$;
    rule record;
begin
    if to_regclass('storage.objects') is null or to_regprocedure('auth.jwt()') is null then
        return;
    end if;

    -- Its size is the largest object of the storage service. A project's own limit may be smaller, and then holds.
    insert into storage.buckets (id, name, public, file_size_limit, allowed_mime_types)
    values ('waybill', 'waybill', false, 512000000,
        array['application/*', 'image/*', 'message/*', 'text/*'])
    on conflict (id) do update set
        public = excluded.public,
        file_size_limit = excluded.file_size_limit,
        allowed_mime_types = excluded.allowed_mime_types;

    -- A signed-in user has the objects of the tenant that the token names, wherever our storage service finds it;
    -- only who may see, insert and update an object may replace it. Nobody else has a policy, and so no access;
    -- service_role, which the storage service is, needs none.
    for rule in
        select * from (values
            ('waybill_tenant_select', 'select', 'using (%s)'),
            ('waybill_tenant_insert', 'insert', 'with check (%s)'),
            ('waybill_tenant_update', 'update', 'using (%1$s) with check (%1$s)'),
            ('waybill_tenant_delete', 'delete', 'using (%s)')
        ) as rules (name, command, condition)
    loop
        if not exists (
            select from pg_policies
            where (schemaname, tablename, policyname) = ('storage', 'objects', rule.name)
        ) then
            execute format('create policy %I on storage.objects for %s to authenticated ',
                rule.name, rule.command) || format(rule.condition, own);
        end if;
    end loop;
end
$migration$;
