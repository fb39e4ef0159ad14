-- The engine's own name of a parse under way: any process can wait for it, and nobody buys it again.

alter table waybill_parser.jobs add column parse_id text not null default '';
