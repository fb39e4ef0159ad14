-- A degraded run is healed by itself once the vendor that it went without serves again.
alter table waybill_runs.waits drop constraint waits_kind_check;
alter table waybill_runs.waits add constraint waits_kind_check
    check (kind in ('batch', 'parse', 'budget', 'heal'));
