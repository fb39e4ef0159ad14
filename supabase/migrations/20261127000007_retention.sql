-- Ways to what is looked for by more than its key: what is old and may go, runs of a document, runs that
-- wait, parses of a source however they ended.

-- In the order of arrival, so that a few bytes for each range of pages are enough.
create index spans_by_start on waybill_runs.spans using brin (start_unix_nano);
create index steps_by_start on waybill_runs.steps using brin (started_at);
create index runs_by_end on waybill_runs.runs (ended_at) where ended_at is not null;

create index runs_by_key on waybill_runs.runs
    (tenant, collection, document_key, source_sha256, run_id desc);
create index runs_waiting on waybill_runs.runs (run_id) where state = 'WAITING_ON_VENDOR';

create index jobs_by_source on waybill_parser.jobs (tenant, source_sha256);
create index jobs_by_end on waybill_parser.jobs (ended_at) where state in ('FAILED', 'CANCELLED');

create index versions_swept on waybill_index.document_versions (superseded_at) where state = 'SWEPT';
