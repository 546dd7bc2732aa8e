"""The files of the cache by name: a name from outside is a digest, or it is none of ours.

CACHEDIR.TAG              tells backup programs to skip the folder (bford.info/cachedir)
lock                      shared by those who use the cache, exclusive while it is pruned
files/ab/<64 hex>         the bytes of a file, by its BLAKE3
notes/ab/<64 hex>         what was seen of that file when its bytes were proven, and its recipe
versions/<64 hex>.json    the files of a version; its time is the version's last use
incoming/<32 hex>         what is being written
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Iterator
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["files", "notes"]

_DIGEST = re.compile("[0-9a-f]{64}")
_PREFIX = re.compile("[0-9a-f]{2}")
_INCOMING = re.compile("[0-9a-f]{32}")
_TAG = b"Signature: 8a477f597d28d172789f06886806bc55\n# Files that regsvc can fetch again.\n"


class Layout:
    """Names within one cache folder. Lists, and so removes, only what the scheme names."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.lock = os.path.join(root, "lock")
        self._made: set[str] = set()

    def make(self) -> None:
        """Make the folder and those in it where missing. Raises `OSError`."""
        os.makedirs(self.root, 0o700, exist_ok=True)
        for name in ("files", "notes", "versions", "incoming"):
            with contextlib.suppress(FileExistsError):
                os.mkdir(os.path.join(self.root, name), 0o700)
        tag = os.path.join(self.root, "CACHEDIR.TAG")
        if not os.path.lexists(tag):
            self.publish(_TAG, tag)

    def path(self, kind: Kind, digest: bytes) -> str:
        """Where a file, or its note, lies."""
        name = digest.hex()
        return f"{self.root}/{kind}/{name[:2]}/{name}"

    def place(self, kind: Kind, digest: bytes) -> str:
        """The same, for writing: makes the folder."""
        path = self.path(kind, digest)
        folder = path[:-65]
        if folder not in self._made:
            os.makedirs(folder, 0o700, exist_ok=True)
            self._made.add(folder)
        return path

    def version(self, digest: bytes) -> str:
        """Where the list of a version's files lies."""
        return f"{self.root}/versions/{digest.hex()}.json"

    def incoming(self) -> str:
        """A name of its own for something to be written."""
        return f"{self.root}/incoming/{secrets.token_hex(16)}"

    def publish(self, data: bytes, path: str) -> None:
        """Write a file, seen by others only when it is whole. Not synced: readers check what they read."""
        written = self.incoming()
        try:
            with open(written, "xb") as file:
                file.write(data)
            os.replace(written, path)
        except BaseException:
            remove(written)
            raise

    def names(self, kind: Kind, prefixes: set[str] | None = None) -> Iterator[bytes]:
        """Digests of the files or notes that are there; only those that begin with one of `prefixes`, if given."""
        for prefix in _folders(os.path.join(self.root, kind)):
            if prefixes is None or prefix in prefixes:
                for name in _listed(os.path.join(self.root, kind, prefix)):
                    if _DIGEST.fullmatch(name) and name.startswith(prefix):
                        yield bytes.fromhex(name)

    def version_names(self) -> Iterator[bytes]:
        """Digests of the versions that are there."""
        for name in _listed(os.path.join(self.root, "versions")):
            if name.endswith(".json") and _DIGEST.fullmatch(name[:-5]):
                yield bytes.fromhex(name[:-5])

    def leftovers(self) -> Iterator[str]:
        """What is being written or, when nobody uses the cache, was left behind by the killed."""
        folder = os.path.join(self.root, "incoming")
        for name in _listed(folder):
            if _INCOMING.fullmatch(name):
                yield os.path.join(folder, name)


def digest_from_hex(text: object) -> bytes | None:
    """The digest that 64 lower-case hex digits are, or None."""
    return bytes.fromhex(text) if isinstance(text, str) and _DIGEST.fullmatch(text) else None


def remove(path: str) -> int:
    """Unlink a file, if it is there; gives its size in bytes, or -1. Raises `OSError`."""
    try:
        size = os.lstat(path).st_size
        os.unlink(path)
    except FileNotFoundError:
        return -1
    return size


def _folders(path: str) -> list[str]:
    """Real folders only: a symlink could lead a removal out of the cache."""
    try:
        with os.scandir(path) as entries:
            return [
                entry.name
                for entry in entries
                if _PREFIX.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
            ]
    except FileNotFoundError:
        return []


def _listed(path: str) -> list[str]:
    try:
        return os.listdir(path)
    except FileNotFoundError:
        return []
