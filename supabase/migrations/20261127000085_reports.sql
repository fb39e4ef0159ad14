-- The operator's report over all tenants reads its days alone, however many entries there are.

create index entries_by_day on waybill_ledger.entries (held_at);
