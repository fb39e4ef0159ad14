"""The check of each vendor in the registry."""

from __future__ import annotations

from waybill.cli.checks.check import Check
from waybill.cli.checks.llamaparse import LlamaParseCheck
from waybill.cli.checks.supabase import SupabaseCheck
from waybill.vendors.registry import LLAMAPARSE, SUPABASE, VENDORS

_OWN: dict[str, type[Check]] = {LLAMAPARSE.name: LlamaParseCheck, SUPABASE.name: SupabaseCheck}
CHECKS = tuple(_OWN.get(vendor.name, Check)(vendor) for vendor in VENDORS)
