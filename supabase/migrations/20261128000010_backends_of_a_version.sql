-- Who did the work of a version, which its hits say. Versions that were published before have nothing here.
alter table waybill_index.document_versions
    -- By service: backend, mode and reason, as in waybill_runs.runs.
    add column backends jsonb not null default '{}';
