"""Reads everything in the cache and drops what is damaged."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass

from regsvc.client.cache.entries import Entries, hash_file
from regsvc.client.cache.layout import Layout


@dataclass(frozen=True)
class Verified:
    """What reading everything found."""

    files: int
    bytes: int
    damaged: tuple[str, ...]
    """Digests, 64 hex digits, of the files that had other bytes; they are dropped, and the next pull fetches them."""


def verify(layout: Layout, entries: Entries, report: Callable[[int], None] | None = None) -> Verified:
    """Hash every cached file; `report` gets the bytes read so far after each. Raises `OSError`."""
    files = size = 0
    damaged = []
    for digest in layout.names("files"):
        try:
            descriptor = os.open(layout.path("files", digest), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:  # forgotten meanwhile
            continue
        try:
            status = os.fstat(descriptor)
            sound = stat.S_ISREG(status.st_mode) and hash_file(descriptor, status.st_size) == digest
        finally:
            os.close(descriptor)
        files, size = files + 1, size + status.st_size
        if not sound:
            entries.forget(digest)
            damaged.append(digest.hex())
        if report is not None:
            report(size)
    return Verified(files, size, tuple(damaged))
