"""Whom a server lets in without a JWT: what is believed of what a call says of itself."""

from __future__ import annotations

import dataclasses

import pytest

from tests.inprocess import someone
from waybill.runtime import identity
from waybill.runtime.errors import Credential
from waybill.runtime.identity import Door

SECRET, TOKEN = "s" * 40, "the-stacks-token"
WHO = dataclasses.replace(someone("acme"), subject="alice", credential_id="key-1")


@pytest.mark.parametrize("door", [Door(), Door(service_secret=SECRET)])
async def test_a_stranger_names_its_tenant_but_not_who_it_is(door: Door) -> None:
    who = await door.admit(identity.to_metadata(WHO))
    assert (who.tenant, who.subject, who.credential_id) == ("acme", "", "")


@pytest.mark.parametrize("door", [Door(None, SECRET), Door(None, SECRET, TOKEN)])
async def test_a_service_is_believed_in_all_it_says(door: Door) -> None:
    metadata = [*identity.to_metadata(WHO), *identity.shown(SECRET)]
    assert await door.admit(metadata) == WHO
    assert await door.admit(metadata, services_only=True) == WHO


async def test_the_stacks_token_opens_for_any_tenant_and_says_so() -> None:
    metadata = [*identity.to_metadata(WHO), *identity.bearing(TOKEN)]
    who = await Door(None, SECRET, TOKEN).admit(metadata)
    assert (who.tenant, who.subject, who.credential_id) == ("acme", "", "stack-token")


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        ([], "TOKEN_MISSING"),
        ([("authorization", "Bearer ")], "TOKEN_MISSING"),
        ([("authorization", TOKEN)], "TOKEN_MISSING"),
        ([("authorization", "Bearer größe")], "TOKEN_INVALID"),
        (identity.bearing(f"{TOKEN}x"), "TOKEN_INVALID"),
        (identity.bearing(SECRET), "TOKEN_INVALID"),
        (identity.shown(TOKEN), "SERVICE_SECRET_WRONG"),
    ],
)
async def test_who_shows_anything_else_is_refused(shown: list[tuple[str, str]], reason: str) -> None:
    with pytest.raises(Credential) as caught:
        await Door(None, SECRET, TOKEN).admit([("x-waybill-tenant", "acme"), *shown])
    assert caught.value.reason == reason
    assert not [secret for secret in (SECRET, TOKEN) if secret in caught.value.message]


async def test_what_is_for_services_alone_is_open_where_nobody_shows_anything() -> None:
    assert (await Door(None, SECRET).admit([], services_only=True)).tenant == identity.DEFAULT_TENANT
    with pytest.raises(Credential) as caught:
        await Door(None, SECRET, TOKEN).admit(identity.bearing(TOKEN), services_only=True)
    assert caught.value.reason == "SERVICES_ONLY"


def test_a_token_that_no_header_takes_is_told_before_it_is_sent() -> None:
    with pytest.raises(Credential) as caught:
        identity.bearing("two words")
    assert caught.value.reason == "TOKEN_INVALID"


def test_secrets_stay_out_of_what_is_printed() -> None:
    assert SECRET not in repr(Door(None, SECRET, TOKEN))
    assert TOKEN not in repr(Door(None, SECRET, TOKEN))
