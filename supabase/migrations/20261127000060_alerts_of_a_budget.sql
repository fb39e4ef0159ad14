-- A budget's alerts are found by an index: budgets of runs have one alert a run.

create index budget_alerts_by_budget on waybill_ledger.budget_alerts (tenant, budget_id, alerted_at);
