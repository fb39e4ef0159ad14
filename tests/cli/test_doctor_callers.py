"""`waybill doctor` and what callers on other machines need."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests import certificates
from tests.certificates import LIFE, Certificates
from tests.cli.test_doctor import vendor
from tests.issuer import Issuer
from waybill.cli.checks import callers
from waybill.cli.checks.finding import Finding, State

AHEAD = LIFE.total_seconds()


@pytest.fixture
def made(tmp_path: Path) -> Certificates:
    return certificates.made(tmp_path)


def of_tls(made: Certificates, ahead_seconds: float = 0.0) -> dict[str, Finding]:
    """What is found by a clock that is so far ahead."""
    settings = {
        "WAYBILL_TLS_CERT_FILE": str(made.certificate), "WAYBILL_TLS_KEY_FILE": str(made.key),
        "WAYBILL_TLS_CA_FILE": str(made.authority),
    }  # fmt: skip
    return {one.check: one for one in callers.findings(settings, lambda: time.time() + ahead_seconds)}


def test_fresh_certificates_are_well_and_no_file_is_no_row(made: Certificates) -> None:
    assert [(name, one.state) for name, one in of_tls(made).items()] == [
        ("TLS certificate", State.OK),
        ("TLS authorities", State.OK),
    ]
    assert not list(callers.findings({}))


@pytest.mark.parametrize(
    ("ahead_seconds", "words"), [(0.95 * AHEAD, "is good until"), (2.0 * AHEAD, "ended on")]
)
def test_a_certificate_that_ends_soon_or_has_ended_is_told(
    made: Certificates, ahead_seconds: float, words: str
) -> None:
    for one in of_tls(made, ahead_seconds).values():
        assert (one.state, words in one.detail) == (State.FAILED, True)
    found = of_tls(made, ahead_seconds)["TLS certificate"]
    assert str(made.certificate) in found.mend


def test_a_certificate_of_tomorrow_is_perhaps_a_clock_of_yesterday(made: Certificates) -> None:
    found = of_tls(made, -10 * AHEAD)["TLS certificate"]
    assert (found.state, "clock" in found.detail) == (State.FAILED, True)


def test_files_that_cannot_be_used_are_told(made: Certificates) -> None:
    made.certificate.write_text("no certificate")
    made.authority.unlink()
    found = of_tls(made)
    assert {one.state for one in found.values()} == {State.FAILED}
    assert str(made.authority) in found["TLS authorities"].detail


def of_tokens(url: str, **more: str) -> Finding:
    settings = {"WAYBILL_AUTH": "jwt", "WAYBILL_JWT_ISSUER": "https://i.example", "WAYBILL_JWT_JWKS_URL": url}
    return next(callers.findings({**settings, **more}))


def test_whether_tokens_have_keys_is_told() -> None:
    with Issuer().served() as issuer:
        found = of_tokens(issuer.url)
    assert (found.state, found.detail) == (State.OK, f"1 at {issuer.url}")
    with vendor(404) as url:
        found = of_tokens(url)
        assert (found.state, "HTTP 404" in found.detail) == (State.FAILED, True)
        assert "WAYBILL_JWT_JWKS_URL=" in found.mend
        assert of_tokens(url, WAYBILL_JWT_SECRET="x" * 32).state is State.SKIPPED
    assert of_tokens("http://127.0.0.1:1/keys").state is State.FAILED
