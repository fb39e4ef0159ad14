"""The rows that decide what an object is, in our own Postgres; the vendor's word counts for bytes alone."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from services.storage.backends.port import ObjectSpec, StoredObject
from waybill.runtime.clock import Now
from waybill.runtime.ids import uuid7
from waybill.runtime.postgres import Connection, Database

_COLUMNS = """
    object_id, tenant, key, state, size_bytes, sha256, content_type, metadata, upload_id, created_at,
    updated_at
"""

BEGIN = """
insert into objects (object_id, tenant, key, state, size_bytes, sha256, content_type, metadata, created_at,
    updated_at, due_at)
values (%(object_id)s, %(tenant)s, %(key)s, %(state)s, %(size_bytes)s, %(sha256)s, %(content_type)s,
    %(metadata)s, %(now)s, %(now)s, clock_timestamp() + make_interval(secs => %(seconds)s))
"""

NOTE_UPLOAD = "update objects set upload_id = %(upload_id)s where object_id = %(object_id)s"

# Two that put the same key end one after the other; so does who changes the object of the key, because a
# statement that waited for a row which was replaced meanwhile finds neither the old one nor the new.
QUEUE_UP = "select pg_advisory_xact_lock(hashtextextended(%(tenant)s || '/' || %(key)s, 1))"

# In one order, so that two that delete the same keys wait and do not deadlock.
QUEUE_UP_MANY = """
select pg_advisory_xact_lock(id) from (
    select distinct hashtextextended(%(tenant)s || '/' || key, 1) as id from unnest(%(keys)s::text[]) as key
    order by 1
) as places
"""

# Held against the sweep, which drops what nobody ends any more.
HOLD = f"select {_COLUMNS} from objects where object_id = %(object_id)s for update"  # noqa: S608 - ours

# Who reads the old bytes reads on for a while.
REPLACE = """
update objects set state = 'DROPPED', due_at = clock_timestamp() + make_interval(secs => %(grace)s)
where tenant = %(tenant)s and key = %(key)s and state = 'STORED'
"""

KEEP = f"""
update objects set state = 'STORED', due_at = null, upload_id = '', created_at = %(now)s, updated_at = %(now)s
where object_id = %(object_id)s
returning {_COLUMNS}
"""  # noqa: S608 - ours

# What is stored stays: somebody else's answer about it was lost.
DROP = """
update objects set state = 'DROPPED', due_at = clock_timestamp() + make_interval(secs => %(grace)s)
where object_id = %(object_id)s and state in ('PENDING', 'LINKED')
"""

# Of two states, each with an index: for a list of both the planner takes neither, and scans.
OF_KEY = f"""
select {_COLUMNS} from objects where tenant = %(tenant)s and key = %(key)s and state = 'STORED'
union all
select {_COLUMNS} from objects where tenant = %(tenant)s and key = %(key)s and state = 'LINKED'
order by created_at
"""  # noqa: S608 - ours

LINKED = f"""
select {_COLUMNS} from objects
where tenant = %(tenant)s and starts_with(key, %(prefix)s) and state = 'LINKED'
order by created_at
"""  # noqa: S608 - ours

LINKED_KEYS = f"""
select {_COLUMNS} from objects where tenant = %(tenant)s and key = any(%(keys)s) and state = 'LINKED'
order by created_at
"""  # noqa: S608 - ours

LIST = f"""
select {_COLUMNS} from objects
where tenant = %(tenant)s and starts_with(key, %(prefix)s) and key > %(after)s and state = 'STORED'
order by key limit %(limit)s
"""  # noqa: S608 - ours

DELETE = """
update objects set state = 'DROPPED', due_at = clock_timestamp() + make_interval(secs => %(grace)s)
where tenant = %(tenant)s and key = any(%(keys)s) and state = 'STORED'
returning key
"""

UPDATE_METADATA = f"""
update objects set metadata = %(metadata)s, updated_at = %(now)s
where tenant = %(tenant)s and key = %(key)s and state = 'STORED'
returning {_COLUMNS}
"""  # noqa: S608 - ours

# Whoever still sends keeps nothing from now on; what is under way at the vendor has ended by the next time.
GIVE_UP = """
update objects set state = 'DROPPED', due_at = clock_timestamp() + make_interval(secs => %(again)s)
where object_id = any(array(
    select object_id from objects where due_at <= clock_timestamp() and state = 'PENDING'
    for update skip locked))
"""

# No other sweep takes these up for a while.
DUE = f"""
update objects set due_at = clock_timestamp() + make_interval(secs => %(again)s)
where object_id = any(array(
    select object_id from objects where due_at <= clock_timestamp() and state in ('LINKED', 'DROPPED')
    order by due_at limit %(limit)s for update skip locked))
returning {_COLUMNS}
"""  # noqa: S608 - ours

FORGET = "delete from objects where object_id = any(%(object_ids)s) and state = 'DROPPED'"


@dataclass(frozen=True, slots=True)
class Row:
    """One object, or what may become one.

    Attributes:
        tenant: Whose it is.
        linked: Its bytes come by a link, or have come and were not looked at.
        upload_id: A resumable upload at the vendor that may not have ended; empty where there is none.
        stored: What it is; the times count once it is stored.
    """

    object_id: uuid.UUID
    tenant: str
    linked: bool
    upload_id: str
    stored: StoredObject

    @property
    def path(self) -> str:
        """Where its bytes are in the bucket: always below its tenant, whatever its key."""
        return path_of(self.tenant, self.object_id)


def path_of(tenant: str, object_id: uuid.UUID) -> str:
    """Where an object's bytes are in the bucket."""
    return f"{tenant}/{object_id}"


