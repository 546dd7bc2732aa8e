"""Sends webhooks over HTTP: no redirects, no proxies, no cookies, and to no address that is not allowed.

Whoever may make a webhook names a URL that the server sends to, from within its own network. So every socket is
checked for the address that it is about to connect to, after all names are resolved: a name that has a public address
when it is checked, and another when it is used, gains nothing.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from regsvc.catalog.database import now_us
from regsvc.content.signing import signed_headers
from regsvc.errors import InvalidArgument
from regsvc.server.workers import Workers
from regsvc.service.addresses import is_public
from regsvc.service.outgoing import Message
from regsvc.service.webhooks import Outcome
from regsvc.version import __version__

MOST_AT_ONCE = 64
"""Messages under way, so that targets that hang do not hold up others: each is given up after the timeout."""
RESOLVERS = 16
"""Threads that wait for names."""
READ_BYTES = 64 << 10
"""Of an answer's body: enough for a polite target to finish it."""
READ_SECONDS = 2.0
"""For the body; the status has said everything."""
CHECK_SECONDS = 3.0
"""For the name in a URL that is being set; one that cannot be resolved yet is taken."""
CLOCKS_APART = 300
"""Seconds; targets refuse older and newer messages, as the specification asks for."""

_HEADERS = {
    "content-type": "application/json",
    "user-agent": f"regsvc/{__version__}",
    "accept-encoding": "identity",
}

Resolve = Callable[[str, int, int], Sequence[Any]]
"""`host, port, family` to what `socket.getaddrinfo` gives."""


class AddressRefused(OSError):
    """The target has no address that is allowed."""


class Poster:
    """Belongs to one event loop; `close` it there."""

    def __init__(self, timeout: float, *, allow_private: bool, resolve: Resolve | None = None):
        self._timeout = timeout
        self._allow_private = allow_private
        self._resolver = _Resolver(resolve or _getaddrinfo, allow_private=allow_private)
        self._slots = asyncio.Semaphore(MOST_AT_ONCE)
        self._opened: aiohttp.ClientSession | None = None

    async def check(self, url: str) -> None:
        """Raises `InvalidArgument` when all addresses of a URL are refused. The same is asked at every connection."""
        parts = urlsplit(url)
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await self._resolver.resolve(parts.hostname or "", parts.port or 0)
        except AddressRefused:
            raise InvalidArgument("the URL leads to an address that this server does not send to") from None
        except (OSError, TimeoutError, UnicodeError):
            return

    async def post(self, url: str, message: Message, secrets: Sequence[str]) -> Outcome:
        """Send a message, and tell what came of it. Never raises for anything that the target does."""
        async with self._slots:
            at, begun = now_us(), time.monotonic()
            headers = signed_headers(secrets, message.id, at // 1_000_000, message.body)
            status, error = await self._post(url, headers, message.body)
            return Outcome(at, int((time.monotonic() - begun) * 1_000_000), status, error)

    async def close(self) -> None:
        """Messages under way are cut off."""
        if self._opened is not None:
            await self._opened.close()

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, str]:
        try:
            answer = await self._session.post(url, data=body, headers=headers, allow_redirects=False)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            return 0, self._why(error)
        try:
            await _drain(answer)
        finally:
            answer.close()
        return answer.status, _why_not(answer)

    @property
    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:
            connector = aiohttp.TCPConnector(
                resolver=self._resolver,
                use_dns_cache=False,
                force_close=True,
                limit=0,
                socket_factory=self._socket,
            )
            self._opened = aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=self._timeout),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers=_HEADERS,
                auto_decompress=False,
                trust_env=False,
            )
        return self._opened

    def _socket(self, info: Any) -> socket.socket:
        """The socket of one connection, to an address that is final."""
        family, kind, protocol, _, address = info
        if not self._allow_private and not is_public(str(address[0])):
            raise AddressRefused("an address that is not allowed")
        return socket.socket(family, kind, protocol)

    def _why(self, error: BaseException) -> str:
        """Our words for it: texts of foreign errors hold addresses and URLs."""
        causes = list(_causes(error))
        if any(isinstance(each, AddressRefused) for each in causes):
            return "its address is not one that this server sends to"
        if isinstance(error, TimeoutError):
            return f"no answer within {self._timeout:g} s"
        known: tuple[tuple[type[BaseException], str], ...] = (
            (aiohttp.ClientConnectorDNSError, "its name cannot be resolved"),
            (aiohttp.ClientConnectorCertificateError, "its certificate is not valid"),
            (aiohttp.ClientSSLError, "no TLS connection can be made"),
            (ConnectionRefusedError, "the connection is refused"),
            (aiohttp.ClientConnectorError, "no connection can be made"),
            (aiohttp.ServerDisconnectedError, "it closed the connection without an answer"),
            (aiohttp.ClientResponseError, "its answer is not HTTP"),
            (aiohttp.InvalidURL, "the URL cannot be used"),
        )
        for kind, text in known:
            if any(isinstance(each, kind) for each in causes):
                return text
        return "the connection broke"


class _Resolver(AbstractResolver):
    """Gives only addresses that are allowed, on threads of its own: names that hang hold up no others."""

    def __init__(self, resolve: Resolve, *, allow_private: bool):
        self._resolve = resolve
        self._allow_private = allow_private
        # Never closed, as a name that hangs would hold up the end; the threads end with the process.
        self._workers = Workers("names", RESOLVERS)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises `AddressRefused`, `OSError`."""
        found = await self._workers.run(self._resolve, host, port, int(family))
        if not found:
            raise OSError("no address")
        allowed = [each for each in found if self._allow_private or is_public(str(each[4][0]))]
        if not allowed:
            raise AddressRefused("no address that is allowed")
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=family,
                proto=protocol,
                flags=socket.AI_NUMERICHOST,
            )
            for family, _, protocol, _, address in allowed
        ]

    async def close(self) -> None:
        """Nothing to close."""


def _getaddrinfo(host: str, port: int, family: int) -> Sequence[Any]:
    return socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)


async def _drain(answer: aiohttp.ClientResponse) -> None:
    """Read a little of the body, so that a target need not see a broken connection. Whatever it is, it is dropped."""
    left = READ_BYTES
    try:
        async with asyncio.timeout(READ_SECONDS):
            while left > 0 and (part := await answer.content.read(left)):
                left -= len(part)
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return


def _why_not(answer: aiohttp.ClientResponse) -> str:
    """Why an answer is no success; empty when it is."""
    status = answer.status
    if 200 <= status < 300:
        return ""
    if 300 <= status < 400:
        return f"HTTP {status}: redirects are not followed"
    return f"HTTP {status}{_clocks(answer) if 400 <= status < 500 else ''}"


def _clocks(answer: aiohttp.ClientResponse) -> str:
    """Whether its clock is so far from ours that it must take every message for a replay."""
    try:
        there = parsedate_to_datetime(answer.headers.get("date", "")).timestamp()
    except (ValueError, TypeError, OverflowError):
        return ""
    ahead = there - time.time()
    if abs(ahead) <= CLOCKS_APART:
        return ""
    return f"; its clock is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} that of this server"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and what it came from."""
    for _ in range(10):
        if error is None:
            return
        yield error
        inner = getattr(error, "os_error", None)
        error = inner if isinstance(inner, BaseException) else error.__cause__ or error.__context__
