"""Write one pack: append records, seal. The format is in `layout`, the reading in `reader`."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from regsvc.store import layout
from regsvc.store.fsio import FileSystem, naming_full_disk
from regsvc.store.handles import Handle
from regsvc.store.layout import Record
from regsvc.store.reader import read_payload


class PoisonedPack(Exception):
    """A write or an fsync of this pack has failed before: discard it and write the bytes to a new one."""


@dataclass(frozen=True, slots=True)
class NewRecord:
    """What `append` takes; see `Record` for the fields."""

    kind: int
    codec: int
    digest: bytes
    raw_size: int
    payload: bytes | memoryview


@dataclass(frozen=True, slots=True)
class SealedPack:
    """A pack that is complete, durable and immutable; `size` is of the file, in bytes."""

    id: str
    size: int
    records: tuple[Record, ...]


class _State(Enum):
    OPEN = "open"
    POISONED = "poisoned"
    SEALED = "sealed"
    DISCARDED = "discarded"


class PackWriter:
    """An open pack. One thread appends and seals; any thread may `read` what was appended.

    Nothing in it is durable, or visible to a `PackStore`, before `seal` returns. After an error of the disk
    it takes nothing more (PoisonedPack): only `discard` it.
    """

    def __init__(self, fs: FileSystem, open_path: Path, sealed_path: Path, pack_id: str) -> None:
        self.id = pack_id
        self.records: list[Record] = []
        self.size = 0
        """Bytes in the file so far: header and whole records, without the footer to come."""
        self._fs = fs
        self._open_path = open_path
        self._sealed_path = sealed_path
        self._seed = layout.salt(pack_id)
        self._state = _State.OPEN
        self._renaming = False
        with naming_full_disk():
            self._fd = fs.create(open_path)
        self._handle = Handle(fs, self._fd)
        try:
            with self._poisoning():
                header = layout.pack_header(pack_id, time.time_ns() // 1000)
                self.size = fs.write_all(self._fd, [header], 0)
        except BaseException:
            self.discard()
            raise

    def append(
        self, kind: int, codec: int, digest: bytes, raw_size: int, payload: bytes | memoryview
    ) -> Record:
        """Add one record and return where it is.

        Raises StoreFull, OSError (both poison the pack), and ValueError, which leaves it as it was, if the
        pack already holds MAX_RECORDS or the record does not fit the format.
        """
        return self.append_many([NewRecord(kind, codec, digest, raw_size, payload)])[0]

    def append_many(self, new: Iterable[NewRecord]) -> list[Record]:
        """Add records with one write call (per 341 of them): all, or on an error none. Errors as `append`."""
        self._require_open()
        buffers: list[bytes | memoryview] = []
        added: list[Record] = []
        offset = self.size
        for each in new:
            record = Record(each.kind, each.codec, each.digest, each.raw_size, len(each.payload), offset)
            _require_fit(record, len(self.records) + len(added))
            header = layout.record_header(self._seed, record, layout.crc32c(each.payload))
            buffers += (header, each.payload, bytes(record.end - record.payload_end))
            added.append(record)
            offset = record.end
        with self._poisoning():
            self._fs.write_all(self._fd, buffers, self.size)
        self.size = offset
        self.records += added
        return added

    def read(self, record: Record) -> memoryview:
        """The payload of a record of this pack, before or after it is sealed; DamagedRecord, OSError.

        ValueError if the pack was discarded.
        """
        fd = self._handle.acquire()
        if fd is not None:
            try:
                return self._payload(fd, record)
            finally:
                self._handle.release()
        if self._state is not _State.SEALED:
            raise ValueError(f"pack {self.id} is {self._state.value}")
        fd = self._fs.open_read(self._sealed_path)
        try:
            return self._payload(fd, record)
        finally:
            self._fs.close(fd)

    def seal(self) -> SealedPack:
        """Write the footer and make the pack durable and visible: fsync, rename, fsync of both directories.

        Raises StoreFull or OSError; the pack is then either invisible or complete, and promised to nobody:
        discard it. Blocks as long as the disk takes: call it on another thread while the next pack fills.
        """
        self._require_open()
        if not self.records:
            raise ValueError(f"pack {self.id} is empty: discard it")
        with self._poisoning():
            footer = layout.footer(self._seed, self.records, self.size)
            written = self._fs.write_all(self._fd, [footer], self.size)
            self._fs.fsync(self._fd)
            self._renaming = True
            self._fs.rename(self._open_path, self._sealed_path)
            # The target first: where a crash may keep one half of a rename, two names are better than none.
            self._fs.fsync_dir(self._sealed_path.parent)
            self._fs.fsync_dir(self._open_path.parent)
        self._state = _State.SEALED
        self._handle.retire()
        return SealedPack(self.id, self.size + written, tuple(self.records))

    def discard(self) -> None:
        """Remove the pack, whatever state an error left it in. ValueError if it is sealed. Twice is once."""
        if self._state is _State.SEALED:
            raise ValueError(f"pack {self.id} is sealed")
        if self._state is _State.DISCARDED:
            return
        self._state = _State.POISONED
        self._handle.retire()
        # A rename that reported an error may have happened all the same.
        for path in (self._open_path, self._sealed_path) if self._renaming else (self._open_path,):
            if self._fs.exists(path):
                self._fs.unlink(path)
        self._state = _State.DISCARDED

    def _payload(self, fd: int, record: Record) -> memoryview:
        return read_payload(self._fs, fd, self.id, record)

    def _require_open(self) -> None:
        if self._state is _State.POISONED:
            raise PoisonedPack(f"pack {self.id} failed before: discard it")
        if self._state is not _State.OPEN:
            raise ValueError(f"pack {self.id} is {self._state.value}")

    @contextmanager
    def _poisoning(self) -> Iterator[None]:
        try:
            with naming_full_disk():
                yield
        except BaseException:
            self._state = _State.POISONED
            raise


def new_pack_id() -> str:
    """128 random bits in hexadecimal, never used again."""
    return os.urandom(16).hex()


def _require_fit(record: Record, count: int) -> None:
    if count >= layout.MAX_RECORDS:
        raise ValueError(f"a pack holds at most {layout.MAX_RECORDS} records")
    if len(record.digest) != layout.DIGEST_SIZE:
        raise ValueError(f"a digest has {layout.DIGEST_SIZE} bytes, not {len(record.digest)}")
    if record.stored_size > layout.MAX_STORED:
        raise ValueError(f"a payload has at most {layout.MAX_STORED} bytes, not {record.stored_size}")
    if not (0 <= record.raw_size < 2**32 and 0 <= record.kind < 256 and 0 <= record.codec < 256):
        raise ValueError("kind, codec or raw size does not fit its field")
    if record.end > layout.MAX_SIZE:
        raise ValueError("a pack has less than 4 GiB")
