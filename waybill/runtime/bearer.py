"""Callers' JSON Web Tokens: verified here, in every service alike.

The algorithm is the key's, never the token's word: a public key is no HS256 secret, and `none` is refused.
"""

from __future__ import annotations

import hashlib
import math
import re
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import jwt

from waybill.runtime.auth_settings import TokenConfig
from waybill.runtime.errors import Credential
from waybill.runtime.identity import Bearer, is_tenant
from waybill.runtime.jwks import ALGORITHMS, KeySet

MOST_CHARS = 8_192
MOST_SUBJECT_CHARS = 255
# What two machines' clocks may differ by.
LEEWAY_SECONDS = 10.0
# Tokens that were good and need no verifying again.
REMEMBERED = 4_096
LEGACY = "HS256"
_KEY_ID = re.compile(r"[\x21-\x7e]{1,128}")
# Times are checked by our own clock, once more for each call.
_OPTIONS: Any = {
    "require": ["exp", "iss", "aud", "sub"],
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
}
_AGAIN = "Sign in again and send the fresh one."


@dataclass(frozen=True, slots=True)
class _Good:
    """A token whose signature and claims hold."""

    bearer: Bearer
    key: jwt.PyJWK | None
    begins_at: float
    ends_at: float


class Tokens:
    """Verifies tokens; one that was good is known by its hash until it ends or its key goes.

    Args:
        config: What a token must be.
        keys: The public keys.
        now: Seconds since 1970.
    """

    def __init__(self, config: TokenConfig, keys: KeySet, now: Callable[[], float] = time.time) -> None:
        self._config, self._keys, self._now = config, keys, now
        self._known: OrderedDict[bytes, _Good] = OrderedDict()

    async def verify(self, token: str) -> Bearer:
        """Whose token it is.

        Raises:
            Credential: TOKEN_TOO_LONG, TOKEN_INVALID, TOKEN_KEY_UNKNOWN, TOKEN_ISSUER_WRONG,
                TOKEN_AUDIENCE_WRONG, TOKEN_EXPIRED, TOKEN_NOT_YET_VALID, TOKEN_TENANT_MISSING.
            Unavailable: TOKEN_KEYS_UNAVAILABLE.
        """
        if len(token) > MOST_CHARS:
            raise Credential(
                "TOKEN_TOO_LONG",
                f"The token has {len(token)} characters; the most is {MOST_CHARS}. Leave claims out.",
            )
        digest = hashlib.sha256(token.encode()).digest()
        good = self._known.get(digest)
        if good is None or (good.key and self._keys.present(good.bearer.credential_id) is not good.key):
            good = await self._verified(token)
            self._known[digest] = good
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        self._check_time(good, digest)
        return good.bearer

    def _check_time(self, good: _Good, digest: bytes) -> None:
        now = self._now()
        if now >= good.ends_at + LEEWAY_SECONDS:
            self._known.pop(digest, None)
            raise Credential("TOKEN_EXPIRED", f"The token has expired. {_AGAIN}")
        if now < good.begins_at - LEEWAY_SECONDS:
            raise Credential(
                "TOKEN_NOT_YET_VALID", "The token is not valid yet. Send it later, or set the clocks right."
            )

    async def _verified(self, token: str) -> _Good:
        key_id, key = await self._key_of(token)
        claims = self._claims(token, key)
        times = {name: _moment(claims, name) for name in ("exp", "nbf", "iat")}
        ends_at = times["exp"]
        if ends_at is None:
            raise _invalid("has no time at which it ends")
        subject = claims["sub"]
        if not (subject and len(subject) <= MOST_SUBJECT_CHARS and subject.isprintable()):
            raise _invalid("has no `sub` that can be kept")
        return _Good(
            Bearer(self._tenant(claims), subject, key_id or LEGACY),
            key if isinstance(key, jwt.PyJWK) else None,
            max(times["nbf"] or 0.0, times["iat"] or 0.0),
            ends_at,
        )

    async def _key_of(self, token: str) -> tuple[str, jwt.PyJWK | str]:
        """The key that the token must be signed by, with its id."""
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, RecursionError):
            raise _invalid("is no JSON Web Token") from None
        algorithm, key_id = header.get("alg"), header.get("kid", "")
        if algorithm == LEGACY and self._config.secret:
            if key_id and not _KEY_ID.fullmatch(key_id):
                raise _invalid("has a `kid` that is none")
            return key_id, self._config.secret
        if algorithm not in ALGORITHMS:
            raise _invalid(f"must be signed by one of {', '.join(sorted(ALGORITHMS))}")
        if not _KEY_ID.fullmatch(key_id):
            raise _invalid("has no `kid` that could name its key")
        key = await self._keys.find(key_id)
        if key is None:
            raise Credential("TOKEN_KEY_UNKNOWN", f"The token's key is not among the issuer's. {_AGAIN}")
        return key_id, key

    def _claims(self, token: str, key: jwt.PyJWK | str) -> Mapping[str, Any]:
        algorithm = key.algorithm_name if isinstance(key, jwt.PyJWK) else LEGACY
        audience, issuer = self._config.audience, self._config.issuer
        try:
            return jwt.decode(token, key, [algorithm], _OPTIONS, audience=audience, issuer=issuer)
        except (jwt.PyJWTError, ValueError, RecursionError) as error:
            raise _refusal(error, self._config) from None

    def _tenant(self, claims: Mapping[str, Any]) -> str:
        for path in self._config.tenant_claims:
            value: Any = claims
            for step in path:
                value = value.get(step) if isinstance(value, Mapping) else None
            if isinstance(value, str) and is_tenant(value):
                return value
            if value is not None:
                break
        names = " or ".join(".".join(path) for path in self._config.tenant_claims)
        raise Credential(
            "TOKEN_TENANT_MISSING",
            f"The token names no tenant in {names}. Set it with your identity provider, then sign in again.",
        )


@asynccontextmanager
async def verifying(config: TokenConfig) -> AsyncIterator[Tokens]:
    """Verifies tokens for the length of a block."""
    async with KeySet(config.jwks_url).opened() as keys:
        yield Tokens(config, keys)


def _moment(claims: Mapping[str, Any], name: str) -> float | None:
    """A time claim in seconds since 1970, None where it is absent. Raises Credential."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _invalid(f"has an `{name}` that is no time")
    return float(value)


def _refusal(error: Exception, config: TokenConfig) -> Credential:
    """What PyJWT found wrong, as our error; its own text may hold what stands in the token."""
    missing = error.claim if isinstance(error, jwt.MissingRequiredClaimError) else ""
    if isinstance(error, jwt.InvalidIssuerError) or missing == "iss":
        return Credential("TOKEN_ISSUER_WRONG", f"The token is not of {config.issuer}. Sign in there.")
    if isinstance(error, jwt.InvalidAudienceError) or missing == "aud":
        return Credential("TOKEN_AUDIENCE_WRONG", f"The token is not for {config.audience!r}. {_AGAIN}")
    if missing:
        return _invalid(f"has no `{missing}`")
    if isinstance(error, jwt.InvalidSignatureError):
        return _invalid("has a signature that is not its key's")
    return _invalid("cannot be read")


def _invalid(what: str) -> Credential:
    return Credential("TOKEN_INVALID", f"The token {what}. {_AGAIN}")
