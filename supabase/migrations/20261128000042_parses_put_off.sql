-- A job that is put off for a service of ours says why, and names no vendor.
do $$
declare name text;
begin
    for name in select conname from pg_constraint where conrelid = 'waybill_parser.jobs'::regclass
        and contype = 'c' and pg_get_constraintdef(oid) like '%failed_vendor%'
    loop
        execute format('alter table waybill_parser.jobs drop constraint %I', name);
    end loop;
end $$;
