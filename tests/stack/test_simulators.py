"""The table of simulator mode: each vendor's simulator, and who is pointed at it."""

from __future__ import annotations

from pathlib import Path

from waybill.llamaparse_settings import LLAMA_CLOUD_WEBHOOK_BIND
from waybill.stack.home import Home
from waybill.stack.ports import FIXED, SIMULATORS, of_mode
from waybill.stack.supervisor import Program
from waybill.stack.table import SERVICES, tiers
from waybill.vendors.registry import SUPABASE, VENDORS

# What a customer of the real vendor has in the shell.
CUSTOMERS = {
    "SUPABASE_STORAGE_URL": "https://ref.storage.supabase.co/storage/v1",
    "SUPABASE_KEY": "sb_secret_real",
    "SUPABASE_KEY_NEXT": "sb_secret_next",
    "SUPABASE_BUCKET": "theirs",
}


def table(folder: Path) -> dict[str, Program]:
    """Every program of simulator mode, by name."""
    addresses = {name: f"127.0.0.1:{port}" for name, port in of_mode("simulator").items()}
    folder.mkdir()
    programs = tiers(Home(folder), addresses, CUSTOMERS, "simulator", None)
    return {program.name: program for tier in programs for program in tier}


def test_no_two_programs_have_the_same_fixed_port() -> None:
    webhooks = int(str(LLAMA_CLOUD_WEBHOOK_BIND.default).rpartition(":")[2])
    ports = [*FIXED.values(), *SIMULATORS.values(), webhooks]
    assert len(set(ports)) == len(ports)


def test_each_vendor_has_its_simulator_and_what_one_keeps_is_in_the_state_folder(tmp_path: Path) -> None:
    programs = table(tmp_path / "home")
    for vendor in VENDORS:
        assert ("--data" in programs[vendor.name].command) is vendor.simulator_keeps
    assert str(tmp_path / "home" / "simulators" / "supabase") in programs[SUPABASE.name].command


def test_storage_alone_sees_the_simulated_project_and_nobody_the_real_one(tmp_path: Path) -> None:
    programs = table(tmp_path / "home")
    for name in (*SERVICES, *(vendor.name for vendor in VENDORS)):
        seen = {one: text for one, text in programs[name].environment.items() if one.startswith("SUPABASE_")}
        assert not set(CUSTOMERS.values()) & set(seen.values())
        assert bool(seen) is (name == SUPABASE.service)
    storage = programs["storage"].environment
    assert storage["SUPABASE_URL"] == f"http://127.0.0.1:{SUPABASE.simulator_port}"
    assert storage["SUPABASE_KEY"] == SUPABASE.simulator_key
