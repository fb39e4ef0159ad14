-- What is in doubt is listed by its own index, however many entries have ended.

create index entries_in_doubt on waybill_ledger.entries (tenant, held_at, entry_id) where state = 'IN_DOUBT';
