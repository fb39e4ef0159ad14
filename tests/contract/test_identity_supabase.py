"""Tokens of Supabase Auth: the simulated project signs them, turns its keys and goes away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from waybill.runtime.auth_settings import TokenConfig
from waybill.runtime.bearer import Tokens
from waybill.runtime.errors import Credential, Unavailable
from waybill.runtime.jwks import KeySet
from waybill.sim.remote import Remote

HOUR = 3600.0


@dataclass(frozen=True)
class Project:
    """The project, and a service that believes it."""

    remote: Remote
    tokens: Tokens
    clock: list[float]

    def token(self, tenant: str = "acme", **more: Any) -> str:
        return str(self.remote.change("/token", tenant=tenant, **more)["token"])

    async def refused(self, token: str) -> str:
        with pytest.raises(Credential) as caught:
            await self.tokens.verify(token)
        return caught.value.reason


@pytest.fixture
async def project(supabase_simulator: Remote) -> AsyncIterator[Project]:
    clock = [0.0]
    issuer = f"{supabase_simulator.base_url}/auth/v1"
    config = TokenConfig(issuer=issuer, audience="authenticated", jwks_url=f"{issuer}/.well-known/jwks.json")
    keys = KeySet(config.jwks_url, floor_seconds=0.0, fresh_seconds=HOUR, monotonic=lambda: clock[0])
    async with keys.opened():
        yield Project(supabase_simulator, Tokens(config, keys), clock)


async def test_a_users_token_says_tenant_subject_and_key(project: Project) -> None:
    bearer = await project.tokens.verify(project.token("acme", subject="user-7"))
    assert (bearer.tenant, bearer.subject) == ("acme", "user-7")
    assert bearer.credential_id


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"algorithm": "none"}, "TOKEN_INVALID"),
        ({"algorithm": "HS256"}, "TOKEN_INVALID"),
        ({"kid": "another"}, "TOKEN_KEY_UNKNOWN"),
        ({"seconds": -60}, "TOKEN_EXPIRED"),
        ({"tenant": ""}, "TOKEN_TENANT_MISSING"),
        ({"claims": {"aud": "anon"}}, "TOKEN_AUDIENCE_WRONG"),
        ({"claims": {"iss": "https://other.example/auth/v1"}}, "TOKEN_ISSUER_WRONG"),
        ({"claims": {"sub": None}}, "TOKEN_INVALID"),
    ],
)
async def test_a_token_that_is_not_good_is_refused(
    project: Project, more: dict[str, Any], reason: str
) -> None:
    await project.tokens.verify(project.token())
    project.clock[0] += 1.0
    assert await project.refused(project.token(**more)) == reason


async def test_keys_turn_and_those_that_are_revoked_are_refused_once_the_keys_are_read_again(
    project: Project,
) -> None:
    old = project.token()
    first = await project.tokens.verify(old)
    project.clock[0] += 1.0
    project.remote.change("/rotate")
    second = await project.tokens.verify(project.token())
    assert second.credential_id != first.credential_id
    assert await project.tokens.verify(old) == first
    project.clock[0] += 1.0
    project.remote.change("/rotate", revoke=True)
    await project.tokens.verify(project.token())
    assert await project.refused(old) == "TOKEN_KEY_UNKNOWN"


async def test_while_the_project_is_away_its_known_keys_hold_and_others_are_no_refusal(
    project: Project,
) -> None:
    await project.tokens.verify(project.token())
    another = project.token(subject="user-8")
    project.remote.change("/rotate")
    new = project.token()
    project.remote.faults.add("503:op=*")
    project.clock[0] += 2 * HOUR
    await project.tokens.verify(another)
    with pytest.raises(Unavailable) as caught:
        await project.tokens.verify(new)
    assert caught.value.reason == "TOKEN_KEYS_UNAVAILABLE"
    project.remote.faults.heal()
    project.clock[0] += 1.0
    assert (await project.tokens.verify(new)).tenant == "acme"
