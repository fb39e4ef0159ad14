"""What goes of runs that ended more than WAYBILL_KEEP_DAYS ago, and what stays.

    goes    spans, steps and closed batch jobs of such runs, and the engine's rows
    goes    such a run, once another run speaks for the same content of the same document
    stays   one run of each content of a document: the newest that published it, else the newest. It says
            what the published version lacks (UNCHANGED), and which sources go with the document
    stays   every entry of the ledger, and so every bill
    stays   whatever belongs to a run that has not ended

A run that stays can be tried again; it begins anew, since its steps are gone.
"""

from __future__ import annotations

from typing import LiteralString

from services.orchestrator.runs import engine
from waybill.runtime.postgres import Database
from waybill.runtime.retention import prune

SPANS = """
delete from spans where ctid = any(array(
    select spans.ctid from spans
    where start_unix_nano < (extract(epoch from now() - make_interval(days => %(days)s)) * 1e9)::bigint
        and not exists (
            select from runs
            where run_id = case when trace_id ~ '^[0-9a-f]{32}$' then trace_id::uuid end
                and coalesce(ended_at, now()) > now() - make_interval(days => %(days)s))
    limit %(rows)s))
"""
STEPS = """
delete from steps where ctid = any(array(
    select steps.ctid from steps join runs using (run_id)
    where steps.started_at < now() - make_interval(days => %(days)s)
        and runs.ended_at < now() - make_interval(days => %(days)s)
    limit %(rows)s))
"""
BATCH_JOBS = """
delete from batch_jobs where ctid = any(array(
    select batch_jobs.ctid from batch_jobs join runs using (run_id)
    where batch_jobs.state = 'CLOSED' and batch_jobs.created_at < now() - make_interval(days => %(days)s)
        and runs.ended_at < now() - make_interval(days => %(days)s)
    limit %(rows)s))
"""
RUNS = """
delete from runs where ctid = any(array(
    select old.ctid from runs old
    where ended_at < now() - make_interval(days => %(days)s)
        and not exists (select from batch_jobs where batch_jobs.run_id = old.run_id)
        and exists (
            select from runs other
            where (other.tenant, other.collection, other.document_key, other.source_sha256)
                = (old.tenant, old.collection, old.document_key, old.source_sha256)
                and case
                    when old.state in ('READY', 'READY_DEGRADED')
                    then other.state in ('READY', 'READY_DEGRADED') and other.run_id > old.run_id
                    else other.state in ('READY', 'READY_DEGRADED') or other.run_id > old.run_id
                end)
    limit %(rows)s))
"""
STATEMENTS: tuple[LiteralString, ...] = (SPANS, STEPS, BATCH_JOBS, RUNS)


async def turn(owner: Database, keep_days: int) -> None:
    """Prunes once."""
    await prune(owner, STATEMENTS, keep_days)
    await engine.forget(keep_days)
