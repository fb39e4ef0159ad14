"""Runs a service: `python -P -m waybill.stack.service storage`, in a checkout and from a wheel alike."""

from __future__ import annotations

import runpy
import sys

from waybill.runtime.places import ROOT

if __name__ == "__main__":
    # First, so that another distribution's `services` is not ours.
    sys.path.insert(0, str(ROOT))
    runpy.run_module(f"services.{sys.argv[1]}", run_name="__main__", alter_sys=True)
