"""Links to objects: their keys, and what of a name reaches a browser."""

from __future__ import annotations

import datetime
import stat
from pathlib import Path

import pytest

from services.storage.backends.local_links import LinkRefused, LocalLinks, kept_keys
from services.storage.backends.port import ObjectSpec
from services.storage.config import StorageConfig
from services.storage.links import file_name_of
from waybill.runtime.config import ConfigError

NOW = datetime.datetime(2026, 11, 24, 12, tzinfo=datetime.UTC)
SPEC = ObjectSpec("a/ü.pdf", 3, "0" * 64, "text/plain", {"who": "Zoë"})
OLD, NEW, STRANGE = "old " * 10, "new " * 10, "strange " * 5
ENVIRON = {
    "WAYBILL_DATABASE_URL": "postgresql://localhost/x",
    "WAYBILL_OWNER_DATABASE_URL": "postgresql://localhost/x",
    "WAYBILL_OBJECTS_DIR": "/nowhere",
}


def signed_by(*keys: str) -> LocalLinks:
    return LocalLinks(keys, "http://127.0.0.1:1", lambda: NOW)


def token(links: LocalLinks) -> str:
    return links.link("PUT", "t", SPEC, 60, "ü.pdf").url.partition("token=")[2]


def test_a_link_carries_all_that_it_grants() -> None:
    grant = signed_by(OLD).granted(token(signed_by(OLD)), "PUT", "ü.pdf")
    assert (grant.tenant, grant.spec, grant.file_name) == ("t", SPEC, "ü.pdf")
    assert grant.expires_ms == (NOW.timestamp() + 60) * 1_000


def test_a_link_of_the_key_before_is_good_until_that_key_is_taken_away() -> None:
    before = token(signed_by(OLD))
    assert signed_by(NEW, OLD).granted(before, "PUT", "ü.pdf")
    assert token(signed_by(NEW, OLD)) == token(signed_by(NEW))
    for links in (signed_by(NEW), signed_by(STRANGE)):
        with pytest.raises(LinkRefused):
            links.granted(before, "PUT", "ü.pdf")


@pytest.mark.parametrize("wrong", ["", ".", "é.é", "a.b.c", "\udcff", "x" * 100_000])
def test_what_is_no_token_is_refused(wrong: str) -> None:
    with pytest.raises(LinkRefused):
        signed_by(OLD).granted(wrong, "GET", "k")


def test_the_key_is_made_once_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    file = tmp_path / "objects" / "link-keys"
    (key,) = kept_keys(file)
    assert kept_keys(file) == (key,)
    assert len(key) >= 32
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.write_text(f"{NEW.replace(' ', '-')}\n{key}\n")
    assert kept_keys(file)[1] == key
    file.write_text("\n")
    with pytest.raises(ConfigError, match="holds no key"):
        kept_keys(file)


def test_no_links_are_served_where_nothing_says_so() -> None:
    assert StorageConfig.from_env(ENVIRON).links is None


def test_settings_of_links_are_read_and_keys_are_not_shown() -> None:
    links = StorageConfig.from_env(
        ENVIRON
        | {
            "WAYBILL_OBJECTS_HTTP": "[::1]:7413",
            "WAYBILL_OBJECTS_PUBLIC_URL": "https://files.example.com/a/",
            "WAYBILL_OBJECTS_LINK_KEYS": f"{'n' * 32} {'o' * 32}",
        }
    ).links
    assert links is not None
    assert (links.bind, links.public_url) == ("[::1]:7413", "https://files.example.com/a")
    assert links.keys == ("n" * 32, "o" * 32)
    assert "nnn" not in repr(links)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"WAYBILL_OBJECTS_HTTP": "0.0.0.0:7413"}, "WAYBILL_PRIVATE_NETWORK=1"),
        (
            {"WAYBILL_OBJECTS_HTTP": "0.0.0.0:7413", "WAYBILL_PRIVATE_NETWORK": "1"},
            "WAYBILL_OBJECTS_PUBLIC_URL",
        ),
        ({"WAYBILL_OBJECTS_HTTP": "127.0.0.1"}, "host:port"),
        ({"WAYBILL_OBJECTS_PUBLIC_URL": "files.example.com"}, "WAYBILL_OBJECTS_PUBLIC_URL"),
        ({"WAYBILL_OBJECTS_LINK_KEYS": "short"}, "WAYBILL_OBJECTS_LINK_KEYS"),
    ],
)
def test_a_door_that_would_be_open_to_others_or_makes_no_sense_does_not_start(
    changed: dict[str, str], named: str
) -> None:
    with pytest.raises(ConfigError, match=named) as refused:
        StorageConfig.from_env(ENVIRON | {"WAYBILL_OBJECTS_HTTP": "127.0.0.1:7413"} | changed)
    assert "short" not in str(refused.value)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("a/b.pdf", "b.pdf"),
        ("b.pdf", "b.pdf"),
        ("C:\\docs\\b.pdf", "b.pdf"),
        ("a/\u202egpj.exe", "_gpj.exe"),
        ("a/\r\nx", "__x"),
        ("a/..", "file"),
        ("x/" + "é" * 300 + ".pdf", "é" * 125 + ".pdf"),
    ],
)
def test_the_name_of_a_saved_file_is_the_keys_last_part_made_harmless(key: str, name: str) -> None:
    assert file_name_of(key) == name
