"""The proof, without regsvc: BLAKE3 as `b3sum` prints it, and a comparison of two folders byte by byte."""

from __future__ import annotations

import os
from pathlib import Path

from blake3 import blake3


def files(folder: Path) -> dict[bytes, Path]:
    """Regular files of a folder by relative path, bytewise sorted."""
    found = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            path = Path(parent, name)
            found[os.fsencode(path.relative_to(folder))] = path
    return dict(sorted(found.items()))


def manifest_digest(folder: Path) -> str:
    """What `find . -type f | sort | xargs b3sum | b3sum` prints."""
    text = b"".join(
        blake3().update_mmap(path).hexdigest().encode() + b"  " + relative + b"\n"
        for relative, path in files(folder).items()
    )
    return blake3(text).hexdigest()


def identical(one: Path, other: Path) -> bool:
    """What `diff -r` finds: the same names, the same bytes."""
    left, right = files(one), files(other)
    return left.keys() == right.keys() and all(
        left[name].read_bytes() == right[name].read_bytes() for name in left
    )
