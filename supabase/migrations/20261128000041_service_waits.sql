-- A run may wait for services of ours that do not answer.
alter table waybill_runs.waits drop constraint waits_kind_check;
alter table waybill_runs.waits add constraint waits_kind_check
    check (kind in ('batch', 'parse', 'vendor', 'service', 'budget', 'heal'));
