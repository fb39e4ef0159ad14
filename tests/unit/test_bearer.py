"""Callers' tokens: which are good, and what is said of those that are not."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from tests.issuer import AUDIENCE, ISSUER, LEGACY_SECRET, Issuer, Key, good_claims
from tests.waiting import until
from waybill.runtime.bearer import LEEWAY_SECONDS, MOST_CHARS, REMEMBERED, Tokens
from waybill.runtime.errors import Credential, Unavailable
from waybill.runtime.identity import Bearer
from waybill.runtime.jwks import KeySet

FLOOR_SECONDS = 0.05


def keys_of(issuer: Issuer, **more: Any) -> KeySet:
    return KeySet("", **{"fetch": issuer.jwks, "floor_seconds": FLOOR_SECONDS, **more})


def tokens_of(issuer: Issuer, now: Callable[[], float] = time.time, **more: Any) -> Tokens:
    config = dataclasses.replace(issuer.config, **more)
    return Tokens(config, keys_of(issuer), now)


async def refusal(tokens: Tokens, token: str) -> Credential:
    with pytest.raises(Credential) as caught:
        await tokens.verify(token)
    assert token not in caught.value.message
    return caught.value


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA"])
async def test_a_token_of_each_algorithm_says_tenant_subject_and_key(algorithm: str) -> None:
    issuer = Issuer([Key.made("k-1", algorithm)])
    assert await tokens_of(issuer).verify(issuer.token("acme", "u-7")) == Bearer("acme", "u-7", "k-1")


async def test_a_legacy_token_is_good_where_its_secret_is_known_and_nowhere_else() -> None:
    issuer = Issuer()
    token = jwt.encode(good_claims(), LEGACY_SECRET, "HS256")
    assert await tokens_of(issuer).verify(token) == Bearer("acme", "user-1", "HS256")
    assert (await refusal(tokens_of(issuer, secret=""), token)).reason == "TOKEN_INVALID"


def part(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def unsigned(issuer: Issuer, algorithm: str = "none") -> str:
    return f"{part({'alg': algorithm, 'kid': 'key-1'})}.{part(good_claims())}."


def by_public_key(issuer: Issuer, how: str) -> str:
    """An HS256 token whose secret is what everybody can read."""
    public = issuer.keys[0].private.public_key()
    if how == "jwk":
        secret = json.dumps(issuer.keys[0].public).encode()
    else:
        secret = public.public_bytes(
            getattr(serialization.Encoding, how), serialization.PublicFormat.SubjectPublicKeyInfo
        )
    signed = f"{part({'alg': 'HS256', 'kid': 'key-1', 'typ': 'JWT'})}.{part(good_claims())}"
    digest = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"


def of_another_key(issuer: Issuer) -> str:
    return issuer.token(key=Key.made("key-1"))


def tampered(issuer: Issuer) -> str:
    head, _, signature = issuer.token().split(".")
    return ".".join([head, part(good_claims("victim")), signature])


def with_header(issuer: Issuer, **header: Any) -> str:
    key = issuer.keys[0]
    return jwt.encode(good_claims(), key.private, key.algorithm, {"kid": key.key_id, **header})


def without_key_id(issuer: Issuer) -> str:
    return jwt.encode(good_claims(), issuer.keys[0].private, "ES256")


def in_the_wrong_algorithm(issuer: Issuer) -> str:
    """Signed well by RS256, under the id of an ES256 key."""
    return issuer.token(key=dataclasses.replace(Key.made("", "RS256"), key_id="key-1"))


REFUSED: dict[str, tuple[Callable[[Issuer], str], str]] = {
    "unsigned": (unsigned, "TOKEN_INVALID"),
    "unsigned, in capitals": (lambda it: unsigned(it, "None"), "TOKEN_INVALID"),
    "signed by the public key (PEM)": (lambda it: by_public_key(it, "PEM"), "TOKEN_INVALID"),
    "signed by the public key (DER)": (lambda it: by_public_key(it, "DER"), "TOKEN_INVALID"),
    "signed by the public key (JWK)": (lambda it: by_public_key(it, "jwk"), "TOKEN_INVALID"),
    "another algorithm than its key's": (in_the_wrong_algorithm, "TOKEN_INVALID"),
    "another key under the same id": (of_another_key, "TOKEN_INVALID"),
    "tampered with": (tampered, "TOKEN_INVALID"),
    "no key id": (without_key_id, "TOKEN_INVALID"),
    "a key id with a newline": (lambda it: with_header(it, kid="a\nb"), "TOKEN_INVALID"),
    "an unknown extension": (lambda it: with_header(it, crit=["x"], x=1), "TOKEN_INVALID"),
    "no token": (lambda _: "abc", "TOKEN_INVALID"),
    "no JSON": (lambda _: "YQ.YQ.YQ", "TOKEN_INVALID"),
    "JSON without end": (
        lambda _: f"{base64.urlsafe_b64encode(b'[' * 5000).decode()}.YQ.YQ",
        "TOKEN_INVALID",
    ),
    "not ASCII": (lambda _: "größe.größe.größe", "TOKEN_INVALID"),
    "unknown key": (lambda it: it.token(key=Key.made("key-9")), "TOKEN_KEY_UNKNOWN"),
    "expired": (lambda it: it.token(exp=int(time.time()) - 60), "TOKEN_EXPIRED"),
    "without an end": (lambda it: it.token(exp=None), "TOKEN_INVALID"),
    "an end that is no time": (lambda it: it.token(exp="soon"), "TOKEN_INVALID"),
    "an endless end": (lambda it: it.token(exp=float("inf")), "TOKEN_INVALID"),
    "not yet valid": (lambda it: it.token(nbf=int(time.time()) + 600), "TOKEN_NOT_YET_VALID"),
    "issued in the future": (lambda it: it.token(iat=int(time.time()) + 600), "TOKEN_NOT_YET_VALID"),
    "wrong issuer": (lambda it: it.token(iss="https://evil.example"), "TOKEN_ISSUER_WRONG"),
    "issuer's name and more": (lambda it: it.token(iss=f"{ISSUER}/"), "TOKEN_ISSUER_WRONG"),
    "no issuer": (lambda it: it.token(iss=None), "TOKEN_ISSUER_WRONG"),
    "wrong audience": (lambda it: it.token(aud="anon"), "TOKEN_AUDIENCE_WRONG"),
    "no audience": (lambda it: it.token(aud=None), "TOKEN_AUDIENCE_WRONG"),
    "no subject": (lambda it: it.token(sub=None), "TOKEN_INVALID"),
    "an empty subject": (lambda it: it.token(sub=""), "TOKEN_INVALID"),
    "half a character as subject": (lambda it: it.token(sub="\ud800"), "TOKEN_INVALID"),
    "no tenant": (lambda it: it.token(app_metadata={}), "TOKEN_TENANT_MISSING"),
    "no metadata": (lambda it: it.token(app_metadata=None), "TOKEN_TENANT_MISSING"),
    "tenant by the user's own word": (
        lambda it: it.token(app_metadata={}, user_metadata={"tenant": "victim"}),
        "TOKEN_TENANT_MISSING",
    ),
    "two tenants": (lambda it: it.token(app_metadata={"tenant": ["a", "b"]}), "TOKEN_TENANT_MISSING"),
    "a tenant's name with a path": (lambda it: it.token("../up"), "TOKEN_TENANT_MISSING"),
    "too long": (lambda it: it.token(filler="x" * MOST_CHARS), "TOKEN_TOO_LONG"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_a_token_that_is_not_good_is_refused_with_its_reason(case: str) -> None:
    issuer = Issuer()
    make, reason = REFUSED[case]
    tokens = tokens_of(issuer)
    assert (await tokens.verify(issuer.token())).tenant == "acme"
    assert (await refusal(tokens, make(issuer))).reason == reason


async def test_of_several_audiences_ours_is_enough() -> None:
    issuer = Issuer()
    assert (await tokens_of(issuer).verify(issuer.token(aud=["x", AUDIENCE]))).tenant == "acme"


async def test_the_tenant_is_the_first_claim_of_those_that_are_named() -> None:
    issuer = Issuer()
    paths = (("app_metadata", "tenant_id"), ("app_metadata", "tenant"), ("org",))
    tokens = tokens_of(issuer, tenant_claims=paths)
    both = issuer.token(app_metadata={"tenant": "b", "tenant_id": "a"}, org="c")
    assert (await tokens.verify(both)).tenant == "a"
    assert (await tokens.verify(issuer.token("b"))).tenant == "b"
    assert (await tokens.verify(issuer.token(app_metadata={}, org="c"))).tenant == "c"
    bad = issuer.token(app_metadata={"tenant_id": 7, "tenant": "b"})
    assert (await refusal(tokens, bad)).reason == "TOKEN_TENANT_MISSING"


async def test_a_token_ends_to_the_second_though_it_was_good_before() -> None:
    issuer, now = Issuer(), time.time()
    clock = [now]
    tokens = tokens_of(issuer, lambda: clock[0])
    token = issuer.token(exp=int(now) + 100)
    await tokens.verify(token)
    clock[0] = int(now) + 100 + LEEWAY_SECONDS - 0.5
    await tokens.verify(token)
    clock[0] = int(now) + 100 + LEEWAY_SECONDS
    assert (await refusal(tokens, token)).reason == "TOKEN_EXPIRED"


async def test_a_token_that_is_not_valid_yet_becomes_so_by_the_clock_alone() -> None:
    issuer, now = Issuer(), time.time()
    clock = [now]
    tokens = tokens_of(issuer, lambda: clock[0])
    token = issuer.token(nbf=int(now) + 100)
    assert (await refusal(tokens, token)).reason == "TOKEN_NOT_YET_VALID"
    clock[0] = int(now) + 100 - LEEWAY_SECONDS
    await tokens.verify(token)


async def test_a_good_token_is_verified_once_and_only_so_many_are_remembered() -> None:
    issuer = Issuer()
    tokens = tokens_of(issuer)
    first = issuer.token()
    for _ in range(3):
        await tokens.verify(first)
    assert len(tokens._known) == 1
    tokens._known = type(tokens._known)(
        (bytes([n % 256, n // 256]), next(iter(tokens._known.values()))) for n in range(REMEMBERED)
    )
    await tokens.verify(issuer.token(subject="another"))
    assert len(tokens._known) == REMEMBERED


async def test_a_key_that_was_taken_back_ends_its_tokens_though_they_were_good() -> None:
    old, new = Key.made("old"), Key.made("new")
    issuer, clock = Issuer([old]), [0.0]
    keys = keys_of(issuer, fresh_seconds=10.0, monotonic=lambda: clock[0])
    tokens = Tokens(issuer.config, keys)
    token = issuer.token(key=old)
    await tokens.verify(token)
    issuer.keys = [new]
    clock[0] = 11.0
    await until(lambda: not keys.present("old"))
    assert (await refusal(tokens, token)).reason == "TOKEN_KEY_UNKNOWN"


async def test_forged_keys_make_no_more_fetches_than_the_floor_allows() -> None:
    issuer, clock = Issuer(), [0.0]
    keys = keys_of(issuer, monotonic=lambda: clock[0])
    await keys.find("key-1")
    clock[0] = 1.0
    assert await asyncio.gather(*(keys.find(f"forged-{n}") for n in range(200))) == [None] * 200
    assert issuer.fetches == 2


async def test_one_forged_key_after_the_other_fetches_no_quicker_than_the_floor() -> None:
    issuer = Issuer()
    keys = keys_of(issuer)
    begun_at = time.monotonic()
    for number in range(20):
        assert await keys.find(f"forged-{number}") is None
    assert issuer.fetches <= (time.monotonic() - begun_at) / FLOOR_SECONDS + 1


async def test_while_the_issuer_is_out_of_reach_the_known_keys_hold() -> None:
    issuer, clock = Issuer(), [0.0]
    keys = keys_of(issuer, fresh_seconds=10.0, monotonic=lambda: clock[0])
    tokens = Tokens(issuer.config, keys)
    await tokens.verify(issuer.token())
    for broken in (b"<html>", b"[]", b'{"keys": 1}', b"[" * 100_000):
        issuer.document = broken
        clock[0] += 100.0
        assert (await tokens.verify(issuer.token(subject=f"u-{clock[0]}"))).tenant == "acme"
        with pytest.raises(Unavailable) as caught:
            await tokens.verify(issuer.token(key=Key.made("new")))
        assert caught.value.reason == "TOKEN_KEYS_UNAVAILABLE"
    assert (await tokens.verify(issuer.token())).tenant == "acme"


async def test_a_jwks_brings_only_keys_that_verify_signatures() -> None:
    issuer = Issuer()
    symmetric = {"kty": "oct", "kid": "s", "alg": "HS256", "k": "c2VjcmV0" * 8}
    others = [
        symmetric,
        {"kty": "EC", "kid": "e", "use": "enc"},
        {"kty": "?", "kid": "odd"},
        {"kty": "EC", "kid": 7},
        {"kty": "EC", "crv": "P-256", "kid": "numbers", "x": 1, "y": 2},
        {"kty": "RSA", "kid": "none", "n": None, "e": None},
    ]
    issuer.document = json.dumps({"keys": [*others, issuer.keys[0].public]}).encode()
    keys = keys_of(issuer)
    assert await keys.find("key-1")
    assert [keys.present(key_id) for key_id in ("s", "e", "odd", "7", "numbers", "none")] == [None] * 6


async def test_keys_are_read_by_http_without_following_elsewhere() -> None:
    with Issuer().served() as issuer:
        async with KeySet(issuer.url, floor_seconds=0.0).opened() as keys:
            assert await keys.find("key-1")
        with Issuer(issuer.keys).served() as elsewhere:
            issuer.status, issuer.location = 302, elsewhere.url
            with pytest.raises(Unavailable):
                await KeySet(issuer.url, floor_seconds=0.0).find("key-1")
            assert elsewhere.fetches == 0
