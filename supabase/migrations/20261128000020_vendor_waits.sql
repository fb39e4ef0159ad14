-- A run whose step met a vendor that does not serve waits until it does.
alter table waybill_runs.waits drop constraint waits_kind_check;
alter table waybill_runs.waits add constraint waits_kind_check
    check (kind in ('batch', 'parse', 'vendor', 'budget', 'heal'));
