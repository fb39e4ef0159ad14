"""Supabase Storage over a real socket."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from waybill.sim import routing
from waybill.sim.faults import Fault
from waybill.sim.ids import Ids
from waybill.sim.keys import Account
from waybill.sim.routing import Call, Done, Route
from waybill.sim.simulator import Simulator, Vendor
from waybill.sim.supabase import catalogue, errors, gateway, probes
from waybill.sim.supabase.bodies import Bodies
from waybill.sim.supabase.buckets import Buckets
from waybill.sim.supabase.copying import Copying
from waybill.sim.supabase.gateway import Gateway
from waybill.sim.supabase.links import Signing
from waybill.sim.supabase.listing import Listing
from waybill.sim.supabase.policies import POLICIES, Caller
from waybill.sim.supabase.reading import Reading
from waybill.sim.supabase.resumable import Resumable
from waybill.sim.supabase.rows import Bucket, Rows
from waybill.sim.supabase.settings import SupabaseSettings
from waybill.sim.supabase.store import Store
from waybill.sim.supabase.tokens import Links
from waybill.sim.supabase.uploads import Uploads
from waybill.sim.supabase.users import Users
from waybill.sim.wire import Reply, Request

_STARTS = 2**32
_ROWS = "rows.sqlite"


class SupabaseSimulator(Simulator):
    """One running simulator; `simulator` makes it."""

    def __init__(self, settings: SupabaseSettings, port: int, control_port: int) -> None:
        data = _ours(settings.data) if settings.data else None
        vendor = Vendor(
            key_prefix=gateway.KEY_PREFIXES,
            prices={},
            scopes=catalogue.SCOPES,
            default_scope="*",
            transport=catalogue.TRANSPORT,
            secret_headers=gateway.SECRET_HEADERS,
        )
        super().__init__(vendor, settings, port, control_port)
        folder = data or _ours(self.folder / "data")
        self._rows = Rows(folder / _ROWS)
        ids = Ids(settings.seed * _STARTS + self._rows.start())
        bodies, most = Bodies(folder, self._rows.versions()), settings.most_object_bytes
        self._store = store = Store(self._rows, bodies, ids, self.clock, settings.policy, most)
        self._first_bucket(settings.bucket)
        self.links = links = Links(settings.jwt_secret, self.clock)
        self.users = Users(settings.seed, settings.jwt_secret, self.clock, lambda: self.url)
        self._gateway = Gateway(self.keys, self.users.claims)
        self._foreign = self.host(_somebody_elses())
        reading, uploads = Reading(store), Uploads(store)
        parts = (
            self.users,
            Buckets(store),
            Signing(store, links, reading, uploads, settings.upload_link_seconds),
            Resumable(
                store,
                links,
                folder / "resumable",
                settings.resumable_seconds,
                settings.strict_parts,
                lambda: self.foreign_url,
            ),
            Copying(store),
            Listing(store),
            reading,
            uploads,
        )
        self.routes = [*probes.routes(), *(route for part in parts for route in part.routes())]

    @property
    def foreign_url(self) -> str:
        """A host of somebody else, which must see no key."""
        return f"http://127.0.0.1:{self._foreign.port}"

    @property
    def controls(self) -> Mapping[str, Callable[..., object]]:
        """Users' tokens, and the keys that sign them and links; and whose objects users have."""
        return {
            "/token": self.users.token,
            "/rotate": self.users.rotate,
            "/links": self.links.rotate,
            "/policy": self._obey,
        }

    def authorize(self, request: Request) -> Account:
        """Whom a request acts for."""
        found = routing.find(self.routes, request)
        return self._gateway.admit(request, found[0].name) if found else Caller("")

    def key(self, request: Request) -> str:
        """The key or the token."""
        return gateway.sent_key(request)

    def refusal(self, fault: Fault) -> Reply | None:
        """As the gateway or storage writes it."""
        return catalogue.refusal(fault, self.foreign_url)

    def spoiled(self, fault: Fault, reply: Reply) -> Reply:
        """Broken on the way, or wrong in its content."""
        return catalogue.spoiled(fault, super().spoiled(fault, reply))

    def unknown(self, request: Request) -> Reply:
        """404, in a form of its own."""
        return errors.no_route(request.method, request.path.removeprefix("/storage/v1")).reply

    async def _close(self) -> None:
        await super()._close()
        self._rows.close()

    def _obey(self, name: str) -> None:
        """Another policy, by its name."""
        if name not in POLICIES:
            raise ValueError(f"no policy is called {name!r}; there are {', '.join(POLICIES)}")
        self._store.policy = POLICIES[name]

    def _first_bucket(self, name: str) -> None:
        now = self.clock.now()
        if name and self._rows.bucket(name) is None:
            self._rows.keep_bucket(Bucket(name, False, None, None, now, now))


def _ours(folder: Path) -> Path:
    """A project's folder, made where there is none.

    Raises:
        ValueError: Something else is in it, of which this must delete nothing.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()) and not (folder / _ROWS).exists():
        raise ValueError(f"{folder} is neither empty nor a simulated project; name another folder")
    return folder


def _somebody_elses() -> list[Route]:
    """A host that takes every request and answers none; what is sent there is in the journal."""

    async def answer(_: Call) -> Done:
        return Done(Reply(404))

    methods = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
    return [Route(method, "/{path...}", "foreign", answer, streamed=True) for method in methods]


def simulator(
    settings: SupabaseSettings | None = None, port: int = 0, control_port: int = 0
) -> SupabaseSimulator:
    """A simulator on loopback ports, free ones where none are named, while its block runs."""
    return SupabaseSimulator(settings or SupabaseSettings(), port, control_port)
