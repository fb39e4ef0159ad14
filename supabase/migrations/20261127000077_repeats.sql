-- A run's retry budget counts attempts at what may be charged already.

alter table waybill_ledger.entries
    -- Whether, when it was held, an earlier attempt at the same might be charged.
    add column repeats boolean not null default false;

create index entries_repeats on waybill_ledger.entries (tenant, run_id, kind) where repeats;
