-- Who did the work of a run, and what of it is being healed.
alter table waybill_runs.runs
    -- By service: backend, mode and reason, of the newest choice.
    add column backends jsonb not null default '{}',
    -- While a run is healed: the reason for which it was degraded.
    add column healing text not null default '';
