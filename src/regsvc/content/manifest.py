"""Names the files of a version, in the text that `b3sum` prints: anyone can check them without regsvc.

One line a file: 64 lower-case hexadecimal digits of its BLAKE3, two spaces, its path, a line feed; lines are
sorted by the bytes of the path. The BLAKE3 of that text is the version's digest.
"""

import re
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from blake3 import blake3

MAX_PATH = 1024
"""Most bytes in a path, as UTF-8."""

# C0, DEL and C1: b3sum would escape a line feed, terminals obey the rest.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_LINE = re.compile(r"([0-9a-f]{64})  (.+)", re.DOTALL)


class PathError(ValueError):
    """A path that no version may hold; the message says which and why."""


class ManifestError(ValueError):
    """A text that is not a manifest as `text` writes it."""


class Entry(NamedTuple):
    """One file of a version."""

    path: str
    size: int
    """Bytes. Not part of the manifest's text: the digest implies it."""
    digest: bytes
    """BLAKE3 of the file, 32 bytes."""


def check_path(path: str) -> str:
    """The same path, if a version may hold it.

    Raises `PathError` unless it is relative, valid Unicode of at most `MAX_PATH` bytes as UTF-8, with `/`
    between components of which none is empty, `.` or `..`, and without control characters or backslashes.
    """
    if not path:
        raise PathError("a path is empty")
    try:
        size = len(path.encode("utf-8"))
    except UnicodeEncodeError:
        raise PathError(f"path {path!r} holds a lone surrogate, so it is not UTF-8") from None
    if size > MAX_PATH:
        raise PathError(f"path {path[:64]!r}... is {size} bytes long, more than {MAX_PATH}")
    if _CONTROL.search(path):
        raise PathError(f"path {path!r} holds a control character")
    if "\\" in path:
        raise PathError(f"path {path!r} holds a backslash")
    if path.startswith("/"):
        raise PathError(f"path {path!r} is absolute")
    for component in path.split("/"):
        if component in {"", ".", ".."}:
            raise PathError(f"path {path!r} has the component {component!r}")
    return path


def check_tree(paths: Iterable[str]) -> None:
    """Checks every path, and that they can exist together.

    Raises `PathError` on a path that `check_path` refuses, that occurs twice, or that is another's directory.
    """
    files: set[str] = set()
    directories: set[str] = set()
    for path in paths:
        if check_path(path) in files:
            raise PathError(f"path {path!r} occurs twice")
        files.add(path)
        parent = path.rpartition("/")[0]
        while parent and parent not in directories:
            directories.add(parent)
            parent = parent.rpartition("/")[0]
    for path in files & directories:
        raise PathError(f"path {path!r} is a file and a directory")


def lines(entries: Iterable[Entry]) -> Iterator[bytes]:
    """The manifest's lines, sorted. Raises `PathError` as `check_tree` does."""
    # Code point order is the byte order of UTF-8.
    ordered = sorted(entries, key=lambda entry: entry.path)
    check_tree(entry.path for entry in ordered)
    for path, _, digest in ordered:
        if len(digest) != 32:
            raise ManifestError(f"digest of {path!r} is {len(digest)} bytes long")
        yield f"{digest.hex()}  {path}\n".encode()


def text(entries: Iterable[Entry]) -> bytes:
    """The manifest of these files, in any order. Raises `PathError` as `check_tree` does."""
    return b"".join(lines(entries))


def version_digest(entries: Iterable[Entry]) -> bytes:
    """BLAKE3 of the manifest's text, 32 bytes. Raises `PathError` as `check_tree` does."""
    hasher = blake3()
    for line in lines(entries):
        hasher.update(line)
    return hasher.digest()


def parse(manifest: bytes) -> list[tuple[str, bytes]]:
    """Path and BLAKE3 of every line, in order.

    Raises `ManifestError` on a text that `text` would not write, `PathError` on its paths.
    """
    try:
        decoded = manifest.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ManifestError(f"manifest is not UTF-8: {error}") from error
    if decoded and not decoded.endswith("\n"):
        raise ManifestError("manifest does not end with a line feed")
    found: list[tuple[str, bytes]] = []
    for number, line in enumerate(decoded.split("\n")[:-1], 1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise ManifestError(f"line {number} is not 64 hexadecimal digits, two spaces and a path")
        found.append((match[2], bytes.fromhex(match[1])))
    check_tree(path for path, _ in found)
    for (before, _), (after, _) in pairwise(found):
        if before > after:
            raise ManifestError(f"path {after!r} is not in order")
    return found
