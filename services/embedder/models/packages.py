"""Packages that a model needs: found where they are installed, else told how to install."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import Any

from waybill.runtime.errors import Precondition


def required(module: str, extra: str) -> Any:
    """Imports a module of an optional extra.

    Raises:
        Precondition: PACKAGE_MISSING.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise Precondition(
            "PACKAGE_MISSING",
            f"The local model needs the package {error.name}. Install it: pip install 'waybill[{extra}]'"
            f" (in a checkout: .venv/bin/python -m pip install -e '.[{extra}]').",
        ) from None


def folder(name: str) -> Path:
    """A package's folder, found without importing the package.

    Raises:
        Precondition: PACKAGE_MISSING.
    """
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise Precondition("PACKAGE_MISSING", f"The package {name} is missing. Run `make demo` or reinstall.")
    return Path(spec.submodule_search_locations[0])
