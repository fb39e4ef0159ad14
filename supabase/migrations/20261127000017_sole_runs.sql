-- One run at a time makes a content of a document, also where several orchestrators share the work: a second
-- one waits for the first, and finds what that has made. Runs that are under way now may have begun side by
-- side; they stay so.

alter table waybill_runs.runs add column sole boolean not null default false;
create unique index runs_sole on waybill_runs.runs (tenant, collection, document_key, source_sha256)
    where sole and state = 'RUNNING';
