"""Collection: purge deleted versions whose time has come, forget what only they needed, and free it on disk.

Every step is a small transaction, or a file operation that a restart finishes, so it may be killed at any point.
The catalog goes first: a file is removed when nothing leads to it any more, and it stands in `unwanted_packs`
meanwhile, so that no start takes it for an orphan. A new pack stands there from before its first byte until the
transaction that puts it in the place of the old one.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from regsvc.catalog import collecting, lifecycle, storage, uploads
from regsvc.catalog.chunks import PackFacts
from regsvc.catalog.collecting import PackChanged
from regsvc.catalog.database import Catalog, Transaction, now_us
from regsvc.catalog.storage import PackPlan
from regsvc.errors import CollectionRunning, StorageFull, Unavailable
from regsvc.service.limits import Limits
from regsvc.service.packing import facts
from regsvc.service.recovery import remove_unwanted
from regsvc.store import (
    DamagedPack,
    DamagedRecord,
    NewRecord,
    PackNotFound,
    PackStore,
    PackWriter,
    Record,
    StoreFull,
    UnsupportedPack,
)

log = logging.getLogger(__name__)

VERSIONS = 100
"""Versions that are purged in one transaction, at most."""
ROWS = 5_000
"""Rows that are removed in one transaction, about."""
FILES = 20_000
"""Files that are looked at in one read."""
COPIED = 64
"""Records that are copied with one write."""


_LEFT = (
    PackChanged,
    PackNotFound,
    DamagedPack,
    DamagedRecord,
    UnsupportedPack,
    StoreFull,
    StorageFull,
    OSError,
)
"""Why a pack is left as it is: it is needed after all, or cannot be read, or there is no room to rewrite it."""


@dataclass(frozen=True)
class Collected:
    """What a collection did, or would do. Sizes are bytes of pack files."""

    versions: int = 0
    """Purged."""
    chunks: int = 0
    """That are not stored any more."""
    freed_size: int = 0
    """By which pack files shrank."""
    dead_size: int = 0
    """What nobody needs and stays for now: in packs of which too little is dead, in use, or damaged."""
    packs_removed: int = 0
    packs_rewritten: int = 0


class Collector:
    """One collection at a time, on a thread of its own."""

    def __init__(self, catalog: Catalog, store: PackStore, limits: Limits, adopted: Sequence[str] = ()):
        """`adopted`: packs that the start has taken into the catalog."""
        self._catalog = catalog
        self._store = store
        self._limits = limits
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="collect")
        self._lock = threading.Lock()  # guards the next
        self._running: Future[Collected] | None = None
        self._stopping = False
        self._started = now_us()
        self._adopted: Sequence[str] = adopted
        for pack_id in adopted:
            store.hold(pack_id)

    def would_collect(self, *, full: bool) -> Collected:
        """What a collection would do now, if nothing else happened."""
        now = now_us()
        plans = self._catalog.read(lambda db: storage.plan(db, now))
        chosen = [plan for plan in plans if self._chosen(plan, full=full)]
        return Collected(
            versions=self._catalog.read(lambda db: lifecycle.due_count(db, now)),
            chunks=sum(plan.dead_chunks for plan in chosen),
            freed_size=sum(plan.dead_size for plan in chosen),
            dead_size=sum(plan.dead_size for plan in plans) - sum(plan.dead_size for plan in chosen),
            packs_removed=sum(not plan.needed for plan in chosen),
            packs_rewritten=sum(bool(plan.needed) for plan in chosen),
        )

    def begin(self, *, full: bool) -> Future[Collected]:
        """Collect in the background; `full` rewrites every pack that has anything dead.

        Raises `CollectionRunning`, `Unavailable` (the server stops; so does the future).
        """
        with self._lock:
            self._check_going_on()
            if self._running is not None and not self._running.done():
                raise CollectionRunning("a collection is running")
            self._running = self._thread.submit(self._collect, full=full)
            return self._running

    def collect_if_due(self) -> None:
        """Begin a collection when the last one is so long ago as is set."""
        every = self._limits.collect_every_us
        if not every:
            return
        last = self._catalog.read(collecting.collected_at)
        if not last:  # a registry that is new, or was never collected, begins to count now
            self._catalog.write(collecting.note_collected)
        elif last + every <= now_us():
            with self._lock:
                if self._stopping or (self._running is not None and not self._running.done()):
                    return
                self._running = self._thread.submit(self._collect, full=False)
            self._running.add_done_callback(_log_failure)

    def stop(self) -> None:
        """End after the present step; what is left is for the next collection."""
        with self._lock:
            self._stopping = True
        self._thread.shutdown(wait=True)

    def _check_going_on(self) -> None:
        if self._stopping:
            raise Unavailable("the server stops; what is left is for the next collection")

    def _collect(self, *, full: bool) -> Collected:
        remove_unwanted(self._catalog, self._store)
        self._release_adopted()
        versions = self._purge()
        self._forget()
        collected = self._sweep(versions, full=full)
        told = {
            "versions": collected.versions,
            "chunks": collected.chunks,
            "freed_size": collected.freed_size,
            "dead_size": collected.dead_size,
        }
        self._catalog.write(lambda tx: collecting.note_collected(tx, **told))
        log.info("collected", extra=told)
        return collected

    def _release_adopted(self) -> None:
        """What the start adopted is kept for the uploads that were open then: they need not send it again."""
        if self._adopted and not self._catalog.read(lambda db: uploads.any_open(db, self._started)):
            for pack_id in self._adopted:
                self._store.release(pack_id)
            self._adopted = ()

    def _purge(self) -> int:
        count = 0
        while due := self._catalog.read(lambda db: lifecycle.due(db, now_us(), VERSIONS)):
            self._check_going_on()

            def purge(tx: Transaction, due: list[int] = due) -> int:
                return sum(collecting.purge(tx, version_id) for version_id in due)

            count += self._catalog.write(purge)
        while left := self._catalog.read(lambda db: collecting.to_forget(db, VERSIONS)):
            self._check_going_on()
            self._catalog.write(lambda tx, left=left: collecting.forget(tx, left, ROWS))  # type: ignore[misc]
        return count

    def _forget(self) -> None:
        """Forget files that nobody needs."""
        last = self._catalog.read(collecting.last_file)
        for first in range(0, last + 1, FILES):
            end = first + FILES - 1
            unused = self._catalog.read(lambda db, a=first, b=end: collecting.unused_files(db, a, b))  # type: ignore[misc]
            for start in range(0, len(unused), ROWS // 10):
                some = unused[start : start + ROWS // 10]
                self._check_going_on()
                self._catalog.write(lambda tx, some=some: collecting.forget_files(tx, some))  # type: ignore[misc]
        while not self._catalog.write(lambda tx: collecting.drop_files(tx, ROWS)):
            self._check_going_on()

    def _sweep(self, versions: int, *, full: bool) -> Collected:
        plans = self._catalog.read(lambda db: storage.plan(db, -1))
        chosen = [plan for plan in plans if self._chosen(plan, full=full)]
        dead = sum(plan.dead_size for plan in plans) - sum(plan.dead_size for plan in chosen)
        chunks = freed = removed = rewritten = 0
        # First what takes no room, then what takes least for what it frees: the disk may be full.
        for plan in sorted(chosen, key=lambda plan: plan.needed_size / plan.size):
            self._check_going_on()
            try:
                gone, shrunk = self._drop(plan) if not plan.needed else self._rewrite(plan)
            except _LEFT as error:
                log.warning(
                    "a pack was not collected", extra={"pack": plan.name, "error": type(error).__name__}
                )
                dead += plan.dead_size
                continue
            chunks, freed = chunks + gone, freed + shrunk
            removed, rewritten = removed + (not plan.needed), rewritten + bool(plan.needed)
        return Collected(versions, chunks, freed, dead, removed, rewritten)

    def _chosen(self, plan: PackPlan, *, full: bool) -> bool:
        if not plan.dead_size or not plan.known or self._store.is_held(plan.name):
            return False
        return full or not plan.needed or plan.dead_size >= self._limits.collect_dead * plan.size

    def _drop(self, plan: PackPlan) -> tuple[int, int]:
        """Remove a pack of which nothing is needed; gives (chunks gone, bytes freed)."""
        gone = self._catalog.write(lambda tx: collecting.drop_pack(tx, plan.id, plan.name))
        self._remove(plan.name)
        return gone, plan.size

    def _rewrite(self, plan: PackPlan) -> tuple[int, int]:
        """Copy what is needed of a pack into a new one and remove the old one."""
        needed = self._catalog.read(lambda db: collecting.needed(db, plan.id))
        writer = self._store.create()
        self._store.hold(writer.id)
        try:
            self._catalog.write(lambda tx: collecting.not_wanted(tx, writer.id))
            new = self._copy(plan.name, needed, writer)
            gone = self._catalog.write(lambda tx: collecting.replace_pack(tx, plan.id, plan.name, new))
        except BaseException:
            self._undo(writer)
            raise
        finally:
            self._store.release(writer.id)
        self._remove(plan.name)
        return gone, plan.size - new.size

    def _copy(self, name: str, needed: frozenset[int], writer: PackWriter) -> PackFacts:
        try:
            wanted = self._records(name, needed)
            for start in range(0, len(wanted), COPIED):
                some = wanted[start : start + COPIED]
                self._check_going_on()
                payloads = self._store.read_many(name, some)
                writer.append_many(
                    NewRecord(each.kind, each.codec, each.digest, each.raw_size, payload)
                    for each, payload in zip(some, payloads, strict=True)
                )
            return facts(writer.seal())
        except BaseException:
            writer.discard()
            raise

    def _records(self, name: str, needed: frozenset[int]) -> Sequence[Record]:
        """What is needed of a pack, as the pack itself tells, in the order of the file. Raises `PackChanged`."""
        records = sorted(self._store.index(name), key=lambda record: record.offset)
        wanted = [record for record in records if record.offset in needed]
        if len(wanted) < len(needed):
            raise PackChanged  # the footer is damaged, and with it the way to some records
        return wanted

    def _undo(self, writer: PackWriter) -> None:
        """Remove a pack that did not get into the catalog."""
        try:
            self._store.remove(writer.id)
        except PackNotFound:
            writer.discard()  # it never got so far
        self._catalog.write(lambda tx: collecting.removed(tx, writer.id))

    def _remove(self, name: str) -> None:
        """Remove the file of a pack that is out of the catalog; if that fails, the next collection or start does."""
        try:
            self._store.remove(name)
        except PackNotFound:
            pass
        except OSError as error:
            log.warning("a pack was not removed", extra={"pack": name, "error": type(error).__name__})
            return
        self._catalog.write(lambda tx: collecting.removed(tx, name))


def _log_failure(done: Future[Collected]) -> None:
    error = None if done.cancelled() else done.exception()
    if error is not None and not isinstance(error, Unavailable):
        log.error("a collection failed", exc_info=error)
