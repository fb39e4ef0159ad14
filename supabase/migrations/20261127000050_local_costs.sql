-- Work of an engine on this machine costs nothing. What it would cost at a vendor stands beside it.

alter table waybill_ledger.entries
    drop constraint entries_kind_check,
    add constraint entries_kind_check check (kind in ('REAL', 'SIMULATED', 'LOCAL')),
    -- Empty where a vendor did the work, or no vendor sells the like.
    add column would_vendor text not null default '',
    add column would_model text not null default '',
    add column would_price_nano_usd_per_million bigint not null default 0
        check (would_price_nano_usd_per_million >= 0),
    add column would_price_date date,
    add constraint entries_local_is_free check (kind <> 'LOCAL' or expected_nano_usd = 0);

alter table waybill_parser.jobs
    drop constraint jobs_cost_kind_check,
    add constraint jobs_cost_kind_check check (cost_kind in ('REAL', 'SIMULATED', 'LOCAL'));
