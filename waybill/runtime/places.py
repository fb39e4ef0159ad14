"""Where services, migrations, examples and docs stand: beside `waybill/`, or in it when installed.

A wheel holds them in `waybill/bundle/`, so that an install claims no second name such as `services`.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
_BUNDLE = _PACKAGE / "bundle"
INSTALLED = _BUNDLE.is_dir()
ROOT = _BUNDLE if INSTALLED else _PACKAGE.parent
MIGRATIONS = ROOT / "supabase" / "migrations"
EXAMPLES = ROOT / "examples"
DOCS = ROOT / "docs"
