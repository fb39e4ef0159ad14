"""An identity provider on loopback: keys, tokens signed by them, and a JWKS that can change and break."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from waybill.runtime.auth_settings import TokenConfig

ISSUER = "https://project.example/auth/v1"
AUDIENCE = "authenticated"
LEGACY_SECRET = "a-legacy-secret-of-more-than-32-characters"


@dataclass(frozen=True)
class Key:
    """A signing key with its id."""

    key_id: str
    algorithm: str
    private: Any

    @classmethod
    def made(cls, key_id: str, algorithm: str = "ES256") -> Key:
        """A fresh key."""
        makers = {
            "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
            "RS256": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
            "EdDSA": ed25519.Ed25519PrivateKey.generate,
        }
        return cls(key_id, algorithm, makers[algorithm]())

    @property
    def public(self) -> dict[str, Any]:
        """As it stands in a JWKS."""
        kinds: Any = {"ES256": ECAlgorithm, "RS256": RSAAlgorithm, "EdDSA": OKPAlgorithm}
        made = json.loads(kinds[self.algorithm].to_jwk(self.private.public_key()))
        return {**made, "kid": self.key_id, "alg": self.algorithm, "use": "sig"}


@dataclass
class Issuer:
    """Signs tokens, and answers a JWKS where it is served."""

    keys: list[Key] = field(default_factory=lambda: [Key.made("key-1")])
    url: str = ""
    fetches: int = 0
    status: int = 200
    document: bytes | None = None
    location: str = ""

    @property
    def config(self) -> TokenConfig:
        """What a service is told."""
        return TokenConfig(issuer=ISSUER, audience=AUDIENCE, jwks_url=self.url, secret=LEGACY_SECRET)

    def jwks(self, _: str = "") -> bytes:
        """The JWKS as of now."""
        self.fetches += 1
        return self.document or json.dumps({"keys": [key.public for key in self.keys]}).encode()

    def token(
        self, tenant: str = "acme", subject: str = "user-1", key: Key | None = None, **claims: Any
    ) -> str:
        """A good token, but for what is given; a claim of None is left out."""
        key = key or self.keys[-1]
        said = good_claims(tenant, subject) | claims
        kept = {name: value for name, value in said.items() if value is not None}
        return jwt.encode(kept, key.private, key.algorithm, {"kid": key.key_id})

    @contextmanager
    def served(self) -> Iterator[Issuer]:
        """Serves the JWKS on a free port."""
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = issuer.jwks()
                self.send_response(issuer.status)
                if issuer.status == 302:
                    self.send_header("Location", issuer.location)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Silent."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_port}/auth/v1/.well-known/jwks.json"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def good_claims(tenant: str = "acme", subject: str = "user-1") -> dict[str, Any]:
    """Claims as Supabase Auth makes them, for an hour from now."""
    now = int(time.time())
    return {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": subject,
        "iat": now,
        "exp": now + 3600,
        "role": "authenticated",
        "app_metadata": {"provider": "email", "tenant": tenant},
    }