class Rows:
    """A tenant's rows, and every tenant's for the sweep.

    Args:
        database: One tenant at a time.
        owner: Every tenant.
        clock: For the times that callers see.
        grace_seconds: How long replaced and deleted bytes are kept for those who read them.
    """

    def __init__(
        self,
        database: Database,
        owner: Database,
        clock: Now,
        grace_seconds: float,
    ) -> None:
        self._database = database
        self._owner = owner
        self._clock = clock
        self._grace_seconds = grace_seconds

    def new_id(self) -> uuid.UUID:
        """Of an object that is to be begun."""
        return uuid7(int(self._clock().timestamp() * 1000), os.urandom(10))

    async def begin(
        self, tenant: str, object_id: uuid.UUID, spec: ObjectSpec, seconds: float, *, linked: bool = False
    ) -> None:
        """Writes an object down that is none yet; the sweep takes it up after so many seconds."""
        await self._run(
            tenant,
            BEGIN,
            object_id=object_id,
            key=spec.key,
            state="LINKED" if linked else "PENDING",
            size_bytes=spec.size_bytes,
            sha256=spec.sha256,
            content_type=spec.content_type,
            metadata=Jsonb(dict(spec.metadata)),
            seconds=seconds,
        )

    async def note_upload(self, tenant: str, object_id: uuid.UUID, upload_id: str) -> None:
        """Writes down a resumable upload before bytes go into it."""
        await self._run(tenant, NOTE_UPLOAD, object_id=object_id, upload_id=upload_id)

    async def keep(self, tenant: str, key: str, object_id: uuid.UUID) -> StoredObject | None:
        """Makes it the object of its key, in one transaction; None where the sweep has dropped it.

        A repeat, after a commit whose answer was lost, changes nothing.
        """
        values = self._values(tenant, key=key, object_id=object_id)
        async with self._database.transaction(tenant) as connection:
            await connection.execute(QUEUE_UP, values)
            held = await (await connection.execute(HOLD.encode(), values)).fetchone()
            if held is None or held["state"] not in ("PENDING", "STORED"):
                return None
            if held["state"] == "PENDING":
                await connection.execute(REPLACE, values)
                held = await (await connection.execute(KEEP.encode(), values)).fetchone()
        return None if held is None else _row(held).stored

    async def drop(self, tenant: str, object_id: uuid.UUID) -> None:
        """Gives it up, unless it is stored."""
        await self._run(tenant, DROP, object_id=object_id)

    async def of_key(self, tenant: str, key: str) -> Sequence[Row]:
        """The object of a key, and what links may bring in its place."""
        return await self._run(tenant, OF_KEY, key=key)

    async def linked(self, tenant: str, prefix: str) -> Sequence[Row]:
        """What links may bring below a prefix."""
        return await self._run(tenant, LINKED, prefix=prefix)

    async def linked_keys(self, tenant: str, keys: Sequence[str]) -> Sequence[Row]:
        """What links may bring under some keys."""
        return await self._run(tenant, LINKED_KEYS, keys=list(keys))

    async def list(self, tenant: str, prefix: str, after: str, limit: int) -> Sequence[Row]:
        """Objects by key, see ObjectStore."""
        return await self._run(tenant, LIST, prefix=prefix, after=after, limit=limit)

    async def delete(self, tenant: str, keys: Sequence[str]) -> frozenset[str]:
        """Deletes objects by key; answers which there were."""
        async with self._database.transaction(tenant) as connection:
            values = self._values(tenant, keys=list(keys))
            await connection.execute(QUEUE_UP_MANY, values)
            rows = await (await connection.execute(DELETE, values)).fetchall()
        return frozenset(row["key"] for row in rows)

    async def update_metadata(self, tenant: str, key: str, metadata: Mapping[str, str]) -> Sequence[Row]:
        """Replaces an object's metadata; answers it, or nothing where there is none."""
        values = self._values(tenant, key=key, metadata=Jsonb(dict(metadata)))
        async with self._database.transaction(tenant) as connection:
            await connection.execute(QUEUE_UP, values)
            return await _rows(connection, UPDATE_METADATA, values)

    async def due(self, limit: int, again_seconds: float) -> Sequence[Row]:
        """Gives up what nobody ends any more, and takes up what the sweep is to judge.

        Args:
            limit: Of the answer.
            again_seconds: Until what is given up is due, and until another sweep has its turn.
        """
        values = {"limit": limit, "again": again_seconds}
        async with self._owner.transaction(None) as connection:
            await connection.execute(GIVE_UP, values)
            rows = await connection.execute(DUE.encode(), values)
            return [_row(row) for row in await rows.fetchall()]

    async def forget(self, object_ids: Sequence[uuid.UUID]) -> None:
        """Deletes rows whose bytes the vendor surely does not have."""
        await self._owner.execute(None, FORGET, {"object_ids": list(object_ids)})

    async def _run(self, tenant: str, statement: str, **values: Any) -> Sequence[Row]:
        async with self._database.transaction(tenant) as connection:
            return await _rows(connection, statement, self._values(tenant, **values))

    def _values(self, tenant: str, **values: Any) -> dict[str, Any]:
        return {"tenant": tenant, "now": self._clock(), "grace": self._grace_seconds, **values}


async def _rows(connection: Connection, statement: str, values: dict[str, Any]) -> Sequence[Row]:
    cursor = await connection.execute(statement.encode(), values)
    return [_row(row) for row in await cursor.fetchall()] if cursor.description else []


def _row(row: DictRow) -> Row:
    spec = ObjectSpec(row["key"], row["size_bytes"], row["sha256"], row["content_type"], row["metadata"])
    stored = StoredObject(spec, row["created_at"], row["updated_at"])
    return Row(row["object_id"], row["tenant"], row["state"] == "LINKED", row["upload_id"], stored)
