-- What of a hosted project a migration meets; a stand-in with the names and columns of the platform's. Storage's
-- tables are another role's than the administrator's: there an extension lets `postgres` make policies on them and
-- nothing else; here membership gives the first, and an event trigger refuses the rest.

create role project login createdb createrole bypassrls password 'project';
create role anon nologin noinherit;
create role authenticated nologin noinherit;
create role service_role nologin noinherit bypassrls;
create role supabase_storage_admin nologin noinherit;
grant anon, authenticated, service_role, supabase_storage_admin to project;
grant create on database postgres to project;

create schema extensions authorization project;
create extension vector with schema extensions;

create schema auth;
grant usage on schema auth to public;
create function auth.jwt() returns jsonb language sql stable
    return nullif(current_setting('request.jwt.claims', true), '')::jsonb;

create schema storage authorization supabase_storage_admin;
grant usage on schema storage to project, anon, authenticated, service_role;
set role supabase_storage_admin;
create table storage.buckets (
    id text primary key, name text not null unique, owner uuid, owner_id text, public boolean default false,
    avif_autodetection boolean default false, file_size_limit bigint, allowed_mime_types text[],
    created_at timestamptz default now(), updated_at timestamptz default now());
create table storage.objects (
    id uuid primary key default gen_random_uuid(), bucket_id text references storage.buckets, name text,
    owner uuid, owner_id text, version text, metadata jsonb, user_metadata jsonb,
    path_tokens text[] generated always as (string_to_array(name, '/')) stored,
    created_at timestamptz default now(), updated_at timestamptz default now(),
    last_accessed_at timestamptz default now(), unique (bucket_id, name));
create function storage.foldername(name text) returns text[] language sql immutable
    return trim_array(string_to_array(name, '/'), 1);
alter table storage.buckets enable row level security;
alter table storage.objects enable row level security;
grant all on storage.buckets, storage.objects to project, anon, authenticated, service_role;
reset role;

create function public.only_policies() returns event_trigger language plpgsql as $$
declare
    made record;
begin
    for made in select * from pg_event_trigger_ddl_commands() where schema_name = 'storage' loop
        if made.command_tag not in ('CREATE POLICY', 'ALTER POLICY') then
            raise insufficient_privilege using message = 'must be owner: ' || made.command_tag;
        end if;
    end loop;
end
$$;
create event trigger only_policies on ddl_command_end execute function public.only_policies();
