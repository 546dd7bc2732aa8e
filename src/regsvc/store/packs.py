"""The packs of one data directory: make, read, list, remove, and tidy up after a crash.

Under the root:

    lock                          held by the one process that uses the directory
    packs/open/<id>.pack          being written: promised to nobody
    packs/open/<id>.recover       a copy being made by recover()
    packs/<2 hex>/<id>.pack       sealed: complete, durable, immutable; the first 2 digits of the id

Names that are none of these are left alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

from regsvc.store.fsio import FileSystem, StoreFull, naming_full_disk
from regsvc.store.handles import HandleCache
from regsvc.store.layout import Record, is_pack_id
from regsvc.store.pack import PackWriter, SealedPack, new_pack_id
from regsvc.store.reader import coalesce, read_at, read_index, read_neighbours, read_payload, scan

_SHARDS = tuple(f"{number:02x}" for number in range(256))


class PackNotFound(Exception):
    """There is no sealed pack of that id."""

    def __init__(self, pack_id: str) -> None:
        super().__init__(f"no pack {pack_id}")
        self.pack_id = pack_id


class PackStore:
    """All packs under `root`, by one process. Safe for concurrent use by threads.

    Making it creates the directories and takes the lock: AlreadyLocked, StoreFull, OSError. Call `recover`
    once before the first `create`. At most `open_files` sealed packs stay open between reads.
    """

    def __init__(self, root: Path, fs: FileSystem | None = None, *, open_files: int = 128) -> None:
        self._fs = fs or FileSystem()
        self._packs = root / "packs"
        self._open = self._packs / "open"
        self._created = False
        with naming_full_disk():
            _make_root(self._fs, root)
            self._lock = self._fs.lock(root / "lock")
            try:
                self._fs.mkdirs(root, ["packs"])
                self._fs.mkdirs(self._packs, ["open", *_SHARDS])
            except BaseException:
                self._fs.close(self._lock)
                raise
        self._handles = HandleCache(self._fs, open_files, self._open_sealed)
        self._held: set[str] = set()

    def __enter__(self) -> PackStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files and give the lock back. Call it once, when no writer is open."""
        self._handles.close()
        self._fs.close(self._lock)

    def create(self) -> PackWriter:
        """Begin a pack under a new random id; StoreFull, OSError."""
        self._created = True
        pack_id = new_pack_id()
        return PackWriter(self._fs, self._open / f"{pack_id}.pack", self.path(pack_id), pack_id)

    def hold(self, pack_id: str) -> None:
        """Somebody relies on a pack in ways that only this process knows: no collection touches it."""
        self._held.add(pack_id)

    def release(self, pack_id: str) -> None:
        """Nobody does any more. Twice is once."""
        self._held.discard(pack_id)

    def is_held(self, pack_id: str) -> bool:
        """Whether somebody does."""
        return pack_id in self._held

    def read(self, pack_id: str, offset: int, stored_size: int, digest: bytes | None = None) -> memoryview:
        """One payload, as it was appended, checked against its header, its checksum and `digest`.

        Raises PackNotFound, DamagedRecord, and OSError as the disk reports it.
        """
        with self._handles.borrow(pack_id) as fd:
            return read_at(self._fs, fd, pack_id, offset, stored_size=stored_size, digest=digest)

    def read_many(self, pack_id: str, records: Sequence[Record]) -> Iterator[memoryview]:
        """The payloads of the records in the given order, small neighbours by one read of up to 4 MiB.

        Errors as `read`; they end the iteration, after the payloads before them.
        """
        for run in coalesce(records):
            with self._handles.borrow(pack_id) as fd:
                yield from read_neighbours(self._fs, fd, pack_id, run)

    def list(self) -> Iterator[str]:
        """The ids of the sealed packs, in ascending order, one directory in memory at a time."""
        for shard in _SHARDS:
            for name in self._fs.listdir(self._packs / shard):
                stem, dot, suffix = name.partition(".")
                if dot and suffix == "pack" and is_pack_id(stem):
                    yield stem

    def index(self, pack_id: str) -> Sequence[Record]:
        """The records of a sealed pack: by its footer or, where that is damaged, by their headers."""
        path = self.path(pack_id)
        try:
            return read_index(self._fs, path)
        except FileNotFoundError as error:
            raise PackNotFound(pack_id) from error

    def remove(self, pack_id: str) -> None:
        """Remove a sealed pack for good; PackNotFound. Reads that are under way still succeed."""
        path = self.path(pack_id)
        try:
            self._fs.unlink(path)
        except FileNotFoundError as error:
            raise PackNotFound(pack_id) from error
        finally:
            self._handles.forget(pack_id)
        self._fs.fsync_dir(path.parent)

    def path(self, pack_id: str) -> Path:
        """Where the pack is once sealed, whether or not it exists; PackNotFound if that is not an id."""
        if not is_pack_id(pack_id):
            raise PackNotFound(pack_id)
        return self._packs / pack_id[:2] / f"{pack_id}.pack"

    def recover(self) -> Sequence[SealedPack]:
        """Save what a crash left in open packs, and return the packs sealed by this.

        Every complete record (good header, good payload checksum) of an open pack is kept; a pack without
        one is removed. The records are copied into a new file: the old one may have pages that a failed
        write-back marked clean, which read well until they leave memory, and no later fsync would tell. With
        the disk full the open pack is removed instead: nobody was promised it, and the disk needs the room.

        Also makes the names of all sealed packs durable, so that the caller may rely on those that `list`
        returns (a process killed between rename and fsync leaves one that is not). Sealed packs are not
        touched. RuntimeError after `create`. May be killed and run again.
        """
        if self._created:
            raise RuntimeError("recover() must come before the first create()")
        for shard in _SHARDS:
            if self._fs.listdir(self._packs / shard):
                self._fs.fsync_dir(self._packs / shard)
        names = self._fs.listdir(self._open)
        for name in names:
            if name.endswith(".recover"):
                self._fs.unlink(self._open / name)
        ids = (name.removesuffix(".pack") for name in names if name.endswith(".pack"))
        saved = [self._save(pack_id) for pack_id in ids if is_pack_id(pack_id)]
        self._fs.fsync_dir(self._open)
        return [pack for pack in saved if pack is not None]

    def _save(self, pack_id: str) -> SealedPack | None:
        source = self._open / f"{pack_id}.pack"
        sealed = None
        # Already sealed: an earlier recovery, or half a rename, got as far as the second name.
        if not self._fs.exists(self.path(pack_id)):
            try:
                sealed = self._copy(source, pack_id)
            except StoreFull:
                sealed = None
        self._fs.unlink(source)
        return sealed

    def _copy(self, source: Path, pack_id: str) -> SealedPack | None:
        writer = PackWriter(self._fs, self._open / f"{pack_id}.recover", self.path(pack_id), pack_id)
        fd = None
        try:
            fd = self._fs.open_read(source)
            for record in scan(self._fs, source, payloads=True):
                payload = read_payload(self._fs, fd, pack_id, record)
                writer.append(record.kind, record.codec, record.digest, record.raw_size, payload)
            if writer.records:
                return writer.seal()
        except BaseException:
            writer.discard()
            raise
        finally:
            if fd is not None:
                self._fs.close(fd)
        writer.discard()
        return None

    def _open_sealed(self, pack_id: str) -> int:
        try:
            return self._fs.open_read(self.path(pack_id))
        except FileNotFoundError as error:
            raise PackNotFound(pack_id) from error


def _make_root(fs: FileSystem, root: Path) -> None:
    missing: list[Path] = []
    while not fs.exists(root):
        missing.append(root)
        root = root.parent
    for path in reversed(missing):
        fs.mkdirs(path.parent, [path.name])
