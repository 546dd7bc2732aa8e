"""The versions in the cache: what each is made of and when it was last used. They are what goes when room is short."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from regsvc.client.cache.layout import Layout, digest_from_hex

_MAX_REFERENCES = 16
_MAX_REFERENCE = 512
"""Characters."""
_MAX_BYTES = 32 << 20
"""Of one list: a version has at most 100,000 files."""


@dataclass(frozen=True)
class CachedVersion:
    """One version that was pulled, whole or in part."""

    digest: bytes
    references: tuple[str, ...]
    """How it was asked for, the latest last: a digest may be a version of several models."""
    files: Mapping[bytes, int]
    """Digest and size of those that were pulled; files of the same bytes are one."""
    used_ns: int
    """Time of the last use, ns since 1970."""

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(self.files.values())

    @property
    def last_used(self) -> datetime:
        return datetime.fromtimestamp(self.used_ns / 1e9, UTC)


def newest_first(layout: Layout) -> Iterator[CachedVersion]:
    """Every readable version, the last used first; one at a time, since a list may be long."""
    used = []
    for digest in layout.version_names():
        try:
            used.append((os.stat(layout.version(digest), follow_symlinks=False).st_mtime_ns, digest))
        except FileNotFoundError:
            continue
    for _, digest in sorted(used, reverse=True):
        version = read(layout, digest)
        if version is not None:
            yield version


def read(layout: Layout, digest: bytes) -> CachedVersion | None:
    """One version; None if it is not there, or its list is none of ours."""
    try:
        descriptor = os.open(layout.version(digest), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        with open(descriptor, "rb") as file:
            used_ns = os.fstat(descriptor).st_mtime_ns
            packed = file.read(_MAX_BYTES + 1)
        document: Any = json.loads(packed) if len(packed) <= _MAX_BYTES else None
        files = _files(document["files"])
        references = tuple(each for each in document["references"] if _printable(each))[-_MAX_REFERENCES:]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return CachedVersion(digest, references, files, used_ns) if files is not None else None


def record(layout: Layout, digest: bytes, reference: str, files: Mapping[bytes, int]) -> None:
    """Note that a version was used, and that these of its files are in the cache. Raises `OSError`."""
    known = read(layout, digest)
    if known is not None:
        references = (*(each for each in known.references if each != reference), reference)
        merged = {**known.files, **files}
    else:
        references, merged = (reference,), dict(files)
    if known is None or merged != known.files or references != known.references:
        document = {
            "references": references[-_MAX_REFERENCES:],
            "files": {file.hex(): size for file, size in merged.items()},
        }
        layout.publish(json.dumps(document, separators=(",", ":")).encode(), layout.version(digest))
    touch(layout, digest)


def touch(layout: Layout, digest: bytes) -> None:
    """Note that a version was used. Raises `OSError`."""
    now = time.time_ns()
    os.utime(layout.version(digest), ns=(now, now))


def _files(listed: Mapping[str, int]) -> dict[bytes, int] | None:
    files = {}
    for name, size in listed.items():
        digest = digest_from_hex(name)
        if digest is None or type(size) is not int or not 0 < size < 1 << 63:
            return None
        files[digest] = size
    return files


def _printable(reference: object) -> bool:
    return isinstance(reference, str) and len(reference) <= _MAX_REFERENCE and reference.isprintable()
