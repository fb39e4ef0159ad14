-- Which tries of a run have been sent to another viewer of traces. Runs that have ended by now are not sent.
alter table waybill_runs.runs add column exported_tries integer not null default 0;
update waybill_runs.runs set exported_tries = tries where ended_at is not null;
create index runs_ended on waybill_runs.runs (ended_at) where ended_at is not null;
