-- How a document was read, and a parse that is known by the engine's revision too.

alter table waybill_parser.jobs
    -- Names the engine's way of reading; '' before there was more than one.
    add column revision text not null default '',
    -- The fields of waybill.common.v1.Reading.
    add column reading jsonb not null default '{}';
drop index waybill_parser.jobs_by_content;
create unique index jobs_by_content on waybill_parser.jobs (tenant, source_sha256, tier, revision)
    where state not in ('FAILED', 'CANCELLED');

-- Finds how the content that a document has now was read.
create index runs_by_document on waybill_runs.runs (tenant, document_id, run_id desc);
alter table waybill_runs.runs
    add column reading jsonb not null default '{}',
    -- The caller's, of the document.
    add column metadata jsonb not null default '{}';

-- Text from earlier in the document that a passage needs before it, such as a table's header rows.
alter table waybill_index.chunks add column lead text not null default '';
