"""What earlier pushes from this machine learned of their files, so that an unchanged file is not read again.

One file of state a pushed folder, in `$REGSVC_STATE`, else `$XDG_STATE_HOME/regsvc/files`, else
`~/.local/state/regsvc/files`; `REGSVC_STATE=off` does without. It only ever saves work: it may be deleted at any
time, and one that cannot be read or written is as good as none.

A file counts as unchanged when size, mtime, ctime, inode and device are what they were. What was pushed within
the resolution of the clock after its last change is not remembered: a second change could leave the same times.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import struct
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from blake3 import blake3

from regsvc.client.scan import SourceFile
from regsvc.content.layout import Layout

STATE_VARIABLE = "REGSVC_STATE"
OFF = "off"

_CHUNK = struct.Struct("<32sIB")
"""Digest, raw size and layout of one chunk."""
_MAGIC = b"regsvc files 1\n"
_LENGTH = struct.Struct("<I")
_MOST_BYTES = 256 << 20
"""Largest state file that is read or written: some 7 million chunks."""
_FORGET_AFTER = 90 * 24 * 3600.0
"""Seconds after which the state of a folder that is not pushed any more is removed."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class KnownFile:
    """Digest and chunks of a file, packed: a big model has a million chunks."""

    digest: bytes
    packed: bytes
    settled: bool = True
    """It may be remembered."""

    def chunks(self) -> Iterator[tuple[bytes, int, Layout]]:
        """Digest, raw size and layout of each chunk, in order."""
        for digest, size, layout in _CHUNK.iter_unpack(self.packed):
            yield digest, size, Layout(layout)

    def __len__(self) -> int:
        return len(self.packed) // _CHUNK.size


def packed(chunks: Iterable[tuple[bytes, int, Layout]]) -> bytes:
    """The chunks of a file, or of a stretch of it, as `KnownFile` holds them."""
    return b"".join(_CHUNK.pack(digest, size, layout) for digest, size, layout in chunks)


class FileState:
    """What is known of the files of one folder, or of one pushed file."""

    def __init__(self, root: str | os.PathLike[str], folder: str | None = None) -> None:
        self._folder = _folder() if folder is None else folder
        name = blake3(os.fsencode(os.path.abspath(root))).hexdigest(16)
        self._path = os.path.join(self._folder, name) if self._folder else ""

    def recall(self, files: Iterable[SourceFile]) -> dict[str, KnownFile]:
        """Those of the files that are what they were, by path."""
        if not self._path:
            return {}
        try:
            remembered = _parse(_read(self._path))
        except (OSError, ValueError) as error:
            log.debug("no state of these files: %s", error)
            return {}
        found = {}
        for file in files:
            identity, known = remembered.get(file.path, (None, None))
            if known is not None and identity == _identity(file):
                found[file.path] = known
        return found

    def remember(self, files: Iterable[SourceFile], known: Mapping[str, KnownFile]) -> None:
        """Note what a push learned. Never fails: a push does not depend on it."""
        if not self._path:
            return
        settled = [
            (file, known[file.path]) for file in files if file.path in known and known[file.path].settled
        ]
        try:
            _write(self._path, _serialized(settled))
            _forget_old(self._folder)
        except OSError as error:
            log.debug("the state of these files was not written: %s", error)

    def forget(self) -> None:
        """Drop all that is known: some of it was wrong."""
        if self._path:
            with contextlib.suppress(OSError):
                os.unlink(self._path)


def _folder() -> str:
    named = os.environ.get(STATE_VARIABLE)
    if named:
        return "" if named == OFF else named
    home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return os.path.join(home, "regsvc", "files") if os.path.isabs(home) else ""


def _identity(file: SourceFile) -> list[int]:
    return [file.size, file.mtime_ns, file.ctime_ns, file.inode, file.device]


def _serialized(files: Iterable[tuple[SourceFile, KnownFile]]) -> list[bytes]:
    """Magic, length of the table, the table as JSON, the chunks of all files, BLAKE3 of all that."""
    table, chunks = [], []
    for file, known in files:
        table.append([file.path, _identity(file), known.digest.hex(), len(known)])
        chunks.append(known.packed)
    text = json.dumps(table, ensure_ascii=False).encode()
    parts = [_MAGIC, _LENGTH.pack(len(text)), text, *chunks]
    check = blake3()
    for part in parts:
        check.update(part)
    return [*parts, check.digest()]


def _parse(data: bytes) -> dict[str, tuple[list[int], KnownFile]]:
    """Raises `ValueError` when this is no such file, or a damaged one."""
    body, check = memoryview(data)[:-32], data[-32:]
    if not data.startswith(_MAGIC) or blake3(body).digest() != check:
        raise ValueError("not a state file, or a damaged one")
    begin = len(_MAGIC) + _LENGTH.size
    (length,) = _LENGTH.unpack(body[len(_MAGIC) : begin])
    position = begin + length
    found = {}
    for path, identity, digest, count in json.loads(bytes(body[begin:position])):
        end = position + count * _CHUNK.size
        found[path] = (identity, KnownFile(bytes.fromhex(digest), bytes(body[position:end])))
        position = end
    return found


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size > _MOST_BYTES:
            raise ValueError("larger than what we write")
        return file.read()


def _write(path: str, parts: list[bytes]) -> None:
    if sum(map(len, parts)) > _MOST_BYTES:
        return
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    temporary = f"{path}.{os.getpid()}.{os.urandom(4).hex()}"
    try:
        with open(temporary, "xb") as file:
            file.writelines(parts)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _forget_old(folder: str) -> None:
    before = time.time() - _FORGET_AFTER
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                # Only what has a name of ours: the folder is the user's choice and may hold other things.
                ours = re.fullmatch(r"[0-9a-f]{32}(\.\d+\.[0-9a-f]{8})?", entry.name)
                if ours and entry.stat(follow_symlinks=False).st_mtime < before:
                    os.unlink(entry.path)
