"""URLs as they may be recorded: without user, password, query and fragment."""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

_HELPER = re.compile(r"[A-Za-z0-9+.-]+::")
"""`codecommit::https://...`: git's name of a program that speaks for it."""
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_WITHIN = re.compile(r"(?i)(\b[a-z][a-z0-9+.-]*://)([^/?#\s\"'<>]*@)")
"""The user of a URL that stands in a text."""


def without_credentials(url: str) -> str:
    """A remote without user, password, query and fragment. Empty when it cannot be told which part is which.

    `git@host:path` stays as it is, as do paths. What another program would be told (`ext::`) is left out.
    """
    helper = _HELPER.match(url)
    if helper is not None:
        rest = url[helper.end() :]
        return url[: helper.end()] + without_credentials(rest) if _SCHEME.match(rest) else ""
    if _SCHEME.match(url):
        return _bare(url)
    if url.startswith(("/", "./", "../")) and not url.startswith("//"):
        return url
    # What is no URL is `user@host:path`, or a URL that somebody mistyped: that has a password all the same.
    rest = re.split(r"[?#]", url, maxsplit=1)[0]
    user, _, place = rest.rpartition("@")
    return rest if user in ("", "git") else place


def without_any_credentials(text: str) -> tuple[str, int]:
    """A text whose URLs have no user and password, but for `git@`; and how many had one."""
    count = 0

    def bare(found: re.Match[str]) -> str:
        nonlocal count
        if found[2] == "git@":
            return found[0]
        count += 1
        return found[1]

    return _WITHIN.sub(bare, text), count


def _bare(url: str) -> str:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        host = f"[{host}]" if ":" in host else host
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return ""
    path = parts.path.partition(";")[0]
    return urlunsplit((parts.scheme, host + port, path, "", ""))
