"""`waybill doctor` and Supabase: which of address, key, role and bucket is wrong, and what mends it."""

from __future__ import annotations

import base64
import http.client
import json
import shlex
from urllib.parse import urlsplit

import pytest

from services.parser.results import PAGES_TYPE
from services.storage.backends.port import MAX_OBJECT_BYTES
from services.storage.objects import DEFAULT_CONTENT_TYPE
from waybill.cli.checks.every import CHECKS
from waybill.cli.checks.finding import Finding, State
from waybill.runtime.places import ROOT
from waybill.sim.remote import Remote
from waybill.sim.supabase.settings import JWT_SECRET
from waybill.sim.supabase.tokens import legacy_key
from waybill.vendors.registry import SUPABASE, VENDORS
from waybill.vendors.supabase import BUCKET_BYTES, BUCKET_MIGRATION, MEDIA_TYPES, role_of

MIGRATION = ROOT / "supabase" / "migrations" / BUCKET_MIGRATION


def findings(project: Remote, **settings: str) -> dict[str, Finding]:
    given = {"SUPABASE_URL": project.base_url, "SUPABASE_KEY": project.key, **settings}
    return {
        one.check.removeprefix("supabase "): one for one in CHECKS[VENDORS.index(SUPABASE)].findings(given)
    }


def failed(found: dict[str, Finding]) -> list[str]:
    return [check for check, one in found.items() if one.state is not State.OK]


def change(project: Remote, **bucket: object) -> None:
    connection = http.client.HTTPConnection(urlsplit(project.base_url).netloc)
    headers = {"apikey": project.key, "Content-Type": "application/json"}
    connection.request("PUT", "/storage/v1/bucket/waybill", json.dumps(bucket), headers)
    assert connection.getresponse().status == 200
    connection.close()


def test_a_good_project_is_said_with_its_bucket_and_limits(supabase_simulator: Remote) -> None:
    change(supabase_simulator, file_size_limit=BUCKET_BYTES, allowed_mime_types=["application/*", "text/*"])
    found = findings(supabase_simulator)
    assert failed(found) == []
    assert found["bucket"].detail == "waybill"
    assert found["limits"].detail.startswith("512,000,000 bytes")
    assert found["media types"].detail == "application/*, text/*"


@pytest.mark.parametrize("legacy", [False, True])
def test_both_kinds_of_key_are_taken(supabase_simulator: Remote, legacy: bool) -> None:
    key = legacy_key(JWT_SECRET, "service_role") if legacy else supabase_simulator.key
    assert failed(findings(supabase_simulator, SUPABASE_KEY=key)) == []


def test_a_missing_bucket_is_made_by_the_migration_that_the_doctor_names(supabase_simulator: Remote) -> None:
    connection = http.client.HTTPConnection(urlsplit(supabase_simulator.base_url).netloc)
    connection.request("DELETE", "/storage/v1/bucket/waybill", headers={"apikey": supabase_simulator.key})
    connection.getresponse()
    connection.close()
    found = findings(supabase_simulator)
    assert failed(found) == ["bucket"]
    assert found["bucket"].detail == "waybill is not there"
    assert found["bucket"].mend.endswith(f"-f {shlex.quote(str(MIGRATION))}")


def test_a_bucket_of_another_name_is_not_the_migrations(supabase_simulator: Remote) -> None:
    found = findings(supabase_simulator, SUPABASE_BUCKET="elsewhere")
    assert "export SUPABASE_BUCKET=waybill" in found["bucket"].mend


def test_a_key_that_only_users_should_have_is_told_by_its_role(supabase_simulator: Remote) -> None:
    for key in ("sb_publishable_simulated", legacy_key(JWT_SECRET, "anon")):
        found = findings(supabase_simulator, SUPABASE_KEY=key)
        assert failed(found) == ["key"]
        assert "of the role anon" in found["key"].detail
        assert "export SUPABASE_KEY=sb_secret_" in found["key"].mend
        assert key not in repr(found)


def test_a_bad_key_is_refused_by_gateway_and_server_alike(supabase_simulator: Remote) -> None:
    supabase_simulator.keys.revoke(supabase_simulator.key)
    forged = legacy_key("another-secret-of-somebody-else-altogether", "service_role")
    for key in (supabase_simulator.key, "no key at all", forged):
        found = findings(supabase_simulator, SUPABASE_KEY=key)
        assert (failed(found), found["key"].detail) == (["key"], "refused")
        assert "SUPABASE_KEY" in found["key"].mend


def test_a_key_that_has_expired_is_told_apart(supabase_simulator: Remote) -> None:
    supabase_simulator.clock.advance(4_000_000_000)
    found = findings(supabase_simulator, SUPABASE_KEY=legacy_key(JWT_SECRET, "service_role"))
    assert found["key"].detail == "refused: it has expired"


@pytest.mark.parametrize(
    ("bucket", "check", "detail"),
    [
        ({"file_size_limit": 50_000_000}, "limits", "50,000,000 bytes, and an object has up to 512,000,000"),
        ({"public": True}, "bucket", "waybill is public"),
        ({"allowed_mime_types": ["text/*"]}, "media types", "application/jsonl"),
    ],
)
def test_a_bucket_that_is_not_as_ours_is_mended_by_the_migration(
    supabase_simulator: Remote, bucket: dict[str, object], check: str, detail: str
) -> None:
    change(supabase_simulator, **bucket)
    found = findings(supabase_simulator)
    assert failed(found) == [check]
    assert detail in found[check].detail
    assert str(MIGRATION) in found[check].mend


def test_an_address_where_no_storage_api_is_and_none_at_all_are_told(supabase_simulator: Remote) -> None:
    found = findings(supabase_simulator, SUPABASE_STORAGE_URL=supabase_simulator.base_url)
    assert failed(found) == ["address"]
    assert "export SUPABASE_STORAGE_URL=" in found["address"].mend
    assert failed(findings(supabase_simulator, SUPABASE_URL="")) == ["address"]
    unreachable = findings(supabase_simulator, SUPABASE_URL="http://127.0.0.1:1")
    assert failed(unreachable) == ["reachability"]
    assert "export SUPABASE_URL=" in unreachable["reachability"].mend


def test_a_project_in_trouble_is_no_wrong_key(supabase_simulator: Remote) -> None:
    supabase_simulator.faults.add("F9")
    found = findings(supabase_simulator)
    assert failed(found) == ["bucket"]
    assert found["bucket"].mend.startswith("waybill doctor")


def test_the_storage_url_holds_before_the_projects(supabase_simulator: Remote) -> None:
    direct = {"SUPABASE_URL": "", "SUPABASE_STORAGE_URL": f"{supabase_simulator.base_url}/storage/v1/"}
    assert failed(findings(supabase_simulator, **direct)) == []


def test_what_the_doctor_knows_of_the_bucket_is_what_the_services_and_the_migration_say() -> None:
    assert BUCKET_BYTES == MAX_OBJECT_BYTES
    assert {*MEDIA_TYPES} == {DEFAULT_CONTENT_TYPE, PAGES_TYPE}
    assert str(BUCKET_BYTES) in MIGRATION.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("key", "role"),
    [("sb_secret_x", "service_role"), ("sb_publishable_x", "anon"), ("", ""), ("a.b.c", ""), ("a.é.c", ""),
     (f"h.{base64.urlsafe_b64encode(b'[1]').decode()}.s", "")],
)  # fmt: skip
def test_a_keys_role_is_read_where_it_says_one(key: str, role: str) -> None:
    assert role_of(key) == role
