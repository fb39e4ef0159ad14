alter table waybill_parser.jobs
    -- Its caller goes on without the vendor while that does not serve: such a job fails before it holds money.
    add column hybrid boolean not null default false,
    -- Of a job that failed: the vendor that did not serve; empty where it was the document's fault.
    add column failed_vendor text not null default '';
