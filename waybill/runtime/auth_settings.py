"""Whom a process believes: settings of callers' tokens and of what our services show each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import urlsplit

from waybill.runtime.config import ConfigError, Settings
from waybill.runtime.settings import (
    BIND,
    PRIVATE_NETWORK,
    TLS_CA_FILE,
    TLS_CERT_FILE,
    TLS_KEY_FILE,
    Setting,
)
from waybill.runtime.tls import LOOPBACK, SCHEME, Certificate, is_loopback, is_tls

_GROUP = "Who may call"
# RFC 7518, 3.2: a key of HS256 is at least as long as its hash.
SECRET_CHARS = 32

AUTH = Setting(
    name="WAYBILL_AUTH",
    group=_GROUP,
    meaning="`jwt`: every call needs a JSON Web Token, `authorization: Bearer …`, and its tenant is that of "
    "the token. `none`: a caller names its tenant.",
    default="none",
    choices=("none", "jwt"),
)
ISSUER = Setting(
    name="WAYBILL_JWT_ISSUER",
    group=_GROUP,
    meaning="The `iss` of callers' tokens; for Supabase Auth `https://<ref>.supabase.co/auth/v1`. "
    "Needed by `jwt`.",
)
AUDIENCE = Setting(
    name="WAYBILL_JWT_AUDIENCE",
    group=_GROUP,
    meaning="The `aud` of callers' tokens.",
    default="authenticated",
)
JWKS_URL = Setting(
    name="WAYBILL_JWT_JWKS_URL",
    group=_GROUP,
    meaning="Where the public keys of tokens are (ES256, RS256, EdDSA). They are kept, and fetched again "
    "every ten minutes, and when a token names a key that is not among them.",
    otherwise="the issuer's `/.well-known/jwks.json`",
)
SECRET = Setting(
    name="WAYBILL_JWT_SECRET",
    group=_GROUP,
    meaning="The legacy secret of tokens signed by HS256, at least 32 characters.",
    default="",
    otherwise="such tokens are refused",
    secret=True,
)
TENANT_CLAIM = Setting(
    name="WAYBILL_JWT_TENANT_CLAIM",
    group=_GROUP,
    meaning="Where a token names its tenant: paths with dots, the first that is there. Never below "
    "`user_metadata`, which users write themselves.",
    default="app_metadata.tenant_id,app_metadata.tenant",
)
SERVICE_SECRET = Setting(
    name="WAYBILL_SERVICE_SECRET",
    group=_GROUP,
    meaning="What the services show each other, at least 32 characters; beside it a call's tenant, subject "
    "and credential are believed. Needed by `jwt`; `waybill up` makes one.",
    default="",
    otherwise="made by `waybill up`",
    secret=True,
)
STACK_TOKEN = Setting(
    name="WAYBILL_STACK_TOKEN",
    group=_GROUP,
    meaning="What callers send, `authorization: Bearer …`, where a backend costs money and no `jwt` is "
    "asked for. `waybill up` makes it, and the command line and `connect()` on this machine find it.",
    default="",
    otherwise="made by `waybill up`",
    secret=True,
)


@dataclass(frozen=True, kw_only=True)
class TokenConfig:
    """What a caller's JSON Web Token must be.

    Attributes:
        issuer: Its `iss`.
        audience: Its `aud`, or among that.
        jwks_url: Where the public keys are.
        secret: Of HS256; empty: no token of that kind is taken.
        tenant_claims: Paths of the tenant's claim; the first that is there holds.
    """

    issuer: str
    audience: str
    jwks_url: str
    secret: str = field(default="", repr=False)
    tenant_claims: tuple[tuple[str, ...], ...] = (("app_metadata", "tenant"),)

    @classmethod
    def read(cls, settings: Settings) -> TokenConfig:
        """From the environment; what is missing is told by `settings.check`."""
        if find_spec("jwt") is None:
            settings.fault(f"{AUTH.name}=jwt needs a package: pip install 'waybill[auth]'")
        issuer = settings.text(ISSUER)
        url = settings.text(JWKS_URL, f"{issuer.rstrip('/')}/.well-known/jwks.json")
        secret = settings.text(SECRET)
        paths = [path.strip() for path in settings.text(TENANT_CLAIM).split(",")]
        if issuer and not _trustworthy(url):
            settings.fault(
                f"{JWKS_URL.name} is {url!r}; keys come by https://, or by http:// from this machine"
            )
        if secret and len(secret) < SECRET_CHARS:
            settings.fault(f"{SECRET.name} has {len(secret)} characters; the least is {SECRET_CHARS}")
        for path in paths:
            if not all(path.split(".")) or path.startswith("user_metadata"):
                settings.fault(f"{TENANT_CLAIM.name} has {path!r}, which is no claim that only you write")
        return cls(
            issuer=issuer,
            audience=settings.text(AUDIENCE),
            jwks_url=url,
            secret=secret,
            tenant_claims=tuple(tuple(path.split(".")) for path in paths),
        )


@dataclass(frozen=True, kw_only=True)
class AuthConfig:
    """Whom a process believes, and what it shows its neighbours.

    Attributes:
        tokens: What callers' JWTs must be; None: none is asked for.
        service_secret: Shown among our services; empty: they show nothing.
        stack_token: Asked of callers where no JWT is; empty: nothing is.
        ca_file: Authorities that are trusted for https:// neighbours; None: those that gRPC brings.
        private_network: Whether the secret may go to another machine in clear.
    """

    tokens: TokenConfig | None = None
    service_secret: str = field(default="", repr=False)
    stack_token: str = field(default="", repr=False)
    ca_file: Path | None = None
    private_network: bool = False

    @classmethod
    def read(cls, settings: Settings) -> AuthConfig:
        """From the environment; what is missing is told by `settings.check`."""
        wanted = settings.choice(AUTH) == "jwt"
        secret = settings.text(SERVICE_SECRET, None if wanted else "")
        if wanted and not secret:
            settings.fault(f"{SERVICE_SECRET.name} is not set; by it the services know each other")
        elif secret and len(secret) < SECRET_CHARS:
            settings.fault(f"{SERVICE_SECRET.name} has {len(secret)} characters; the least is {SECRET_CHARS}")
        return cls(
            tokens=TokenConfig.read(settings) if wanted else None,
            service_secret=secret,
            stack_token=settings.text(STACK_TOKEN),
            ca_file=Path(ca) if (ca := settings.text(TLS_CA_FILE)) else None,
            private_network=settings.choice(PRIVATE_NETWORK) == "1",
        )

    def secret_for(self, address: str) -> str:
        """What is shown at an address of ours.

        Raises:
            ConfigError: The secret would go to another machine in clear.
        """
        safe = is_tls(address) or is_loopback(address) or self.private_network
        if self.service_secret and not safe:
            raise ConfigError(
                f"the service's secret would go to {address} in clear: write the address as {SCHEME}{address}"
            )
        return self.service_secret


def certificate(settings: Settings) -> Certificate | None:
    """What a server shows beyond loopback; None where no files are named."""
    named = [settings.text(one) for one in (TLS_CERT_FILE, TLS_KEY_FILE)]
    if not all(named):
        return None
    found = Certificate(*(Path(name) for name in named))
    if fault := found.fault():
        settings.fault(fault)
    return found


def check_bind(settings: Settings, bind: str) -> None:
    """Tells all that an address beyond loopback still needs, in one sentence."""
    if all(is_loopback(one) for one in bind.split(",")):
        return
    if settings.choice(PRIVATE_NETWORK) == "1":
        return
    lacking = lacking_to_be_open(settings)
    if lacking:
        settings.fault(
            f"{BIND.name} is {bind!r}; beyond loopback also set {', '.join(lacking)}. Only a network that "
            f"{PRIVATE_NETWORK.name}=1 says is closed goes without"
        )


def lacking_to_be_open(settings: Settings) -> list[str]:
    """What must be set for an address beyond loopback, and is not."""
    lacking = [] if settings.text(AUTH) == "jwt" else [f"{AUTH.name}=jwt"]
    needed = (ISSUER, TLS_CERT_FILE, TLS_KEY_FILE)
    return lacking + [one.name for one in needed if not settings.text(one, "")]


def _trustworthy(url: str) -> bool:
    """Whether nobody on the way can put other keys in place of those at a URL."""
    parts = urlsplit(url)
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
