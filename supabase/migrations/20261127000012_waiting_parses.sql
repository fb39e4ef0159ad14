-- A parse that goes on at a vendor takes up no process: its row says when to look again, and until when.

alter table waybill_parser.jobs
    -- Pages that the newest attempt was to buy.
    add column expected_pages integer not null default 0 check (expected_pages >= 0),
    -- Of these the vendor has done so many, as far as it says.
    add column pages_done integer not null default 0 check (pages_done >= 0),
    -- Null unless the parse goes on at a vendor; it is not looked at before.
    add column look_at timestamptz,
    -- A parse that goes on at a vendor then is stuck.
    add column ends_by timestamptz,
    -- Ledger entry whose charge the vendor has still to tell; the job has ended.
    add column charge_of uuid,
    -- When to ask for it.
    add column charge_at timestamptz,
    add check ((charge_of is null) = (charge_at is null));

create index jobs_by_parse on waybill_parser.jobs (parse_id) where parse_id <> '';
create index jobs_charged_late on waybill_parser.jobs (charge_at) where charge_at is not null;
