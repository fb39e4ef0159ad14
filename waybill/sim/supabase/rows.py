"""The project's tables, in a file beside its objects: what is written stays over a restart."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS buckets (
    id TEXT PRIMARY KEY, public INTEGER, size_limit INTEGER, types TEXT, created REAL, updated REAL
);
CREATE TABLE IF NOT EXISTS objects (
    bucket TEXT, name TEXT, id TEXT, version TEXT, size INTEGER, etag TEXT, content_type TEXT,
    cache_control TEXT, metadata TEXT, created REAL, updated REAL, PRIMARY KEY (bucket, name)
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Bucket:
    """One bucket.

    Args:
        size_limit: Bytes of an object; None is the project's limit.
        types: Content types that it takes, `image/*` among them; None is any.
    """

    id: str
    public: bool
    size_limit: int | None
    types: tuple[str, ...] | None
    created: float
    updated: float

    def body(self) -> dict[str, Any]:
        """Supabase's JSON."""
        return {
            "id": self.id,
            "name": self.id,
            "owner": "",
            "public": self.public,
            "file_size_limit": self.size_limit,
            "allowed_mime_types": self.types,
            "created_at": stamp(self.created),
            "updated_at": stamp(self.updated),
        }


@dataclass(frozen=True)
class Object:
    """One object; a version names its bytes.

    Args:
        etag: With its quotes.
        metadata: The user's; None where a resumable upload told none.
    """

    bucket: str
    name: str
    id: str
    version: str
    size: int
    etag: str
    content_type: str
    cache_control: str
    metadata: Mapping[str, Any] | None
    created: float
    updated: float

    def row(self, name: str = "") -> dict[str, Any]:
        """Supabase's JSON, as lists have it.

        Args:
            name: What it is called there.
        """
        return {
            "name": name or self.name,
            "id": self.id,
            "updated_at": stamp(self.updated),
            "created_at": stamp(self.created),
            "last_accessed_at": stamp(self.updated),
            "metadata": {
                "eTag": self.etag,
                "size": self.size,
                "mimetype": self.content_type,
                "cacheControl": self.cache_control,
                "lastModified": stamp(self.updated),
                "contentLength": self.size,
                "httpStatusCode": 200,
            },
        }

    def whole_row(self) -> dict[str, Any]:
        """Supabase's JSON, as it is answered for one row."""
        rest = {"bucket_id": self.bucket, "version": self.version, "user_metadata": self.metadata}
        return {**self.row(), **rest, "owner": "", "owner_id": ""}

    def info(self) -> dict[str, Any]:
        """Supabase's JSON, as `object/info` has it."""
        return {
            "id": self.id,
            "name": self.name,
            "version": self.version,
            "bucket_id": self.bucket,
            "size": self.size,
            "content_type": self.content_type,
            "cache_control": self.cache_control,
            "etag": self.etag,
            "metadata": self.metadata,
            "last_modified": stamp(self.updated),
            "created_at": stamp(self.created),
        }


def stamp(seconds: float) -> str:
    """ISO 8601 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Rows:
    """Buckets and objects."""

    def __init__(self, path: Path) -> None:
        # Made by whoever makes the simulator, used by the thread that it runs in: one at a time.
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    def start(self) -> int:
        """Which start of this project it is, from 0."""
        [number] = self._db.execute("PRAGMA user_version").fetchone()
        self._db.execute(f"PRAGMA user_version = {number + 1}")
        return int(number)

    def bucket(self, name: str) -> Bucket | None:
        """One bucket."""
        found = self._db.execute("SELECT * FROM buckets WHERE id = ?", (name,)).fetchone()
        return _bucket(found) if found else None

    def buckets(self) -> list[Bucket]:
        """All of them, by name."""
        return [_bucket(row) for row in self._db.execute("SELECT * FROM buckets ORDER BY id")]

    def keep_bucket(self, one: Bucket) -> None:
        """Adds or changes one."""
        types = None if one.types is None else json.dumps(one.types)
        values = (one.id, one.public, one.size_limit, types, one.created, one.updated)
        self._db.execute("INSERT OR REPLACE INTO buckets VALUES (?, ?, ?, ?, ?, ?)", values)

    def drop_bucket(self, name: str) -> None:
        """Takes one away."""
        self._db.execute("DELETE FROM buckets WHERE id = ?", (name,))

    def object(self, bucket: str, name: str) -> Object | None:
        """One object."""
        found = self._db.execute("SELECT * FROM objects WHERE (bucket, name) = (?, ?)", (bucket, name))
        row = found.fetchone()
        return _object(row) if row else None

    def objects(self, bucket: str, prefix: str = "", after: str = "") -> Iterator[Object]:
        """Those whose names begin so and come later, in byte order of their names."""
        rows = self._db.execute(
            "SELECT * FROM objects WHERE bucket = ? AND name > ? AND name >= ? ORDER BY name",
            (bucket, after, prefix),
        )
        for one in map(_object, rows):
            if not one.name.startswith(prefix):
                return
            yield one

    def keep(self, one: Object) -> Object | None:
        """Adds or replaces an object, and returns the one that was there."""
        old = self.object(one.bucket, one.name)
        values = (
            *(one.bucket, one.name, one.id, one.version, one.size, one.etag, one.content_type),
            *(one.cache_control, json.dumps(one.metadata), one.created, one.updated),
        )
        self._db.execute(f"INSERT OR REPLACE INTO objects VALUES ({', '.join('?' * len(values))})", values)  # noqa: S608 - only placeholders are joined
        return old

    def drop(self, one: Object) -> None:
        """Takes one away."""
        self._db.execute("DELETE FROM objects WHERE (bucket, name) = (?, ?)", (one.bucket, one.name))

    def versions(self) -> set[str]:
        """Of all objects."""
        return {version for (version,) in self._db.execute("SELECT version FROM objects")}


def _bucket(row: tuple[Any, ...]) -> Bucket:
    name, public, limit, types, created, updated = row
    return Bucket(name, bool(public), limit, tuple(json.loads(types)) if types else None, created, updated)


def _object(row: tuple[Any, ...]) -> Object:
    *fields, metadata, created, updated = row
    bucket, name, own_id, version, size, etag, content_type, cache_control = fields
    return Object(
        bucket=bucket,
        name=name,
        id=own_id,
        version=version,
        size=size,
        etag=etag,
        content_type=content_type,
        cache_control=cache_control,
        metadata=json.loads(metadata),
        created=created,
        updated=updated,
    )
