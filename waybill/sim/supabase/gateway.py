"""From a request's key to the role it acts in: the gateway in front of storage, and storage's own look.

The gateway knows the opaque keys, `sb_…`, in the header `apikey`, and puts a role's token in their place. It
lets anything else by; storage then knows tokens alone, so that an opaque key as a bearer is no token there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from waybill.sim.keys import Keys, bearer, fingerprint
from waybill.sim.replies import Refused
from waybill.sim.supabase.errors import bad_token, invalid, unauthorized, unknown_role
from waybill.sim.supabase.policies import ANON, AUTHENTICATED, SERVICE_ROLE, Caller
from waybill.sim.wire import Request

SECRET, PUBLISHABLE = "sb_secret_", "sb_publishable_"
KEY_PREFIXES = (SECRET, PUBLISHABLE)
SECRET_HEADERS = frozenset({"authorization", "apikey", "x-signature"})
_UNSIGNED = "headers must have required property 'authorization'"
_ROLES = (ANON, AUTHENTICATED, SERVICE_ROLE)
# Who may call needs no token here: what stands in the URL, or nothing at all, is enough.
OPEN = ("object.read.public", "status", "version", "auth", "tus.options")
SIGNED = ".signed"
# A token that is not good is as none here.
LENIENT = ("object.read", "object.info")


class Gateway:
    """Who a request acts for.

    Args:
        claims: Of a token; raises Refused.
    """

    def __init__(self, keys: Keys, claims: Callable[[str], Mapping[str, Any]]) -> None:
        self._keys, self._claims = keys, claims

    def admit(self, request: Request, operation: str) -> Caller:
        """Whom it acts for.

        Raises:
            Refused: Its key or its token is not good.
        """
        token = self._passed_on(request)
        if isinstance(token, Caller):
            return token
        if operation.endswith(SIGNED) or _within(operation, OPEN):
            return Caller("")
        try:
            return self._bearer(token, operation)
        except Refused:
            if _within(operation, LENIENT):
                return Caller("")
            raise

    def _passed_on(self, request: Request) -> Caller | str:
        """The role that the gateway knows, or the token that it leaves to storage."""
        key, token = request.headers.get("apikey", ""), bearer(request)
        if not key.startswith("sb_"):
            return token or key
        account = self._keys.find(key)
        if account is None:
            raise unauthorized()
        secret = key.startswith(SECRET)
        if secret and request.headers.get("user-agent", "").startswith("Mozilla/"):
            raise unauthorized("Forbidden use of secret API key in browser")
        if token not in ("", key):
            if token.startswith("sb_"):
                raise unauthorized()
            return token
        return Caller(account.fingerprint, role=SERVICE_ROLE if secret else ANON)

    def _bearer(self, token: str, operation: str) -> Caller:
        if not token:
            raise bad_token() if _within(operation, ("health", "tus")) else invalid(_UNSIGNED)
        claims = self._claims(token)
        role = claims.get("role", ANON)
        if role not in _ROLES:
            raise unknown_role(str(role))
        return Caller(fingerprint(token), role=role, claims=claims)


def sent_key(request: Request) -> str:
    """The key that a request sends."""
    return bearer(request) or request.headers.get("apikey", "")


def _within(operation: str, scopes: tuple[str, ...]) -> bool:
    return any(operation == scope or operation.startswith(f"{scope}.") for scope in scopes)
