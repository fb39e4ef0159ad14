-- What is in doubt is asked for at its vendor, by whichever process claims the question.

alter table waybill_ledger.entries
    -- How often, when last, and when again; null is soon after it came to be in doubt.
    add column asks integer not null default 0,
    add column asked_at timestamptz,
    add column ask_at timestamptz,
    -- What came of it, while it is in doubt.
    add column answer text not null default '',
    -- The vendor has said all that it will.
    add column unanswerable boolean not null default false,
    -- What the vendor calls it: a job of LlamaCloud, say.
    add column vendor_reference text not null default '';

create index entries_to_ask on waybill_ledger.entries (vendor, coalesce(ask_at, ended_at))
    where state = 'IN_DOUBT' and not unanswerable;
create index entries_by_reference on waybill_ledger.entries (vendor, vendor_reference)
    where vendor_reference <> '';
