"""The statements of `jobs`: which jobs are chosen for what."""

from __future__ import annotations

from waybill.runtime.leases import Leases

# So many processes die over one job before it is held to be the cause.
MOST_DEATHS = 3

INSERT = """
insert into waybill_parser.jobs (job_id, tenant, source_key, source_sha256, filename, tier, backend,
    revision, cost_kind, correlation_id, run_id, step_span_id, collection, document_key, subject,
    credential_id, traceparent, size_bytes, light, hybrid)
values (%(job_id)s, %(tenant)s, %(source_key)s, %(source_sha256)s, %(filename)s, %(tier)s, %(backend)s,
    %(revision)s, %(cost_kind)s, %(correlation_id)s, %(run_id)s, %(step_span_id)s, %(collection)s,
    %(document_key)s, %(subject)s, %(credential_id)s, %(traceparent)s, %(size_bytes)s, %(light)s,
    %(hybrid)s)
on conflict (tenant, source_sha256, tier, revision) where state not in ('FAILED', 'CANCELLED') do nothing
"""
# A job that failed, and whose parse is kept at the engine, goes on: nothing is bought twice. Others of the
# content are locked with it, so that none fails between this and an INSERT behind it.
TAKE_UP = """
with same as (
    select job_id, state, kept, ended_at from waybill_parser.jobs
    where source_sha256 = %(source_sha256)s and tier = %(tier)s and revision = %(revision)s
    order by job_id for update)
update waybill_parser.jobs set state = 'QUEUED', kept = false, reason = '', message = '', failed_vendor = '',
    in_vain = 0, ended_at = null, charge_of = null, charge_at = null, hybrid = %(hybrid)s,
    ends_by = greatest(ends_by, now())
where job_id = (select job_id from same where kept order by ended_at desc limit 1)
    and not exists (select from same where state not in ('FAILED', 'CANCELLED'))
"""
SELECT_LIVING = """
select * from waybill_parser.jobs
where source_sha256 = %(source_sha256)s and tier = %(tier)s and revision = %(revision)s
    and state not in ('FAILED', 'CANCELLED')
"""
SELECT_ALL_LIVING = """
select * from waybill_parser.jobs
where source_sha256 = %(source_sha256)s and (kept or state not in ('FAILED', 'CANCELLED'))
"""
SELECT_BOUGHT = """
select * from waybill_parser.jobs
where run_id = %(run_id)s and source_sha256 = %(source_sha256)s and backend = %(backend)s
    and expected_pages > 0 and state not in ('FAILED', 'CANCELLED')
order by created_at desc limit 1
"""
SELECT = "select * from waybill_parser.jobs where job_id = %(job_id)s"
OPEN = """(state in ('QUEUED', 'RUNNING')
    or (state = 'CANCELLED' and (entry_id is not null or leased_until is not null)))"""
ONE = f"""
select job_id from waybill_parser.jobs
where job_id = %(job_id)s and {OPEN} and ({Leases.free} or {Leases.fence}) for update
"""  # noqa: S608  # constants only, as in the four below
# The parse goes on at its engine, and it is not wise to ask yet; a cancel is told at once.
DUE = "(state = 'CANCELLED' or coalesce(look_at <= now(), true))"
SUSPECT = f"(state <> 'CANCELLED' and deaths + {Leases.ran_out}::integer = {MOST_DEATHS - 1})"
CHOOSABLE = f"{OPEN} and {Leases.free} and {DUE}"
# As `Job.lane` says it.
LANE = """case when parse_id <> '' then 'engine'
    when light or state = 'CANCELLED' then 'light' else 'place' end"""
NEXT = f"""
select job_id from waybill_parser.jobs
where {CHOOSABLE} and job_id <> all(%(beside)s::uuid[])
    and (cardinality(%(beside)s::uuid[]) = 0 or not {SUSPECT})
    and {LANE} = any(%(lanes)s)
order by {SUSPECT} desc, array_position(%(served)s::text[], tenant) nulls first, created_at
limit 1 for update skip locked
"""  # noqa: S608 - constants
SUSPECT_WAITS = f"select from waybill_parser.jobs where {CHOOSABLE} and {SUSPECT} limit 1"
# With pages the result is stored and about to be paid: such a job goes on to its end.
CANCEL_WHERE = f"""
update waybill_parser.jobs set
    state = case when page_count = 0 then 'CANCELLED' else state end,
    ended_at = case when page_count = 0 then coalesce(ended_at, clock_timestamp()) else ended_at end
where {OPEN}"""  # noqa: S608 - constants
CANCEL = f"{CANCEL_WHERE} and job_id = %(target)s returning *"
CANCEL_OF_RUN = f"{CANCEL_WHERE} and run_id = %(target)s::text returning *"
LOCK_CONTENT = "select * from waybill_parser.jobs where source_sha256 = %(source_sha256)s for update"
# CANCELLED with its entry: should this process die now, another one clears what is left.
DISCARD = """
update waybill_parser.jobs set state = 'CANCELLED', result_key = '',
    owner = %(owner)s, leased_until = now() + %(lease)s * interval '1 second'
where source_sha256 = %(source_sha256)s and state = 'SUCCEEDED'
"""
HAS_ATTEMPT = """
select from waybill_parser.jobs
where source_sha256 = %(source_sha256)s and (charge_of = %(entry_id)s
    or (entry_id = %(entry_id)s and state in ('QUEUED', 'RUNNING', 'CANCELLED'))) limit 1
"""
FORGET = "delete from waybill_parser.jobs where job_id = any(%(job_ids)s)"
# Of a job that ends: what its engine charged is asked from now on, where the engine has a parse of it.
_HAS_PARSE = "(entry_id is not null and (parse_id <> '' or (%(in_doubt)s and expected_pages > 0)))"
CHARGED_LATER = f"""
charge_of = case when {_HAS_PARSE} then entry_id end,
charge_at = case when {_HAS_PARSE} then now() + interval '5 seconds' end"""
# Of one that fails with a parse that a later one may take up.
KEPT = f"kept = %(kept)s and {_HAS_PARSE}"
CHARGE_DUE = """
update waybill_parser.jobs
set charge_at = now() + greatest(interval '5 seconds', least((now() - ended_at) / 2, interval '1 hour'))
where job_id = (
    select job_id from waybill_parser.jobs where charge_at <= now()
    order by charge_at limit 1 for update skip locked)
returning *
"""
HASTEN = """
update waybill_parser.jobs set look_at = case when look_at > now() then now() else look_at end
where parse_id = %(parse_id)s and coalesce(entry_id, charge_of) = %(entry_id)s
"""
HASTEN_ALL = """
update waybill_parser.jobs set look_at = now()
where failed_vendor = %(vendor)s and state = 'RUNNING' and look_at > now() and leased_until is null
"""
CHARGE_KNOWN = """
update waybill_parser.jobs set charge_of = null, charge_at = null, kept = false where job_id = %(job_id)s
"""
