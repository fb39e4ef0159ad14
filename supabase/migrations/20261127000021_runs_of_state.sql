-- The newest runs of a state, however many there are of others.

create index runs_of_state on waybill_runs.runs (tenant, state, run_id);

-- A policy is checked before whatever may leak, and so before an enum is compared: under it no index by state
-- is walked, nor is it known how rare a state is. This function is its owner's, who sees all; the tenant is
-- its own condition. Compared and ordered as pairs, state and run need just that index.
create function waybill_runs.newest_of_state(
    wanted waybill_runs.run_state, first uuid, before uuid, most integer
) returns setof uuid language sql stable security definer set search_path = '' as $$
    select run_id from waybill_runs.runs
    where tenant = nullif(current_setting('waybill.tenant', true), '')
        and (state, run_id) >= (wanted, first) and (state, run_id) < (wanted, before)
    order by state desc, run_id desc limit most
$$;

alter function waybill_runs.newest_of_state owner to waybill_orchestrator_owner;
revoke execute on function waybill_runs.newest_of_state from public;
grant execute on function waybill_runs.newest_of_state to waybill_orchestrator;
