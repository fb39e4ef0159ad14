"""Settings from the environment: typed, and every missing or wrong name told at once.

A service's `config.py` declares a frozen dataclass and builds it with `Settings`:

    settings = Settings(os.environ)
    config = StorageConfig(bind=settings.text("WAYBILL_BIND", "127.0.0.1:7402"), ...)
    settings.check()
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from waybill.runtime.places import MIGRATIONS


class ConfigError(SystemExit):
    """The environment does not say enough to start; the text names every variable at fault."""


class Settings:
    """Reads variables and collects what is wrong with them, so that one message can tell all."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self._faults: list[str] = []

    def text(self, name: str, default: str | None = None) -> str:
        """A variable's text; without a default it is required."""
        value = self._environ.get(name, "")
        if value:
            return value
        if default is None:
            self._faults.append(f"{name} is not set")
        return default or ""

    def integer(self, name: str, default: int, *, minimum: int = 0, maximum: int | None = None) -> int:
        """A whole number of at least `minimum` and, where there is one, at most `maximum`."""
        raw = self._environ.get(name, "")
        if not raw:
            return default
        try:
            value = int(raw)
        except ValueError:
            self._faults.append(f"{name} is {raw!r}, which is not a whole number")
            return default
        if value < minimum:
            self._faults.append(f"{name} is {value}; the least is {minimum}")
        if maximum is not None and value > maximum:
            self._faults.append(f"{name} is {value}; the most is {maximum}")
        return value

    def choice(self, name: str, default: str, choices: tuple[str, ...]) -> str:
        """One of a closed set of words."""
        value = self._environ.get(name, "") or default
        if value not in choices:
            self._faults.append(f"{name} is {value!r}; it may be {', '.join(choices)}")
        return value

    def backend(self, name: str, working: tuple[str, ...]) -> str:
        """A service's backend: its own variable, else WAYBILL_MODE's. Production is never local.

        Args:
            name: The variable.
            working: `local`, and the vendor that simulator mode takes.
        """
        mode = self.choice("WAYBILL_MODE", "local", ("local", "simulator"))
        backend = self.choice(name, working[-1] if mode == "simulator" else "local", working)
        if self._environ.get("WAYBILL_ENV") == "production":
            if backend == "local":
                self._faults.append(f"{name} is 'local', which WAYBILL_ENV=production refuses")
            if mode == "simulator":
                self._faults.append("WAYBILL_MODE is 'simulator', which WAYBILL_ENV=production refuses")
        return backend

    def path(self, name: str, default: str | None = None) -> Path:
        """A path, as given."""
        return Path(self.text(name, default))

    def migrations(self) -> Path:
        """WAYBILL_MIGRATIONS, else those that belong to this code."""
        return self.path("WAYBILL_MIGRATIONS", str(MIGRATIONS))

    def fault(self, text: str) -> None:
        """Adds a rule of the caller's own that does not hold."""
        self._faults.append(text)

    def check(self) -> None:
        """Raises ConfigError when anything was missing or wrong."""
        if self._faults:
            lines = "\n".join(f"  - {fault}" for fault in self._faults)
            raise ConfigError(f"cannot start, the environment needs mending:\n{lines}")
