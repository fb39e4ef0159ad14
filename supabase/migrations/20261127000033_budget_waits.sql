-- A run that a budget does not allow to go on waits, as for a vendor.

alter table waybill_runs.waits drop constraint waits_kind_check;
alter table waybill_runs.waits add constraint waits_kind_check check (kind in ('batch', 'parse', 'budget'));

-- Of a job whose purchase a budget refused: which one, and how much of it was wanted.
alter table waybill_parser.jobs add column blocked_on text not null default '';
