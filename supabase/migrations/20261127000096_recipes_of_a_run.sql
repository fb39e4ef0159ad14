-- A run that parsed its document without the vendor makes a second version of it, by another recipe, once the
-- vendor is back.
alter table waybill_index.document_versions drop constraint document_versions_document_id_run_id_key;
alter table waybill_index.document_versions add unique (document_id, run_id, recipe);
