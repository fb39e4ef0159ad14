"""What goes of parse jobs that ended more than WAYBILL_KEEP_DAYS ago: those that left nothing behind.

A job that succeeded stays as long as its source: it is the way to its pages, which nobody pays for twice.
"""

from __future__ import annotations

JOBS = """
delete from jobs where ctid = any(array(
    select ctid from jobs
    where ended_at < now() - make_interval(days => %(days)s) and leased_until is null
        and ((state = 'FAILED' and not kept) or (state = 'CANCELLED' and entry_id is null))
    limit %(rows)s))
"""
