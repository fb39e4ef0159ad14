"""Objects and who may touch them: what raw, multipart, signed and resumable uploads have in common."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

from waybill.sim.clock import Clock
from waybill.sim.ids import Ids
from waybill.sim.supabase import errors
from waybill.sim.supabase.bodies import Bodies, Received
from waybill.sim.supabase.policies import SERVICE_ROLE, Caller, Doing, Policy, Question
from waybill.sim.supabase.rows import Bucket, Object, Rows

_KEY = re.compile(r"[A-Za-z0-9_/!.*'() &$=@;:+,?-]+")
# What storage does in its own name, as for a link that was signed before.
SUPERUSER = Caller("", role=SERVICE_ROLE)


class Store:
    """One project's objects.

    Args:
        ids: Never the same over a restart, since the rows are kept.
        most_bytes: Of an object, whatever its bucket takes.
    """

    def __init__(
        self, rows: Rows, bodies: Bodies, ids: Ids, clock: Clock, policy: Policy, most_bytes: int
    ) -> None:
        self.rows, self.bodies = rows, bodies
        self.clock, self._ids, self.policy, self.most = clock, ids, policy, most_bytes

    def may(self, caller: Caller, doing: Doing, bucket: str, key: str = "") -> bool:
        """Whether a policy lets it."""
        return self.policy(Question(caller, doing, bucket, key))

    def bucket(self, name: str) -> Bucket:
        """A bucket, whoever asks; raises Refused where there is none."""
        bucket = self.rows.bucket(name)
        if bucket is None:
            raise errors.no_bucket()
        return bucket

    def object(self, caller: Caller, bucket: str, key: str) -> Object:
        """An object that the caller may see.

        Raises:
            Refused: There is none, or a policy hides it, which is the same answer.
        """
        check_key(key)
        found = self.rows.object(bucket, key)
        if found is None or not self.may(caller, Doing.SELECT, bucket, key):
            raise errors.no_object()
        return found

    def objects(self, caller: Caller, bucket: str, prefix: str, after: str = "") -> Iterator[Object]:
        """What the caller may see, by name; nothing of a bucket that does not exist."""
        for one in self.rows.objects(bucket, prefix, after):
            if self.may(caller, Doing.SELECT, bucket, one.name):
                yield one

    def most_bytes(self, bucket: Bucket) -> int:
        """Of an object in a bucket."""
        return min(self.most, bucket.size_limit or self.most)

    def check_upload(self, caller: Caller, bucket: str, key: str, upsert: bool, racing: bool = False) -> None:
        """Looks before an upload; what comes meanwhile it does not see, which is how two creates succeed.

        Args:
            racing: It sees no object either that is there.

        Raises:
            Refused: The key is no key, a policy forbids it, or an object is there that may not be replaced.
        """
        check_key(key)
        there = not racing and self.rows.object(bucket, key) is not None
        needed = [Doing.INSERT, *((Doing.SELECT, Doing.UPDATE) if upsert and there else ())]
        if not all(self.may(caller, doing, bucket, key) for doing in needed):
            raise errors.denied()
        if there and not upsert:
            raise errors.key_exists()

    def check_type(self, bucket: Bucket, kind: str) -> None:
        """Raises Refused where the bucket does not take a content type; its parameters are part of it."""
        family = f"{kind.partition('/')[0]}/*"
        if bucket.types and not {kind, family} & set(bucket.types):
            raise errors.bad_type(kind)

    def complete(self, bucket: str, key: str, received: Received) -> Object:
        """Makes what came the object; one that was there keeps its id, and its bytes go."""
        version, now = self.new_id(), self.clock.now()
        self.bodies.keep(received, version)
        there = self.rows.object(bucket, key)
        made = Object(
            bucket=bucket,
            name=key,
            id=there.id if there else self.new_id(),
            version=version,
            size=received.size,
            etag=received.etag,
            content_type=received.content_type,
            cache_control=received.cache_control,
            metadata=received.metadata,
            created=there.created if there else now,
            updated=now,
        )
        self.keep(made)
        return made

    def keep(self, made: Object) -> None:
        """Writes an object's row; the bytes that it had go."""
        old = self.rows.keep(made)
        if old and old.version != made.version:
            self.bodies.drop(old.version)

    def copy(self, one: Object, bucket: str, key: str) -> Object:
        """The same bytes under another key."""
        version, now = self.new_id(), self.clock.now()
        self.bodies.copy(one.version, version)
        there = self.rows.object(bucket, key)
        made = dataclasses.replace(
            one,
            bucket=bucket,
            name=key,
            id=there.id if there else self.new_id(),
            version=version,
            created=there.created if there else now,
            updated=now,
        )
        self.keep(made)
        return made

    def remove(self, one: Object) -> None:
        """Takes an object away, with its bytes."""
        self.rows.drop(one)
        self.bodies.drop(one.version)

    def new_id(self) -> str:
        """The next id."""
        return self._ids.uuid()


def check_key(key: str) -> None:
    """Raises Refused where it cannot be an object's name."""
    if not _KEY.fullmatch(key):
        raise errors.bad_key(key)
