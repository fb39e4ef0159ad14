"""Settings from the environment: declared once, typed, and every missing or wrong one told at once.

A setting is declared as a `Setting`: those of every process in `runtime.settings`, all others in
`waybill.settings`. A service's `config.py` builds a frozen dataclass from what is declared:

    settings = read(os.environ)
    config = StorageConfig(objects_dir=settings.path(OBJECTS_DIR), ...)
    settings.check()
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from waybill.common.v1.backend_pb2 import Mode
from waybill.runtime.places import MIGRATIONS as OUR_MIGRATIONS
from waybill.runtime.settings import ENV, MIGRATIONS, MODE, Setting


class ConfigError(SystemExit):
    """The environment does not say enough to start; the text names every variable at fault."""


def backend_of(mode: str, vendor: str) -> str:
    """A service's backend where its own setting does not say: the vendor's, but in local mode."""
    return "local" if mode == "local" else vendor


@dataclass
class Settings:
    """Reads variables and collects what is wrong with them, so that one message can tell all."""

    _environ: Mapping[str, str]

    def __post_init__(self) -> None:
        self._faults: list[str] = []

    def text(self, setting: Setting, default: str | None = None) -> str:
        """A variable's text. One with no default, here or declared, is required."""
        value = self._environ.get(setting.name, "") or default
        if value is None:
            value = setting.default
        if value is None:
            self._faults.append(f"{setting.name} is not set")
        return value or ""

    def integer(self, setting: Setting, default: int | None = None, maximum: int | None = None) -> int:
        """A whole number within the setting's bounds, and `maximum` where another setting gives one."""
        raw = self.text(setting, None if default is None else str(default))
        try:
            value = int(raw or 0)
        except ValueError:
            self._faults.append(f"{setting.name} is {raw!r}, which is not a whole number")
            return int(setting.default or 0)
        most = setting.most if maximum is None else maximum
        if setting.least is not None and value < setting.least:
            self._faults.append(f"{setting.name} is {value}; the least is {setting.least}")
        if most is not None and value > most:
            self._faults.append(f"{setting.name} is {value}; the most is {most}")
        return value

    def choice(self, setting: Setting, default: str | None = None) -> str:
        """One of the setting's closed set of words."""
        value = self.text(setting, default)
        if value not in setting.choices:
            self._faults.append(f"{setting.name} is {value!r}; it may be {', '.join(setting.choices)}")
        return value

    def backend(self, setting: Setting) -> str:
        """A service's backend: its own variable, else WAYBILL_MODE's. Production is never local.

        Args:
            setting: Its choices are `local`, and last the vendor that simulator mode takes.
        """
        mode = self.choice(MODE)
        backend = self.choice(setting, backend_of(mode, setting.choices[-1]))
        if self.text(ENV) == "production":
            if backend == "local":
                self._faults.append(f"{setting.name} is 'local', which WAYBILL_ENV=production refuses")
            if mode == "simulator":
                self._faults.append("WAYBILL_MODE is 'simulator', which WAYBILL_ENV=production refuses")
            if setting.name == "PARSER_BACKEND" and self.mode(setting) == Mode.MODE_HYBRID:
                self._faults.append(
                    "WAYBILL_MODE is 'hybrid' and PARSER_BACKEND is not set: documents would be parsed "
                    "locally, which WAYBILL_ENV=production refuses; set PARSER_BACKEND"
                )
        return backend

    def mode(self, setting: Setting) -> Mode:
        """How a service's backend is chosen: one that its own setting names does the work, and no other.

        Args:
            setting: See `backend`.
        """
        pinned, mode = self.text(setting, ""), self.choice(MODE)
        if pinned:
            return Mode.MODE_LOCAL if pinned == "local" else Mode.MODE_REAL
        return {"local": Mode.MODE_LOCAL, "hybrid": Mode.MODE_HYBRID}.get(mode, Mode.MODE_REAL)

    def lacking(self, setting: Setting, read: Callable[[Settings], object]) -> Sequence[str]:
        """Why a service that works locally has no vendor: its variables, in words, and what the vendor lacks.

        Args:
            setting: See `backend`.
            read: Reads the vendor's settings; nothing of them is a fault of the start.
        """
        vendors = Settings(self._environ)
        read(vendors)
        named = setting if self.text(setting, "") else MODE
        return (f"{named.name} is {self.text(named)!r}", *vendors.faults)

    def path(self, setting: Setting, default: str | None = None) -> Path:
        """A path, as given."""
        return Path(self.text(setting, default))

    def migrations(self) -> Path:
        """WAYBILL_MIGRATIONS, else those that belong to this code."""
        return self.path(MIGRATIONS, str(OUR_MIGRATIONS))

    @property
    def faults(self) -> Sequence[str]:
        """What was missing or wrong so far, a sentence each without its full stop."""
        return self._faults

    def fault(self, text: str) -> None:
        """Adds a rule of the caller's own that does not hold."""
        self._faults.append(text)

    def check(self) -> None:
        """Raises ConfigError when anything was missing or wrong."""
        if self._faults:
            lines = "\n".join(f"  - {fault}" for fault in self._faults)
            raise ConfigError(f"cannot start, the environment needs mending:\n{lines}")
