"""Versions of documents: beginning one, and finding it again."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from psycopg.types.json import Jsonb

from services.storage.collection_spaces import enter
from services.storage.spaces import Space
from waybill.runtime.errors import Conflict, NotFound
from waybill.runtime.postgres import Connection

# The published version of a document, and whether it is whole and was made from this content in this way.
CURRENT = """
select documents.document_id, version_id, chunk_count, run_id,
    (source_sha256, recipe, space_id) = (%(source_sha256)s, %(recipe)s, %(space_id)s)
        and vector_count >= chunk_count as unchanged,
    documents.metadata = coalesce(%(metadata)s, documents.metadata)
        and origin = coalesce(%(origin)s, origin) as described
from documents left join document_versions on version_id = current_version_id
where (collection, document_key) = (%(collection)s, %(document_key)s)
"""

# Makes the document where missing. The update takes the lock and gives the id.
ADD_DOCUMENT = """
insert into documents (tenant, collection, document_key, origin)
values (%(tenant)s, %(collection)s, %(document_key)s, coalesce(%(origin)s, ''))
on conflict (tenant, collection, document_key) do update
    set origin = coalesce(%(origin)s, documents.origin)
returning document_id
"""

# What is unchanged but for what is said of it has that at once; what nothing is said of stays.
DESCRIBE = """
update documents
set metadata = coalesce(%(metadata)s, metadata), origin = coalesce(%(origin)s, origin)
where document_id = %(document_id)s
"""

# A run begins one version of a document by a recipe, however often it says so. While it is built it may go
# over to another space: that of another model, or the one that its collection is searched in by now.
ADD_VERSION = """
insert into document_versions (
    tenant, document_id, run_id, source_sha256, recipe, space_id, metadata, keep_until)
values (
    %(tenant)s, %(document_id)s, %(run_id)s, %(source_sha256)s, %(recipe)s, %(space_id)s,
    coalesce(%(metadata)s, '{}'::jsonb), %(keep_until)s)
on conflict (document_id, run_id, recipe) do update
    set keep_until = greatest(document_versions.keep_until, excluded.keep_until),
        space_id = case document_versions.state
            when 'BUILDING' then excluded.space_id else document_versions.space_id end
"""

# The version that a run began, and whether its content was the same that it begins now.
BEGUN = """
select version_id, state, chunk_count, model, dimension, revision,
    case when state = 'PUBLISHED' then chunk_count - vector_count else 0 end as pending,
    source_sha256 = %(source_sha256)s as same
from document_versions join spaces using (space_id)
where (document_id, run_id, recipe) = (%(document_id)s, %(run_id)s, %(recipe)s)
"""

# A version, its space and its place.
FIND = """
select version_id, number, collection, state, space_id, model, dimension, revision
from document_versions join spaces using (space_id) join documents using (document_id)
where version_id = %s
"""

# Sharing the row's lock, writers work side by side, and who publishes or sweeps waits for them.
FIND_TO_WRITE = FIND + "for share of document_versions"


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a version is to be made of.

    Attributes:
        recipe: Names how content becomes chunks.
        run_id: The run that builds it.
        metadata: What searches may filter by.
        origin: Where it comes from, such as a folder.
        keep_until: Not given up before then.
    """

    collection: str
    document_key: str
    source_sha256: str
    recipe: str
    space: Space
    run_id: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    origin: str = ""
    keep_until: datetime.datetime | None = None


@dataclass(frozen=True, slots=True)
class Begun:
    """What beginning found. Ids are empty where nothing was written and nothing was there.

    Attributes:
        unchanged: The published version is the same.
        published: The version of this run is, or was until another replaced it.
        pending: Chunks of that version without a vector.
        space: Of that version: what it lacks is of this one, whichever the run begins in now.
        described: Unchanged too is what is said of it: metadata and origin.
        run_id: Of what is unchanged, the run that made it.
    """

    unchanged: bool
    document_id: str = ""
    version_id: str = ""
    chunk_count: int = 0
    described: bool = True
    published: bool = False
    pending: int = 0
    run_id: str = ""
    space: Space | None = None

    @property
    def settled(self) -> bool:
        """Whether it takes no chunks: the same, or this very version, is published."""
        return self.unchanged or self.published


@dataclass(frozen=True, slots=True)
class Version:
    """A version that can be filled or read; `number` is its name in postings."""

    version_id: uuid.UUID
    number: int
    collection: str
    state: str
    space_id: int
    space: Space


async def begin(connection: Connection, tenant: str, wanted: Beginning, *, validate_only: bool) -> Begun:
    """Begins a version, or says that the published one is the same already.

    Raises:
        Precondition: SPACE_UNKNOWN, SPACE_MOVED.
        Conflict: RUN_ID_REUSED.
    """
    values: dict[str, Any] = {
        "tenant": tenant,
        "collection": wanted.collection,
        "document_key": wanted.document_key,
        "source_sha256": wanted.source_sha256,
        "recipe": wanted.recipe,
        "run_id": wanted.run_id,
        "metadata": Jsonb(dict(wanted.metadata)) if wanted.metadata else None,
        "origin": wanted.origin or None,
        "keep_until": wanted.keep_until,
        "space_id": (await enter(connection, tenant, wanted.collection, wanted.space)).space_id,
    }
    found = await (await connection.execute(CURRENT, values)).fetchone()
    # The run that made the published version only repeats itself.
    if found and found["unchanged"] and found["run_id"] != wanted.run_id:
        described = found["described"]
        if not described and not validate_only:
            await connection.execute(DESCRIBE, values | {"document_id": found["document_id"]})
            described = True
        ids = str(found["document_id"]), str(found["version_id"])
        return Begun(True, *ids, found["chunk_count"], described, run_id=found["run_id"])
    if validate_only:
        return Begun(False, str(found["document_id"]) if found else "")
    return await _begin(connection, values)


async def find(connection: Connection, version_id: str, *, to_write: bool) -> Version:
    """A version that has its content; one to write to is not published or swept meanwhile.

    Raises:
        NotFound: VERSION_NOT_FOUND.
    """
    query = FIND_TO_WRITE if to_write else FIND
    row = await (await connection.execute(query, [parse(version_id)])).fetchone()
    if row is None or row["state"] in ("ABANDONED", "SWEPT"):
        raise not_found()
    space = Space(row["model"], row["dimension"], row["revision"])
    return Version(row["version_id"], row["number"], row["collection"], row["state"], row["space_id"], space)


def parse(version_id: str) -> uuid.UUID:
    """A version's id; text that is none names no version."""
    try:
        return uuid.UUID(version_id)
    except ValueError:
        raise not_found() from None


def not_found() -> NotFound:
    """The error for an id that names nothing of this tenant's."""
    return NotFound(
        "VERSION_NOT_FOUND", "No version of this id. Begin one: it may be abandoned, replaced or not yours."
    )


async def _begin(connection: Connection, values: dict[str, Any]) -> Begun:
    document = await (await connection.execute(ADD_DOCUMENT, values)).fetchone()
    assert document is not None
    values = values | document
    await connection.execute(ADD_VERSION, values)
    version = await (await connection.execute(BEGUN, values)).fetchone()
    assert version is not None
    if not version["same"]:
        raise Conflict(
            "RUN_ID_REUSED",
            "This run began this document with other content. Use a new run.",
        )
    ids = str(document["document_id"]), str(version["version_id"])
    published = version["state"] in ("PUBLISHED", "SUPERSEDED", "SWEPT")
    space = Space(version["model"], version["dimension"], version["revision"]) if published else None
    return Begun(
        False, *ids, version["chunk_count"], published=published, pending=version["pending"], space=space
    )
