"""JSON Web Tokens that the project itself signs: the legacy keys, and those in links."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import jwt
from jwt.types import Options

from waybill.sim.clock import Clock
from waybill.sim.supabase.errors import bad_link, bad_token, wrong_link

EXPIRED = '"exp" claim timestamp check failed'
_ISSUED, _EXPIRES = 1_700_000_000, 4_000_000_000
# Time is the simulator's, which is not PyJWT's; who a token is for is the reader's matter.
_OWN_CLOCK: Options = {"verify_exp": False, "verify_iat": False, "verify_nbf": False, "verify_aud": False}


def legacy_key(secret: str, role: str) -> str:
    """A key of the older kind: a token of a role, which lasts."""
    claims = {"iss": "supabase", "ref": "simulator", "role": role, "iat": _ISSUED, "exp": _EXPIRES}
    return jwt.encode(claims, secret, "HS256")


def decoded(token: str, key: Any, algorithm: str, clock: Clock) -> Mapping[str, Any]:
    """A token's claims.

    Raises:
        Refused: It is no token, not of this key, or has expired.
    """
    try:
        claims: Mapping[str, Any] = jwt.decode(token, key, [algorithm], _OWN_CLOCK)
    except jwt.InvalidSignatureError as error:
        raise bad_token("signature verification failed") from error
    except jwt.InvalidTokenError as error:
        raise bad_token() from error
    expires = claims.get("exp")
    if isinstance(expires, int | float) and clock.now() >= expires:
        raise bad_token(EXPIRED)
    return claims


class Use(StrEnum):
    """What a link is for."""

    DOWNLOAD = "download"
    UPLOAD = "upload"


class Links:
    """Tokens that stand in a URL; they say which object, what for, and until when."""

    def __init__(self, secret: str, clock: Clock) -> None:
        self._secret, self._clock, self._generation = secret, clock, 0

    def rotate(self) -> None:
        """Another key signs; every link so far is void."""
        self._generation += 1

    def sign(self, use: Use, url: str, seconds: int, **claims: object) -> str:
        """A token for an object, `bucket/key`."""
        now = int(self._clock.now())
        claims |= {"url": url, "scope": use.value, "iat": now, "exp": now + seconds}
        return jwt.encode(claims, self._key, "HS256")

    def read(self, use: Use, token: str, url: str, late_seconds: float = 0) -> Mapping[str, Any]:
        """A token's claims.

        Args:
            late_seconds: How far the clock that looks is ahead.

        Raises:
            Refused: It is none of ours, has expired, or is another object's or for another use.
        """
        try:
            claims: Mapping[str, Any] = jwt.decode(token, self._key, ["HS256"], _OWN_CLOCK)
        except jwt.InvalidSignatureError as error:
            raise bad_link("signature verification failed") from error
        except jwt.InvalidTokenError as error:
            raise bad_link("Invalid Compact JWS") from error
        if self._clock.now() + late_seconds >= claims["exp"]:
            raise bad_link(EXPIRED)
        if claims["scope"] != use.value:
            raise wrong_link(f"Token is not scoped for {use.value}")
        if claims["url"] != url:
            raise wrong_link()
        return claims

    @property
    def _key(self) -> str:
        return hashlib.sha256(f"{self._secret} {self._generation}".encode()).hexdigest()
