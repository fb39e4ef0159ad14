-- An alert is also what has to be delivered: it is sent until the webhook's receiver has it, or gives out.

alter table waybill_ledger.budget_alerts
    -- When it is sent next; null: never again. Those of before this migration are not sent.
    add column next_at timestamptz,
    add column attempts integer not null default 0 check (attempts >= 0),
    add column delivered_at timestamptz,
    add column given_up_at timestamptz,
    -- Of the last attempt that failed; it holds nothing that the receiver wrote.
    add column last_error text not null default '';
alter table waybill_ledger.budget_alerts alter column next_at set default clock_timestamp();

create index budget_alerts_due on waybill_ledger.budget_alerts (next_at) where next_at is not null;
