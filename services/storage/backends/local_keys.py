"""The keys of the tenants whose objects were listed, in byte order: a page costs no look at all other files.

The folder has no other writer, so what is in memory is kept true by the puts and deletes of this process.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right, insort
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from itertools import islice, takewhile

MOST_TENANTS = 256


class Keys:
    """Keys by tenant; of the tenants listed last, at most 256. Its methods block.

    Args:
        scan: All keys of a tenant, read from the disk.
    """

    def __init__(self, scan: Callable[[str], Iterable[str]]) -> None:
        self._scan = scan
        self._lock = threading.Lock()
        self._tenants: OrderedDict[str, _Tenant] = OrderedDict()

    def changed(self, tenant: str, key: str, there: bool) -> None:
        """Notes a put or a delete. For one key, they are told in their order, after the disk has them."""
        with self._lock:
            if (known := self._tenants.get(tenant)) is not None:
                known.change(key, there)

    def behind(self, tenant: str, prefix: str, after: str, limit: int) -> Sequence[str]:
        """The first keys that begin with `prefix` and come after `after`."""
        with self._lock:
            known = self._tenants.setdefault(tenant, _Tenant())
            self._tenants.move_to_end(tenant)
            if len(self._tenants) > MOST_TENANTS:
                self._tenants.popitem(last=False)
        with known.scanning:
            if known.keys is None:
                found = set(self._scan(tenant))
                with self._lock:
                    known.begin(found)
        with self._lock:
            return known.behind(prefix, after, limit)


class _Tenant:
    def __init__(self) -> None:
        self.scanning = threading.Lock()
        self.keys: list[str] | None = None
        # What changed while the disk was read, which may or may not have shown it.
        self._meanwhile: dict[str, bool] = {}

    def begin(self, found: set[str]) -> None:
        for key, there in self._meanwhile.items():
            (found.add if there else found.discard)(key)
        self.keys = sorted(found)

    def change(self, key: str, there: bool) -> None:
        if self.keys is None:
            self._meanwhile[key] = there
            return
        place = bisect_left(self.keys, key)
        known = self.keys[place : place + 1] == [key]
        if there and not known:
            insort(self.keys, key)
        elif known and not there:
            del self.keys[place]

    def behind(self, prefix: str, after: str, limit: int) -> Sequence[str]:
        assert self.keys is not None
        start = max(bisect_left(self.keys, prefix), bisect_right(self.keys, after))
        found = islice(self.keys, start, start + limit)
        return list(takewhile(lambda key: key.startswith(prefix), found))
