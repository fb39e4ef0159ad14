"""What the environment must say for the Supabase backend."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from services.storage.backends.supabase.config import SupabaseConfig
from services.storage.config import StorageConfig
from waybill.runtime.config import ConfigError, Settings

OURS = {
    "WAYBILL_DATABASE_URL": "postgresql://a",
    "WAYBILL_OWNER_DATABASE_URL": "postgresql://b",
    "STORAGE_BACKEND": "supabase",
}
REAL = {"SUPABASE_URL": "https://ref.supabase.co/", "SUPABASE_KEY": "sb_secret_planted"}


def test_all_that_is_missing_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        StorageConfig.from_env({"STORAGE_BACKEND": "supabase"})
    named = ("SUPABASE_URL", "SUPABASE_KEY", "WAYBILL_DATABASE_URL", "WAYBILL_OWNER_DATABASE_URL")
    assert all(f"{name} is not set" in str(caught.value) for name in named)
    assert "OBJECTS_DIR" not in str(caught.value)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, "https://ref.supabase.co/storage/v1"),
        (
            {"SUPABASE_STORAGE_URL": "https://ref.storage.supabase.co/storage/v1/"},
            "https://ref.storage.supabase.co/storage/v1",
        ),
        ({"SUPABASE_URL": "", "SUPABASE_STORAGE_URL": "http://127.0.0.1:5000"}, "http://127.0.0.1:5000"),
    ],
)
def test_the_storage_api_is_below_the_project_or_where_its_own_setting_says(
    more: Mapping[str, str], expected: str
) -> None:
    config = StorageConfig.from_env({**OURS, **REAL, **more}).supabase
    assert config is not None
    assert (config.storage_url, config.bucket, config.keys.current()) == (
        expected,
        "waybill",
        "sb_secret_planted",
    )
    assert "planted" not in repr(config)


def test_a_key_may_be_in_a_file_alone() -> None:
    settings = Settings({"SUPABASE_URL": "https://ref.supabase.co", "SUPABASE_KEY_FILE": "/no/such/file"})
    SupabaseConfig.read(settings)
    assert settings.faults == []


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://ref.supabase.co", "in clear"),
        ("ref.supabase.co", "https:// in front"),
        ("https://user:planted@ref.supabase.co", "password"),
        ("https://ref.supabase.co?apikey=planted", "query"),
    ],
)
@pytest.mark.parametrize("name", ["SUPABASE_URL", "SUPABASE_STORAGE_URL"])
def test_a_key_goes_to_no_address_that_is_not_safe_for_it(name: str, url: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        StorageConfig.from_env(OURS | REAL | {name: url})
    assert name in str(caught.value)
    assert why in str(caught.value)
    assert "planted" not in str(caught.value)


def test_simulator_mode_keeps_files_at_supabase_and_production_never_here() -> None:
    here = {**OURS, "STORAGE_BACKEND": "", "WAYBILL_OBJECTS_DIR": "objects"}
    assert StorageConfig.from_env(here).supabase is None
    assert StorageConfig.from_env({**here, **REAL, "WAYBILL_MODE": "simulator"}).supabase is not None
    with pytest.raises(ConfigError, match="STORAGE_BACKEND is 'local'"):
        StorageConfig.from_env({**here, "WAYBILL_ENV": "production"})
