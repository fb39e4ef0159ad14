"""What callers on other machines need: a certificate that is good for a while, and their tokens' keys."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from waybill.cli.checks.check import NO_ANSWER, RESTART, ask
from waybill.cli.checks.finding import Finding, State, why_silent
from waybill.runtime.auth_settings import AUTH, ISSUER, JWKS_URL, SECRET, TokenConfig
from waybill.runtime.config import Settings
from waybill.runtime.settings import TLS_CA_FILE, TLS_CERT_FILE, TLS_KEY_FILE
from waybill.runtime.tls import Certificate

# Of its life, as those who renew certificates take it; at most so many days.
_LEAST_SHARE, _LEAST_DAYS = 0.1, 14.0
_DAY_SECONDS = 86_400.0


def findings(settings: Mapping[str, str], now: Callable[[], float] = time.time) -> Iterator[Finding]:
    """What is set of it; nothing where nothing is.

    Args:
        settings: Those in force.
        now: Seconds since the epoch.
    """
    cert, key, ca = (settings.get(one.name, "") for one in (TLS_CERT_FILE, TLS_KEY_FILE, TLS_CA_FILE))
    if cert and key:
        yield _certificate(Certificate(Path(cert), Path(key)), now())
    if ca:
        yield _authorities(Path(ca), now())
    if settings.get(AUTH.name) == "jwt" and settings.get(ISSUER.name):
        yield _token_keys(settings)


def _certificate(shown: Certificate, now: float) -> Finding:
    check, mend = (
        "TLS certificate",
        f"renew it into {shown.cert_file}; it is read again at the next connection",
    )
    if fault := shown.fault():
        mend = f"put a certificate and its key into {shown.cert_file} and {shown.key_file}"
        return Finding(check, State.FAILED, fault, mend)
    from cryptography import x509  # it comes with WAYBILL_AUTH=jwt, which TLS needs

    chain = x509.load_pem_x509_certificates(shown.cert_file.read_bytes())
    begins = max(one.not_valid_before_utc for one in chain).timestamp()
    ends = min(one.not_valid_after_utc for one in chain).timestamp()
    detail = f"{shown.cert_file} {_ends(ends, now)}"
    if now < begins:
        detail = f"{shown.cert_file} is good from {_day(begins)} on; or this machine's clock is behind"
        return Finding(check, State.FAILED, detail, f"timedatectl; else {mend}")
    state = State.FAILED if ends - now < _least(ends - begins) else State.OK
    return Finding(check, state, detail, mend if state is State.FAILED else "")


def _authorities(file: Path, now: float) -> Finding:
    check, mend = "TLS authorities", f"put the authority's certificate, PEM, into {file}; {RESTART}"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(file)
    except OSError as error:  # SSLError is one
        why = getattr(error, "reason", None) or error.strerror
        return Finding(check, State.FAILED, f"{file} cannot be used: {why}", mend)
    found = context.get_ca_certs()
    lives = [
        [ssl.cert_time_to_seconds(str(one[side])) for side in ("notBefore", "notAfter")] for one in found
    ]
    if not lives:
        return Finding(check, State.FAILED, f"{file} has no authority's certificate", mend)
    # Of several, some may be old ones that nobody's certificate needs any more.
    begins, ends = max(lives, key=lambda life: life[1])
    detail = f"{file}: {len(lives)}; the last one {_ends(ends, now)}"
    state = State.FAILED if ends - now < _least(ends - begins) else State.OK
    return Finding(check, state, detail, mend if state is State.FAILED else "")


def _token_keys(settings: Mapping[str, str]) -> Finding:
    check = "token keys"
    url = TokenConfig.read(Settings(settings)).jwks_url
    mend = f"curl -i {url}; export {ISSUER.name}=… or {JWKS_URL.name}=…; {RESTART}"
    try:
        reply = ask(url, {})
        keys = json.loads(reply.body).get("keys", []) if reply.status == 200 else []
    except (*NO_ANSWER, AttributeError) as error:  # what is no JSON is a ValueError
        return Finding(check, State.FAILED, f"{url} does not tell them ({why_silent(error)})", mend)
    if keys:
        return Finding(check, State.OK, f"{len(keys)} at {url}")
    detail = f"none at {url}: HTTP {reply.status}"
    if settings.get(SECRET.name):
        return Finding(check, State.SKIPPED, f"{detail}; tokens of {SECRET.name} alone are taken")
    return Finding(check, State.FAILED, detail, mend)


def _least(life: float) -> float:
    """Seconds that it should still be good for, of a life of so many."""
    return min(_LEAST_SHARE * life, _LEAST_DAYS * _DAY_SECONDS)


def _ends(ends: float, now: float) -> str:
    days = (ends - now) / _DAY_SECONDS
    return f"ended on {_day(ends)}" if days < 0 else f"is good until {_day(ends)}, {days:.0f} days"


def _day(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M} UTC"
