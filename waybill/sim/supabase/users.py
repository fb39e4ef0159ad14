"""Supabase Auth, as far as others need it: users' tokens, and the keys by which they are checked."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from waybill.sim.clock import Clock
from waybill.sim.replies import json_reply
from waybill.sim.routing import Call, Done, Route
from waybill.sim.supabase.errors import bad_token
from waybill.sim.supabase.policies import AUTHENTICATED
from waybill.sim.supabase.tokens import decoded

ES256, HS256, UNSIGNED = "ES256", "HS256", "none"
_CURVE = ec.SECP256R1()
_HALF = 2**255


class SigningKey:
    """One key pair of the project; a seed and a number make the same one again."""

    def __init__(self, seed: int, number: int) -> None:
        digest = hashlib.sha256(f"{seed} signing {number}".encode()).hexdigest()
        self.id = str(uuid.uuid5(uuid.NAMESPACE_OID, digest))
        self.private = ec.derive_private_key(int(digest, 16) % _HALF + 1, _CURVE)

    def public(self) -> dict[str, Any]:
        """As JSON Web Key."""
        key = ECAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        return {**key, "alg": ES256, "kid": self.id, "use": "sig", "key_ops": ["verify"], "ext": True}


class Users:
    """Tokens of users, by the key in use; the keys before it are still good until they are revoked.

    Args:
        secret: The legacy one, for HS256.
        address: The project's.
    """

    def __init__(self, seed: int, secret: str, clock: Clock, address: Callable[[], str]) -> None:
        self._seed, self._secret, self._clock, self._address = seed, secret, clock, address
        self._made = 1
        self._keys = [SigningKey(seed, 0)]

    def routes(self) -> list[Route]:
        """Which request asks for the keys."""
        return [Route("GET", "/auth/v1/.well-known/jwks.json", "auth.jwks", self.keys)]

    async def keys(self, _: Call) -> Done:
        """GET /auth/v1/.well-known/jwks.json: the key in use first."""
        body = {"keys": [key.public() for key in reversed(self._keys)]}
        return Done(json_reply(body, headers={"cache-control": "public, max-age=600"}))

    def rotate(self, revoke: bool = False) -> Mapping[str, str]:
        """Another key signs from now on.

        Args:
            revoke: Those before it are good no more.
        """
        made = SigningKey(self._seed, self._made)
        self._made += 1
        self._keys = [made] if revoke else [*self._keys, made]
        return {"kid": made.id}

    def token(
        self,
        tenant: str = "",
        subject: str = "",
        seconds: float = 3600,
        role: str = AUTHENTICATED,
        algorithm: str = ES256,
        kid: str = "",
        claims: Mapping[str, Any] | None = None,
    ) -> Mapping[str, str]:
        """A user's token.

        Args:
            tenant: In `app_metadata`, where no user writes; none is said where it is empty.
            subject: The user's id; made of the tenant where it is empty.
            seconds: From now until it expires.
            algorithm: ES256, HS256 by the legacy secret, or `none`.
            kid: What the token says of its key, in place of the truth.
            claims: More, or others; None takes one away.
        """
        now = int(self._clock.now())
        meant: dict[str, Any] = {
            "iss": f"{self._address()}/auth/v1",
            "sub": subject or str(uuid.uuid5(uuid.NAMESPACE_OID, f"user of {tenant}")),
            "aud": AUTHENTICATED,
            "role": role,
            "iat": now,
            "exp": now + int(seconds),
            "app_metadata": {"provider": "email", **({"tenant": tenant} if tenant else {})},
            "user_metadata": {},
            "aal": "aal1",
            "is_anonymous": False,
            **(claims or {}),
        }
        meant = {name: value for name, value in meant.items() if value is not None}
        key = self._keys[-1]
        by: Any = {ES256: key.private, HS256: self._secret, UNSIGNED: None}[algorithm]
        head = {"kid": kid or key.id} if algorithm == ES256 or kid else None
        return {"token": jwt.encode(meant, by, algorithm, head)}

    def claims(self, token: str) -> Mapping[str, Any]:
        """Of a good token, or of a legacy key.

        Raises:
            Refused: It is no token, has expired, or no key of ours signed it.
        """
        try:
            head = jwt.get_unverified_header(token)
        except jwt.InvalidTokenError as error:
            raise bad_token() from error
        if head.get("alg") != ES256:
            return decoded(token, self._secret, HS256, self._clock)
        named = [key for key in self._keys if key.id == head.get("kid")]
        if not named:
            raise bad_token("no applicable key found in the JSON Web Key Set")
        return decoded(token, named[0].private.public_key(), ES256, self._clock)
