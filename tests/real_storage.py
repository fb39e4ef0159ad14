"""Runs the real storage server of Supabase beside a Postgres with our migrations, until it is interrupted.

    .venv/bin/python -m tests.real_storage FOLDER

FOLDER is a built checkout of its source, see docs/supabase.md. What is printed is for the shell that runs the
tests. No API gateway stands before it: keys are tokens, and the API has no prefix.
"""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import jwt
import psycopg

from waybill.stack import ports, postgres
from waybill.stack.migrate import migrate
from waybill.stack.process import wait_until

SECRET = "a-secret-of-the-tests-that-everybody-may-know"
START_SECONDS = 60.0
MOST_BYTES = 1 << 30
# What a project's own Postgres brings, and this server expects.
PLATFORM = """
create schema auth;
grant usage on schema auth to public;
create function auth.jwt() returns jsonb language sql stable
    return nullif(current_setting('request.jwt.claims', true), '')::jsonb;
create function auth.uid() returns uuid language sql stable return nullif(auth.jwt() ->> 'sub', '')::uuid;
create function auth.role() returns text language sql stable return auth.jwt() ->> 'role';
"""


def key_of(role: str) -> str:
    """A token of a role, as the older kind of API key is."""
    return jwt.encode({"role": role, "iss": "supabase", "exp": 4_000_000_000}, SECRET, "HS256")


def settings(database_url: str, port: int, admin_port: int, objects: Path) -> Mapping[str, str]:
    """One tenant, files on disk, loopback."""
    return {
        "PATH": os.environ["PATH"],
        "NODE_ENV": "production",
        "SERVER_HOST": "127.0.0.1",
        "SERVER_PORT": str(port),
        "SERVER_ADMIN_PORT": str(admin_port),
        "SERVER_ADMIN_API_KEYS": "none",
        "DATABASE_URL": database_url,
        "DB_INSTALL_ROLES": "true",
        "AUTH_JWT_SECRET": SECRET,
        "ANON_KEY": key_of("anon"),
        "SERVICE_KEY": key_of("service_role"),
        "UPLOAD_FILE_SIZE_LIMIT": str(MOST_BYTES),
        "UPLOAD_FILE_SIZE_LIMIT_STANDARD": str(MOST_BYTES),
        "UPLOAD_SIGNED_URL_EXPIRATION_TIME": "7200",
        "STORAGE_BACKEND": "file",
        "STORAGE_FILE_BACKEND_PATH": str(objects),
        "STORAGE_S3_REGION": "local",
        "PG_QUEUE_ENABLE": "false",
        "LOG_LEVEL": "warn",
    }


@contextmanager
def running(checkout: Path, folder: Path) -> Iterator[str]:
    """The server for the length of a block; yields its address."""
    database_port, port, admin_port = ports.free_ports(3)
    server = postgres.Postgres(folder / "postgres", database_port, "a-password-of-the-tests")
    with postgres.running(server, folder / "postgres.log"), (folder / "storage.log").open("wb") as log:
        with psycopg.connect(server.url(), autocommit=True) as connection:
            connection.execute(PLATFORM)
        (folder / "objects").mkdir()
        environment = settings(server.url(), port, admin_port, folder / "objects")
        words = ["node", "dist/start/server.js"]
        child = subprocess.Popen(words, cwd=checkout, env=environment, stdout=log, stderr=log)
        try:
            if not wait_until(lambda: _answers(port), START_SECONDS):
                raise TimeoutError(f"the storage server did not start; {log.name} says why")
            # The bucket and its policies come last, once the server has made its tables.
            migrate(server.url(), {})
            yield f"http://127.0.0.1:{port}"
        finally:
            child.terminate()
            child.wait(20)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/status")
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()


def main() -> None:
    """Runs it until Ctrl-C or SIGTERM."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = Path(tempfile.mkdtemp(prefix="waybill-real-storage-"))
    folder.chmod(0o711)
    try:
        with running(Path(sys.argv[1]).resolve(), folder) as url:
            sys.stdout.write(
                f"export WAYBILL_LIVE_SUPABASE_URL={url} WAYBILL_LIVE_SUPABASE_KEY={key_of('service_role')}"
                f" WAYBILL_LIVE_SUPABASE_JWT_SECRET={SECRET}\n"
            )
            sys.stdout.flush()
            signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
