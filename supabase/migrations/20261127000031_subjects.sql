-- Who asked for a run, and for a parse: the subject of their token, and the id of the key that signed it.
-- Never the token.

alter table waybill_runs.runs
    add column subject text not null default '',
    add column credential_id text not null default '';

alter table waybill_parser.jobs
    add column subject text not null default '',
    add column credential_id text not null default '';
