-- A hold, a page and a total of the ledger each walk an index, however many entries a tenant has.

-- What was bought outside a run has the run of zeros: only `=` walks the unique key to its last attempt.
update waybill_ledger.entries set run_id = '00000000-0000-0000-0000-000000000000' where run_id is null;
alter table waybill_ledger.entries alter column run_id set not null;

-- Held attempts at one purchase, among any number that have ended; also all that is held, to expire it.
drop index waybill_ledger.entries_held;
create index entries_held on waybill_ledger.entries (tenant, run_id, spend_key, expires_at)
    where state = 'HELD';

-- In the order of a listing.
drop index waybill_ledger.entries_by_correlation;
create index entries_by_correlation on waybill_ledger.entries (tenant, correlation_id, held_at, entry_id);
create index entries_by_time on waybill_ledger.entries (tenant, held_at, entry_id);
