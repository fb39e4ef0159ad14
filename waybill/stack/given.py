"""A Postgres that is not ours: where it is, and how each role gets there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode


@dataclass(frozen=True)
class Given:
    """Where the services connect; it holds no password.

    Args:
        host: A name, an address, or the folder of a socket.
        port: As text.
        database: Its name.
        parameters: Of the URL, such as sslmode and sslrootcert.
        suffix: What a pooler wants after each role's name, such as `.abcdefgh`; mostly empty.
    """

    host: str
    port: str
    database: str
    parameters: Mapping[str, str]
    suffix: str = ""

    @property
    def address(self) -> str:
        """host:port, for people."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def url(self, role: str, password: str) -> str:
        """Where a role of ours connects."""
        return self.url_of(f"{role}{self.suffix}", password)

    def url_of(self, user: str, password: str) -> str:
        """Where a user connects, whose name is as the server's own pooler wants it."""
        credentials = f"{quote(user, safe='')}:{quote(password, safe='')}"
        socket = self.host.startswith("/")
        place = "" if socket else self.address
        parameters = {**self.parameters, **({"host": self.host, "port": self.port} if socket else {})}
        query = f"?{urlencode(parameters, quote_via=quote)}" if parameters else ""
        return f"postgresql://{credentials}@{place}/{quote(self.database, safe='')}{query}"
