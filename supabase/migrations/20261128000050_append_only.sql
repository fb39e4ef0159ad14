-- Nobody who serves takes back what was bought: entries are never deleted, adjustments never changed either.
-- Both tables are the migrating role's from now on: an owner could give itself any right.
alter table waybill_ledger.entries owner to current_user;
alter table waybill_ledger.adjustments owner to current_user;
grant select, insert, update on waybill_ledger.entries to waybill_ledger_owner;
grant select, insert on waybill_ledger.adjustments to waybill_ledger_owner;
