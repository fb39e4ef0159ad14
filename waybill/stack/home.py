"""The state folder: where it is, what stands in it, and the secrets made once for it."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from waybill.runtime.errors import NotFound, Precondition
from waybill.runtime.places import INSTALLED, ROOT
from waybill.settings import ROLES
from waybill.stack.config import ADMIN

NAME = ".waybill"
SHARED = Path("/var/lib/waybill")


@dataclass(frozen=True)
class Home:
    """A state folder and the places in it."""

    folder: Path

    @property
    def state(self) -> Path:
        """What runs now, or ran last."""
        return self.folder / "stack.json"

    @property
    def lock(self) -> Path:
        """Held by the supervisor as long as it lives."""
        return self.folder / "lock"

    @property
    def logs(self) -> Path:
        """One file a program."""
        return self.folder / "logs"

    @property
    def postgres(self) -> Path:
        """The embedded server's folder."""
        return self.folder / "postgres"

    @property
    def objects(self) -> Path:
        """The storage service's files."""
        return self.folder / "objects"

    def simulator(self, name: str) -> Path:
        """What a simulator keeps."""
        return self.folder / "simulators" / name

    def log(self, name: str) -> Path:
        """A program's log."""
        return self.logs / f"{name}.log"

    def prepare(self) -> None:
        """Makes the folders.

        Raises:
            Precondition: HOME_UNUSABLE, they cannot be written, or belong to someone else.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if self.folder.stat().st_uid != os.geteuid():
                raise Precondition(
                    "HOME_UNUSABLE", f"The state folder {self.folder} belongs to another user."
                )
            # Others may pass, not look: as root, Postgres' unprivileged user has its folder in here.
            self.folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
            for place in (self.logs, self.objects):
                place.mkdir(mode=0o700, exist_ok=True)
            self.lock.touch(mode=0o600)
        except OSError as error:
            raise Precondition(
                "HOME_UNUSABLE", f"The state folder {self.folder} cannot be written: {error.strerror}."
            ) from error

    def passwords(self) -> Mapping[str, str]:
        """The database passwords by role, made at the first call into a file that only we can read."""
        path = self.folder / "secrets.json"
        if not path.exists():
            if (self.postgres / "data").exists():
                raise Precondition(
                    "HOME_UNUSABLE",
                    f"{path} is missing, and without it the data beside it cannot be opened: "
                    f"bring it back, or move {self.postgres} away to start empty.",
                )
            made = {role: secrets.token_urlsafe(24) for role in (ADMIN, *ROLES)}
            write_private(path, json.dumps(made, indent=1))
        found: dict[str, str] = json.loads(path.read_text())
        return found

    @property
    def token(self) -> Path:
        """The file of the stack's token."""
        return self.folder / "stack.token"

    def stack_token(self) -> str:
        """What callers show where a backend costs money."""
        return _made_once(self.token)

    def service_secret(self) -> str:
        """What the services show each other."""
        return _made_once(self.folder / "service.secret")


def _made_once(path: Path) -> str:
    """A secret, made at the first call into a file that only we can read."""
    if not path.exists():
        write_private(path, secrets.token_urlsafe(32))
    return path.read_text().strip()


def find(environ: Mapping[str, str], start: Path | None = None, *, root: bool | None = None) -> Home:
    """WAYBILL_HOME, else the nearest `.waybill/` upward, else the checkout's, or `./.waybill`.

    For root below a closed folder it is a place that Postgres' unprivileged user can reach.

    Args:
        environ: Where WAYBILL_HOME may be.
        start: The folder to look upward from; the one that we are in by default.
        root: Whether we are root; asked of the system by default.

    Raises:
        NotFound: WORKING_FOLDER_GONE, where it is needed and was deleted.
    """
    folder = _wanted(environ, start)
    if root if root is not None else os.geteuid() == 0:
        closed = (
            parent for parent in folder.parents if parent.exists() and not parent.stat().st_mode & 0o001
        )
        if any(closed):
            return Home(SHARED / hashlib.sha256(str(folder).encode()).hexdigest()[:12])
    return Home(folder)


def write_private(path: Path, text: str) -> None:
    """Writes a file whole or not at all, readable by its owner alone."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_text(text)
    fresh.replace(path)


def _wanted(environ: Mapping[str, str], start: Path | None) -> Path:
    named = environ.get("WAYBILL_HOME", "")
    if named:
        return Path(named).expanduser().resolve()
    try:
        start = (start or Path.cwd()).resolve()
    except FileNotFoundError:
        raise NotFound("WORKING_FOLDER_GONE", "The folder that you are in was deleted.") from None
    for folder in (start, *start.parents):
        candidate = folder / NAME
        # Another user's folder above us must not choose our database and secrets.
        if candidate.is_dir() and candidate.stat().st_uid == os.geteuid():
            return candidate
    return (start if INSTALLED else ROOT) / NAME
