"""The servers that a client talks to, and what a reference names at which."""

from __future__ import annotations

import re
import threading
from types import TracebackType
from typing import Self

from regsvc import refs
from regsvc.client.connection import Connection
from regsvc.errors import NameInvalid

DEFAULT_PORT = 7070
_ENDPOINT = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+(?:%\w+)?\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?", re.ASCII
)


class Connections:
    """The servers that a client talks to, and what a reference names at which."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = _target(endpoint)
        self._lock = threading.Lock()  # protects _connections
        self._connections: dict[str, Connection] = {}

    def close(self) -> None:
        """Close the connections; what is under way ends with an error."""
        with self._lock:
            for connection in self._connections.values():
                connection.close()
            self._connections.clear()

    def waiting_for(self) -> list[str]:
        """Servers that something was asked of and that cannot be reached just now."""
        with self._lock:
            connections = list(self._connections.values())
        return [each.target for each in connections if each.is_waiting()]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _connection(self, server: str | None) -> Connection:
        target = self.endpoint if server is None else _target(server)
        with self._lock:
            if target not in self._connections:
                self._connections[target] = Connection(target)
            return self._connections[target]

    def _source(self, text: str) -> tuple[Connection, refs.VersionRef | refs.BuildName]:
        server, source = refs.parse_source(text)
        return self._connection(server), source

    def _build(self, text: str) -> tuple[Connection, str]:
        server, found = refs.parse_source(text)
        if not isinstance(found, refs.BuildName):
            found = refs.parse_build(text)  # which says what is expected
        return self._connection(server), str(found)

    def _model(self, text: str) -> tuple[Connection, refs.ModelName]:
        reference = refs.parse_reference(text)
        if reference.version != refs.VersionRef(reference.version.model):
            raise NameInvalid(f"'{text}' names a version; a model is expected", name=text)
        return self._connection(reference.server), reference.version.model

    def _alias(self, text: str) -> tuple[Connection, refs.AliasName]:
        if not text.startswith("regsvc://"):
            return self._connection(None), refs.parse_alias(text)
        reference = refs.parse_reference(text)
        if reference.version.alias is None:
            raise NameInvalid(f"'{text}' names no alias", name=text)
        name = refs.AliasName(reference.version.model, reference.version.alias)
        return self._connection(reference.server), name


def _target(endpoint: str) -> str:
    """What gRPC takes: a `regsvc://` prefix is for people, and the port may be left out. Raises `NameInvalid`."""
    if endpoint.startswith("unix:") and len(endpoint) > len("unix:"):
        return endpoint
    found = _ENDPOINT.fullmatch(endpoint.removeprefix("regsvc://").removesuffix("/"))
    if found is None or not 0 < int(found["port"] or DEFAULT_PORT) < 1 << 16:
        printable = endpoint[:80].encode("unicode_escape").decode("ascii")
        raise NameInvalid(
            f"'{printable}' is no server: expected HOST, HOST:PORT, [IPV6]:PORT or unix:/PATH, without http:// and"
            f" without a path; the port is {DEFAULT_PORT} when left out",
            name=printable,
        )
    return f"{found['host']}:{found['port'] or DEFAULT_PORT}"
