"""`waybill bill --focus` before the FinOps Foundation's own validator.

It knows FOCUS 1.0: what was renamed since gets its older name, and what 1.2 asks for no longer of everybody
stands empty. One of its rules still asks for ChargeType, which is ChargeCategory.
"""

from __future__ import annotations

import csv
import shutil
import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from tests.cli.test_focus import some_lines
from tests.install.conftest import Environment, uv
from waybill.cli.focus import as_focus
from waybill.cli.report import By, Report
from waybill.cli.spans import days

VALIDATOR = ("focus-validator==1.0.0", "multimethod<2", "setuptools<81")
RENAMED = {"InvoiceIssuerName": "InvoiceIssuer", "ProviderName": "Provider", "PublisherName": "Publisher"}
EMPTY = (
    "AvailabilityZone", "CommitmentDiscountCategory", "CommitmentDiscountId", "CommitmentDiscountName",
    "CommitmentDiscountStatus", "CommitmentDiscountType", "RegionId", "RegionName", "ResourceID",
    "ResourceName", "ResourceType",
)  # fmt: skip


@pytest.mark.slow
def test_the_validator_of_focus_finds_nothing(tmp_path: Path) -> None:
    if shutil.which("uv") is None or sys.version_info >= (3, 13):
        pytest.skip("the validator takes uv to install, and a numpy that Python 3.13 has not")
    made = Environment(tmp_path / "environment", tmp_path)
    assert uv("venv", "--python", sys.executable, made.folder).returncode == 0
    result = uv("pip", "install", "--python", made.python, *VALIDATOR)
    if result.returncode:
        pytest.skip(f"the validator cannot be installed: {result.stderr}")
    report = Report(days("7d", "", date(2026, 12, 31)), By.DAY, some_lines(), [])
    rows = list(csv.DictReader(as_focus(report, "local").splitlines()))
    file = tmp_path / "focus.csv"
    with file.open("w", newline="") as out:
        header = [RENAMED.get(name, name) for name in rows[0]]
        writer = csv.writer(out)
        writer.writerow([*header, "ChargeType", *EMPTY])
        writer.writerows([*row.values(), row["ChargeCategory"], *("" for _ in EMPTY)] for row in rows)
    # It looks for its list of currencies from the folder that it is installed in.
    (packages,) = made.folder.glob("lib/*/site-packages")
    checked = replace(made, work=packages).run(
        "focus-validator", "--data-file", file, "--validate-version", "1.0"
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "failed" not in checked.stdout.casefold(), checked.stdout
    # It does find what is wrong.
    file.write_text(file.read_text().replace(",USD,", ",dollars,"))
    wrong = replace(made, work=packages).run(
        "focus-validator", "--data-file", file, "--validate-version", "1.0"
    )
    assert "BillingCurrency" in wrong.stdout
