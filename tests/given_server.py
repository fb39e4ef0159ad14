"""A Postgres that is none of the stack's: its own folder and process, an administrator who is no superuser,
and a door that speaks TLS alone.

The door stands before Postgres because the wheel's server is built without TLS. It asks for TLS as Postgres'
own does (SSLRequest), and lets nobody in without.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import socketserver
import ssl
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psycopg
from psycopg import sql

from tests import certificates
from tests.certificates import Certificates
from tests.waiting import eventually
from waybill.runtime.tls import Closed
from waybill.stack import ports, postgres
from waybill.stack.postgres import Postgres

ADMIN = "project"
DATABASE = "theirs"
SSL_REQUEST, GSS_REQUEST = 80_877_103, 80_877_104
PIECE_BYTES = 65_536


@dataclass
class GivenServer:
    """Somebody's server.

    Args:
        folder: Where its data are.
        tls: Of its door.
        door: Its port with TLS.
    """

    folder: Path
    tls: Certificates
    door: int
    _server: Postgres
    _running: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def superuser_url(self) -> str:
        """Past the door, as the platform itself."""
        return self._server.url().removesuffix("postgres") + DATABASE

    @property
    def admin_url(self) -> str:
        """What its user gets: no superuser, through the door, TLS with the CA checked."""
        tls = f"sslmode=verify-full&sslrootcert={quote(str(self.tls.authority))}"
        return f"postgresql://{ADMIN}:{ADMIN}@127.0.0.1:{self.door}/{DATABASE}?{tls}"

    @property
    def plain_port(self) -> int:
        """Past the door."""
        return self._server.port

    def start(self) -> None:
        """Starts Postgres."""
        self._running.enter_context(postgres.running(self._server, self.folder / "log"))

    def stop(self) -> None:
        """Stops it as an administrator's restart does: sessions are ended."""
        self._running.close()

    def set(self, setting: str, value: str) -> None:
        """Changes a setting for every session, those that are open too.

        A session that begins has it once the server has told those that are open.
        """
        with psycopg.connect(self.superuser_url, autocommit=True) as connection:
            connection.execute("set default_transaction_read_only = off")
            change = sql.SQL("alter system set {} = {}").format(sql.Identifier(setting), sql.Literal(value))
            connection.execute(change)
            connection.execute("select pg_reload_conf()")
        eventually(lambda: self.rows(f"show {setting}") == [(value,)], f"{setting} is {value}")

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """What is in it."""
        with psycopg.connect(self.superuser_url) as connection:
            return connection.execute(query.encode()).fetchall()


@contextlib.contextmanager
def given_server(folder: Path) -> Iterator[GivenServer]:
    """A server that somebody else has, with pgvector in `public`; it runs for the length of the block."""
    tls = certificates.made(folder)
    own = Postgres(folder / "postgres", ports.free_ports(1)[0], secrets.token_urlsafe(24))
    with _door(own.port, tls) as door:
        server = GivenServer(folder, tls, door, own)
        server.start()
        try:
            with psycopg.connect(own.url(), autocommit=True) as connection:
                connection.execute(f"create role {ADMIN} login createrole password '{ADMIN}'".encode())
                connection.execute(f"create database {DATABASE} owner {ADMIN}".encode())
            with psycopg.connect(server.superuser_url, autocommit=True) as connection:
                connection.execute("create extension vector; create table public.somebodys (number int)")
            yield server
        finally:
            server.stop()


@contextlib.contextmanager
def _door(port: int, tls: Certificates) -> Iterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.certificate, tls.key)
    context.set_alpn_protocols(["postgresql"])
    context.sslsocket_class = Closed

    class Door(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                self._enter()

        def _enter(self) -> None:
            while (request := struct.unpack(">ii", _exactly(self.request, 8)))[1] == GSS_REQUEST:
                self.request.sendall(b"N")
            if request[1] != SSL_REQUEST:
                return  # a start without TLS
            self.request.sendall(b"S")
            with (
                context.wrap_socket(self.request, server_side=True) as client,
                socket.create_connection(("127.0.0.1", port)) as behind,
            ):
                back = threading.Thread(target=_pass, args=(behind, client))
                back.start()
                _pass(client, behind)
                back.join()

    with _Server(("127.0.0.1", 0), Door) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64


def _exactly(source: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size:
        piece = source.recv(size - len(got))
        if not piece:
            raise ConnectionError("closed before it said what it wants")
        got += piece
    return got


def _pass(source: socket.socket, target: socket.socket) -> None:
    """What one side says to the other, until it says no more; then neither hears anything."""
    with contextlib.suppress(OSError):
        while piece := source.recv(PIECE_BYTES):
            target.sendall(piece)
    for one in (source, target):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
