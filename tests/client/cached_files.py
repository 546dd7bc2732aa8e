"""Files to cache, and what a pull does to take them out again."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from regsvc.client import linking
from regsvc.client.cache import Entries, NewFile

BIG = 300_000
"""Bytes: more than what is read each time it is linked."""


@dataclass(frozen=True)
class Sample:
    """A file as a pull has just proven it."""

    path: Path
    data: bytes
    chunk: int

    @property
    def digest(self) -> bytes:
        return blake3(self.data).digest()

    @property
    def size(self) -> int:
        return len(self.data)

    @property
    def chunks(self) -> list[tuple[bytes, int]]:
        parts = [self.data[at : at + self.chunk] for at in range(0, self.size, self.chunk)]
        return [(blake3(part).digest(), len(part)) for part in parts]

    def proven(self) -> NewFile:
        return NewFile(str(self.path), self.digest, self.size, iter(self.chunks))


def random_bytes(seed: object, size: int) -> bytes:
    return random.Random(str(seed)).randbytes(size)


def sample(path: Path, data: bytes, chunk: int = 1 << 20) -> Sample:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return Sample(path, data, chunk)


def version_digest(name: object) -> bytes:
    return blake3(str(name).encode()).digest()


def take(entries: Entries, digest: bytes, size: int, dest: Path, *, hardlink: bool = False) -> str | None:
    """Take a file out of the cache as a pull does; gives how, or None when it has to be fetched."""
    mode = entries.link(digest, size, str(dest), hardlink=hardlink)
    if mode is not None:
        return mode
    found = entries.find(digest, size)
    if found is None:
        return None
    try:
        data = Path(found).read_bytes()
    except FileNotFoundError:
        return None
    if blake3(data).digest() != digest:
        entries.forget(digest)
        return None
    dest.write_bytes(data)
    return "copy"


def has_reflinks(folder: Path) -> bool:
    source, clone = folder / "reflink-source", folder / "reflink-clone"
    source.write_bytes(b"x")
    descriptor = os.open(source, os.O_RDONLY)
    try:
        return linking.reflink(descriptor, str(clone))
    finally:
        os.close(descriptor)
        source.unlink()
        clone.unlink(missing_ok=True)
