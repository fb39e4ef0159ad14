-- A job that failed though its parse was begun, and not for the document's sake: the engine keeps the parse, and
-- the next job of the content goes on with it instead of buying another.
alter table waybill_parser.jobs add column kept boolean not null default false;
alter table waybill_parser.jobs add check (not kept or (state = 'FAILED' and charge_of is not null));
