"""Users' tokens and the keys that check them, of the simulated Supabase."""

from __future__ import annotations

import json

import jwt

from tests.sim import raw
from tests.sim.hosted import ONE, PUBLISHABLE, STORAGE, client, told
from waybill.sim.supabase.settings import JWT_SECRET
from waybill.sim.supabase.simulator import SupabaseSimulator
from waybill.sim.supabase.tokens import legacy_key

KEYS = "/auth/v1/.well-known/jwks.json"


async def changed(sim: SupabaseSimulator, path: str, **values: object) -> dict[str, str]:
    """What the control port answers to a change."""
    seen = await raw.ask(sim.control_url, "POST", path, values)
    assert seen.status == 200, seen.body
    answer: dict[str, str] = json.loads(seen.body)
    return answer


async def published(sim: SupabaseSimulator) -> dict[str, jwt.PyJWK]:
    async with client(sim, key="") as http:
        keys = jwt.PyJWKSet.from_dict((await http.get(KEYS)).json())
    return {key.key_id: key for key in keys.keys if key.key_id}


async def test_a_users_token_is_checked_by_the_published_key(project: SupabaseSimulator) -> None:
    token = (await changed(project, "/token", tenant="t1"))["token"]
    keys = await published(project)
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(
        token, key, ["ES256"], {"verify_exp": False, "verify_iat": False}, audience="authenticated"
    )
    assert claims["app_metadata"]["tenant"] == "t1"
    assert claims["iss"] == f"{project.url}/auth/v1"


async def test_after_a_rotation_the_older_key_is_good_until_it_is_revoked(project: SupabaseSimulator) -> None:
    old = (await changed(project, "/token", tenant="t1"))["token"]
    kid = (await changed(project, "/rotate"))["kid"]
    assert set(await published(project)) == {kid, jwt.get_unverified_header(old)["kid"]}
    async with client(project, PUBLISHABLE, bearer=old) as http:
        assert (await http.get(f"{STORAGE}/health")).status_code == 200
        last = (await changed(project, "/rotate", revoke=True))["kid"]
        assert set(await published(project)) == {last}
        assert told(await http.get(f"{STORAGE}/health")) == (400, "403", "AccessDenied")


async def test_legacy_keys_and_users_have_their_roles(project: SupabaseSimulator) -> None:
    async with client(project, legacy_key(JWT_SECRET, "service_role")) as http:
        assert (await http.post(ONE, content=b"one")).status_code == 200
    async with client(project, legacy_key(JWT_SECRET, "anon")) as http:
        assert told(await http.get(ONE)) == (400, "404", "NoSuchKey")
    await changed(project, "/policy", name="tenant")
    for tenant, status in (("t1", 200), ("t2", 400)):
        token = (await changed(project, "/token", tenant=tenant))["token"]
        async with client(project, PUBLISHABLE, bearer=token) as http:
            assert (await http.get(ONE)).status_code == status
            assert (
                await http.post(f"{STORAGE}/object/waybill/t1/{tenant}", content=b"x")
            ).status_code == status


async def test_a_token_that_is_not_good_says_why_in_its_message_alone(project: SupabaseSimulator) -> None:
    told_why = {
        "expired": (await changed(project, "/token", seconds=-1))["token"],
        "unsigned": (await changed(project, "/token", algorithm="none"))["token"],
        "unknown key": (await changed(project, "/token", kid="nobody's"))["token"],
        "other secret": legacy_key(JWT_SECRET[::-1], "service_role"),
    }
    messages = set()
    for token in told_why.values():
        async with client(project, PUBLISHABLE, bearer=token) as http:
            refused = await http.post(ONE, content=b"one")
            assert told(refused) == (400, "403", "AccessDenied")
            messages.add(refused.json()["message"])
    assert len(messages) == len(told_why)
    stranger = (await changed(project, "/token", role="stranger"))["token"]
    async with client(project, PUBLISHABLE, bearer=stranger) as http:
        assert (await http.post(ONE, content=b"one")).status_code == 500
