"""Where the cache is and how large it may grow, from the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from regsvc.errors import InvalidArgument

DEFAULT_LIMIT = 20 << 30
"""Bytes."""

_SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)\s*(?:([KMGTP]?)(i?)B?)?", re.ASCII | re.IGNORECASE)


def cache_path(environ: Mapping[str, str] = os.environ) -> str | None:
    """The cache's folder: `$REGSVC_CACHE`, else `regsvc` in `$XDG_CACHE_HOME` or `~/.cache`; None: off."""
    chosen = environ.get("REGSVC_CACHE", "")
    if chosen.lower() == "off":
        return None
    if not chosen:
        home = environ.get("XDG_CACHE_HOME", "")
        if not os.path.isabs(home):  # the XDG specification: relative ones are to be ignored
            home = os.path.expanduser("~/.cache")
        chosen = os.path.join(home, "regsvc")
    return os.path.realpath(os.path.expanduser(chosen))


def cache_limit(environ: Mapping[str, str] = os.environ) -> int:
    """Bytes that the cache may hold, from `$REGSVC_CACHE_SIZE`. Raises `InvalidArgument`."""
    text = environ.get("REGSVC_CACHE_SIZE", "")
    if not text:
        return DEFAULT_LIMIT
    try:
        return parse_size(text)
    except ValueError as error:
        raise InvalidArgument(f"REGSVC_CACHE_SIZE: {error}", value=text[:80]) from None


def parse_size(text: str) -> int:
    """Bytes from `1048576`, `1MiB`, `1.5 GiB` (powers of 1,024), or `1GB` (of 1,000); `20G` is `20GiB`.

    Raises `ValueError`.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text[:80]!r} is no size like 20GiB")
    number, prefix, binary = match.groups()
    decimal = prefix and not binary and text.strip().lower().endswith("b")
    power = " kmgtp".index(prefix.lower()) if prefix else 0
    return int(float(number) * (1000 if decimal else 1024) ** power) if power else int(float(number))
