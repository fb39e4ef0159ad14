"""The settings: declared once, told on one page, read by somebody, and none beside them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import waybill.settings
from services.embedder.config import EmbedderConfig
from services.orchestrator.chunks.cutting import DEFAULT_SIZES
from services.orchestrator.config import OrchestratorConfig
from tests.configuration import PAGE, page
from waybill import llamaparse_settings, money_settings, objects_settings, openai_settings, supabase_settings
from waybill.runtime import auth_settings
from waybill.runtime import settings as every_process
from waybill.runtime.config import ConfigError
from waybill.runtime.places import ROOT
from waybill.runtime.settings import Setting
from waybill.settings import MASK, SETTINGS, shown, unknown

NAME = re.compile(r"(?<!declared\.)\b(?:WAYBILL|EMBEDDER|PARSER|OPENAI|OTEL)_[A-Z_]*[A-Z]\b")
# Words of this shape that name no variable of the environment, or one that a library reads.
OTHER_WORDS = {"PARSER_CRASHED", "PARSER_CRASHES", "OPENAI_KEY", "OTEL_METRIC_EXPORT_INTERVAL"}
DECLARING = {*(ROOT / "waybill").glob("*settings.py"), ROOT / "waybill" / "runtime" / "settings.py"}
LISTS = (llamaparse_settings, money_settings, objects_settings, openai_settings, supabase_settings)
DATABASES = {"WAYBILL_DATABASE_URL": "postgresql://", "WAYBILL_OWNER_DATABASE_URL": "postgresql://"}


def code() -> list[Path]:
    return [
        file
        for folder in ("waybill", "services")
        for file in (ROOT / folder).rglob("*.py")
        if file not in DECLARING and "v1" not in file.parts
    ]


def test_the_page_is_what_the_code_declares() -> None:
    assert PAGE.read_text() == page(), "run: make configuration"


def test_every_variable_that_the_project_names_is_declared() -> None:
    others = [ROOT / "docker-compose.yml", ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    named = {name: file for file in (*code(), *others) for name in NAME.findall(file.read_text())}
    undeclared = {name: str(file) for name, file in named.items() if name not in {*SETTINGS, *OTHER_WORDS}}
    assert undeclared == {}


def test_every_setting_that_is_declared_is_read() -> None:
    text = "\n".join(file.read_text() for file in code())
    constants = {
        constant
        for module in (*LISTS, waybill.settings, every_process, auth_settings)
        for constant, value in vars(module).items()
        if isinstance(value, Setting) and SETTINGS[value.name] is value
    }
    assert len(constants) > 30
    unread = {constant for constant in constants if not re.search(rf"\b{constant}\b", text)}
    # By docker-compose.yml, and by tests.
    unread -= {one for one in unread if one.startswith("LIVE_")}
    assert unread == {"ADMIN_PASSWORD", "KILL_SEEDS"}
    assert "WAYBILL_PASSWORD_ADMIN" in (ROOT / "docker-compose.yml").read_text()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("WAYBILL_CHUNK_TOKEN", "the nearest is WAYBILL_CHUNK_TOKENS"),
        ("WAYBILL_EMBEDDER_BACKEND", "the nearest is EMBEDDER_BACKEND"),
        ("WAYBILL_HOEM", "the nearest is WAYBILL_HOME"),
        ("WAYBILL_XYZZY", "docs/configuration.md lists all"),
    ],
)
def test_an_unknown_variable_is_told_with_the_name_that_may_be_meant(name: str, told: str) -> None:
    assert list(unknown({name: "1", "HOME": "/", "WAYBILL_HOME": "/"})) == [
        f"{name} is no setting of Waybill; {told}"
    ]
    with pytest.raises(ConfigError, match=name):
        EmbedderConfig.from_env({name: "1"})


def test_the_command_refuses_an_unknown_variable() -> None:
    command = [sys.executable, "-m", "waybill.cli", "types"]
    done = subprocess.run(command, env={"WAYBILL_TENNANT": "x"}, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: SETTING_UNKNOWN: WAYBILL_TENNANT is no setting of Waybill")
    assert "next:  Rename" in done.stderr


def test_the_command_refuses_values_that_no_service_would_take() -> None:
    environ = {"WAYBILL_CHUNK_TOKENS": "banana", "PARSER_BACKEND": "paper", "WAYBILL_KEEP_DAYS": ""}
    command = [sys.executable, "-m", "waybill.cli", "up"]
    done = subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: SETTING_INVALID: ")
    assert "WAYBILL_CHUNK_TOKENS is 'banana', which is not a whole number" in done.stderr
    assert "PARSER_BACKEND is 'paper'; it may be" in done.stderr
    assert "KEEP_DAYS" not in done.stderr


def test_what_is_shown_of_the_environment_holds_no_secret() -> None:
    environ = {
        "OPENAI_API_KEY": "sk-planted",
        "WAYBILL_DATABASE_URL": "postgresql://someone:planted@host:5432/postgres",
        "OPENAI_BASE_URL": "https://me:planted@host/v1",
        "WAYBILL_OWNER_DATABASE_URL": "postgresql://someone:plan/ted@planted@host/postgres",
        "WAYBILL_DATABASE_ADMIN_URL": "postgresql://host/postgres?password=planted",
        "LLAMA_CLOUD_BASE_URL": "https://planted@host",
        "WAYBILL_PASSWORD_WAYBILL_STORAGE": "planted",
        "WAYBILL_CHUNK_TOKENS": "300",
        "PATH": "/bin",
        "WAYBILL_HOME": "",
    }
    told = shown(environ)
    assert told["WAYBILL_CHUNK_TOKENS"] == "300"
    assert told["OPENAI_API_KEY"] == MASK
    assert told["WAYBILL_DATABASE_URL"] == f"postgresql://someone:{MASK}@host:5432/postgres"
    assert told["WAYBILL_OWNER_DATABASE_URL"] == f"postgresql://someone:{MASK}@host/postgres"
    assert "planted" not in str(told)
    assert not {"PATH", "WAYBILL_HOME"} & set(told)


def test_chunk_size_and_overlap_are_settings_and_part_of_the_recipe() -> None:
    assert OrchestratorConfig.from_env(DATABASES).chunk_sizes == DEFAULT_SIZES
    sizes = {"WAYBILL_CHUNK_TOKENS": "256", "WAYBILL_CHUNK_OVERLAP_TOKENS": "32"}
    recipe = OrchestratorConfig.from_env({**DATABASES, **sizes}).chunk_sizes.recipe
    assert recipe.endswith("/256/32")
    assert recipe != DEFAULT_SIZES.recipe
    with pytest.raises(ConfigError, match="WAYBILL_CHUNK_OVERLAP_TOKENS is 65; the most is 64"):
        OrchestratorConfig.from_env({**DATABASES, **sizes, "WAYBILL_CHUNK_OVERLAP_TOKENS": "65"})
