"""TLS: a server's certificate, read again when its files change, and channels to https:// addresses."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import grpc

from waybill.runtime.errors import InvalidRequest

SCHEME = "https://"
LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")
_LOOK_SECONDS = 2.0
_Seen = tuple[tuple[int, int, int], ...]


def is_tls(address: str) -> bool:
    """Whether an address is spoken to by TLS: https://host:port, in place of host:port."""
    return address.startswith(SCHEME)


def is_loopback(address: str) -> bool:
    """Whether host:port, with https:// or without, is on this machine."""
    return address.removeprefix(SCHEME).rpartition(":")[0] in LOOPBACK


def target(address: str) -> str:
    """host:port of an address."""
    return address.removeprefix(SCHEME).rstrip("/")


def channel_credentials(ca_file: Path | None) -> grpc.ChannelCredentials:
    """What a channel trusts.

    Args:
        ca_file: PEM of the authorities; None: those that gRPC brings.

    Raises:
        InvalidRequest: CA_UNREADABLE.
    """
    try:
        return grpc.ssl_channel_credentials(ca_file.read_bytes() if ca_file else None)
    except OSError as error:
        raise InvalidRequest("CA_UNREADABLE", f"WAYBILL_TLS_CA_FILE, {ca_file}: {error.strerror}.") from None


@dataclass(frozen=True)
class Certificate:
    """A server's certificate and key, as PEM files.

    Attributes:
        cert_file: The certificate, those of intermediate authorities behind it.
        key_file: Its private key, without a passphrase.
    """

    cert_file: Path
    key_file: Path

    def fault(self) -> str:
        """Why the two cannot be used together, in a sentence without its full stop; empty: they can."""
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
                # Never asked for: a prompt would hold the process.
                self.cert_file,
                self.key_file,
                password="",
            )
        except ssl.SSLError as error:
            return f"{self.cert_file} and {self.key_file} are no certificate and its key: {error.reason}"
        except OSError as error:
            return f"{self.cert_file} or {self.key_file} cannot be read: {error.strerror}"
        return ""

    def credentials(self) -> grpc.ServerCredentials:
        """Server credentials that follow the files: each new connection gets what they hold by then.

        Files that cannot be used, as between the writing of the one and of the other: gRPC passes them over.
        """
        followed = _Followed(self)
        # None means: as before; the types do not know that.
        fetch = cast(Callable[[], grpc.ServerCertificateConfiguration], followed.changed)
        return grpc.dynamic_ssl_server_credentials(followed.first(), fetch)

    def configuration(self) -> grpc.ServerCertificateConfiguration:
        """As gRPC takes it. Raises OSError."""
        pair = (self.key_file.read_bytes(), self.cert_file.read_bytes())
        return grpc.ssl_server_certificate_configuration([pair])

    def seen(self) -> _Seen:
        """What tells one state of the files from another. Raises OSError."""
        stats = (file.stat() for file in (self.cert_file, self.key_file))
        return tuple((stat.st_mtime_ns, stat.st_size, stat.st_ino) for stat in stats)


class _Followed:
    """A certificate's files as they were last used; asked by gRPC's threads at each handshake."""

    def __init__(self, certificate: Certificate) -> None:
        self._certificate = certificate
        self._lock = threading.Lock()
        self._seen = certificate.seen()

    def first(self) -> grpc.ServerCertificateConfiguration:
        return self._certificate.configuration()

    def changed(self) -> grpc.ServerCertificateConfiguration | None:
        """The new configuration; None: go on with the last one."""
        with self._lock:
            try:
                seen = self._certificate.seen()
                if seen == self._seen:
                    return None
                self._seen = seen
                return self._certificate.configuration()
            except OSError:
                return None


class Closed(ssl.SSLSocket):
    """Closed when nobody holds it: `wrap_socket` drops it open where the other side has reset."""

    def __del__(self) -> None:
        self.close()


def mismatch(address: str, ca_file: Path | None) -> str:
    """Why TLS does not come to stand with a server that answers; empty where TLS is not what is wrong.

    Args:
        address: As it was called, with https:// or without.
        ca_file: PEM of the authorities that were trusted.
    """
    host, _, port = target(address).rpartition(":")
    context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    if not is_tls(address):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    context.sslsocket_class = Closed
    try:
        plain = socket.create_connection((host.strip("[]"), int(port)), _LOOK_SECONDS)
    except (OSError, ValueError):
        return ""
    with plain:
        try:
            context.wrap_socket(plain, server_hostname=host.strip("[]")).close()
        except ssl.SSLCertVerificationError as error:
            return (
                f"The certificate of {target(address)} is not trusted here: {error.verify_message}. Set "
                "WAYBILL_TLS_CA_FILE to the authority that signed it, and call the server by a name in it."
            )
        except OSError:  # SSLError is one
            wrong = f"{target(address)} does not speak TLS. Leave https:// out of its address."
            return wrong if is_tls(address) else ""
    return "" if is_tls(address) else f"{address} speaks TLS. Write its address as {SCHEME}{address}."
