"""What each role may do in the bucket by Storage's own API, with our policies, in one table.

Over the simulator, and over a server whose database has our migrations, where WAYBILL_LIVE_SUPABASE_URL, _KEY
and _JWT_SECRET name one.
"""

from __future__ import annotations

import base64
import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import jwt
import pytest

from tests.contract.makers_objects import LIVE_KEY, LIVE_URL
from waybill.sim.pytest_plugin import SUPABASE_KEY
from waybill.sim.remote import Remote
from waybill.sim.supabase.policies import by_tenant
from waybill.sim.supabase.settings import JWT_SECRET, SupabaseSettings

LIVE_SECRET = os.environ.get("WAYBILL_LIVE_SUPABASE_JWT_SECRET", "")
live = pytest.mark.skipif(not (LIVE_URL and LIVE_SECRET), reason="no server that takes tokens of ours")
TEXT = {"content-type": "text/plain"}
HIDDEN, DENIED = ("404", "NoSuchKey"), ("403", "AccessDenied")
Asks = Callable[..., httpx.Response]


@dataclass(frozen=True)
class Project:
    """A project with one object of each of two tenants."""

    url: str
    key: str
    secret: str
    mine: str
    theirs: str

    def signed_in(self, **claims: object) -> Asks:
        """A user with a token of these claims."""
        token = jwt.encode({"role": "authenticated", "exp": 4_000_000_000} | claims, self.secret, "HS256")
        return self.asking({"authorization": f"Bearer {token}"})

    def of_tenant(self, tenant: str) -> Asks:
        return self.signed_in(app_metadata={"tenant": tenant})

    def service(self) -> Asks:
        return self.asking({"apikey": self.key, "authorization": f"Bearer {self.key}"})

    def asking(self, headers: dict[str, str]) -> Asks:
        def ask(method: str, path: str, **more: dict[str, object]) -> httpx.Response:
            sent = {**headers, **more.pop("headers", {})}
            return httpx.request(method, f"{self.url}/{path}", headers=sent, timeout=20, **more)  # type: ignore[arg-type]

        return ask


@pytest.fixture
def supabase_simulator_settings() -> SupabaseSettings:
    return SupabaseSettings(latency_seconds=0, policy=by_tenant)


@pytest.fixture(params=["simulator", pytest.param("live", marks=live)])
def project(request: pytest.FixtureRequest) -> Iterator[Project]:
    tenants = (f"a-{uuid.uuid4()}", f"b-{uuid.uuid4()}")
    if request.param == "live":
        made = Project(LIVE_URL, LIVE_KEY, LIVE_SECRET, *tenants)
    else:
        remote: Remote = request.getfixturevalue("supabase_simulator")
        made = Project(f"{remote.base_url}/storage/v1", SUPABASE_KEY, JWT_SECRET, *tenants)
    service = made.service()
    for tenant in tenants:
        assert service("POST", f"object/waybill/{tenant}/1", headers=TEXT, content=b"one").status_code == 200
    yield made
    for tenant in tenants:
        left = listed(service, tenant)
        service("DELETE", "object/waybill", json={"prefixes": left or ["none"]})


def listed(ask: Asks, tenant: str) -> list[str]:
    answer = ask("POST", "object/list-v2/waybill", json={"prefix": f"{tenant}/"})
    return [one["name"] for one in answer.json()["objects"]]


def told(answer: httpx.Response) -> tuple[str, str]:
    body = answer.json()
    return body["statusCode"], body["code"]


def resumable(ask: Asks, key: str) -> httpx.Response:
    named = {"bucketName": "waybill", "objectName": key, "contentType": "text/plain"}
    pairs = (f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in named.items())
    headers = {"tus-resumable": "1.0.0", "upload-length": "3", "upload-metadata": ",".join(pairs)}
    return ask("POST", "upload/resumable", headers=headers)


def test_a_user_does_all_with_the_own_tenants_objects(project: Project) -> None:
    ask, one = project.of_tenant(project.mine), f"{project.mine}/1"
    assert ask("GET", f"object/waybill/{one}").content == b"one"
    again = {**TEXT, "x-upsert": "true"}
    assert ask("POST", f"object/waybill/{one}", headers=again, content=b"two").status_code == 200
    assert ask("POST", f"object/waybill/{project.mine}/2", headers=TEXT, content=b"x").status_code == 200
    assert ask("POST", f"object/sign/waybill/{one}", json={"expiresIn": 60}).status_code == 200
    assert ask("POST", f"object/upload/sign/waybill/{project.mine}/3").status_code == 200
    assert resumable(ask, f"{project.mine}/4").status_code == 201
    assert listed(ask, project.mine) == [one, f"{project.mine}/2"]
    assert ask("DELETE", f"object/waybill/{one}").status_code == 200


def test_a_user_neither_sees_nor_changes_another_tenants_objects(project: Project) -> None:
    ask, one = project.of_tenant(project.mine), f"{project.theirs}/1"
    assert listed(ask, project.theirs) == []
    for method, path in [("GET", f"object/waybill/{one}"), ("GET", f"object/info/waybill/{one}")]:
        assert told(ask(method, path)) == HIDDEN
    assert told(ask("POST", f"object/sign/waybill/{one}", json={"expiresIn": 60})) == HIDDEN
    for key in (f"{project.theirs}/2", f"{project.mine}2/1", project.mine):
        assert told(ask("POST", f"object/waybill/{key}", headers=TEXT, content=b"x")) == DENIED
        assert told(ask("POST", f"object/upload/sign/waybill/{key}")) == DENIED
        assert resumable(ask, key).status_code == 403
    again = {**TEXT, "x-upsert": "true"}
    assert told(ask("POST", f"object/waybill/{one}", headers=again, content=b"x")) == DENIED
    taken = {"bucketId": "waybill", "sourceKey": one, "destinationKey": f"{project.mine}/2"}
    given = {"bucketId": "waybill", "sourceKey": f"{project.mine}/1", "destinationKey": f"{project.theirs}/2"}
    assert told(ask("POST", "object/copy", json=taken)) == HIDDEN
    assert told(ask("POST", "object/copy", json=given)) == DENIED
    assert told(ask("POST", "object/move", json=given)) == DENIED
    assert ask("DELETE", "object/waybill", json={"prefixes": [one]}).json() == []
    assert project.service()("GET", f"object/waybill/{one}").content == b"one"


def test_a_token_without_a_tenant_and_no_token_at_all_open_nothing(project: Project) -> None:
    one = f"{project.mine}/1"
    for ask in (
        project.signed_in(),
        project.signed_in(app_metadata={"tenant": ""}),
        project.signed_in(user_metadata={"tenant": project.mine}),
        project.signed_in(role="anon", app_metadata={"tenant": project.mine}),
    ):
        assert listed(ask, project.mine) == []
        assert told(ask("GET", f"object/waybill/{one}")) == HIDDEN
        assert told(ask("POST", f"object/waybill/{project.mine}/2", headers=TEXT, content=b"x")) == DENIED
        assert ask("DELETE", "object/waybill", json={"prefixes": [one]}).json() == []


def test_the_claim_that_the_services_believe_first_counts_here_first(project: Project) -> None:
    ask = project.signed_in(app_metadata={"tenant_id": project.theirs, "tenant": project.mine})
    assert (listed(ask, project.mine), listed(ask, project.theirs)) == ([], [f"{project.theirs}/1"])
