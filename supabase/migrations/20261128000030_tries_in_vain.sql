-- Tries in a row that began while a vendor served, and met it refusing: these are counted, and come to an end.
alter table waybill_parser.jobs add column in_vain integer not null default 0 check (in_vain >= 0);
alter table waybill_runs.waits add column in_vain integer not null default 0 check (in_vain >= 0);

-- A job that a vendor puts off says which one, and why.
comment on column waybill_parser.jobs.failed_vendor is
    'The vendor that did not serve, of a job that failed or is put off; empty where none is at fault.';
alter table waybill_parser.jobs drop constraint jobs_check2;
alter table waybill_parser.jobs add check (state <> 'FAILED' or reason <> '');
alter table waybill_parser.jobs add check (reason = '' or state = 'FAILED' or failed_vendor <> '');
