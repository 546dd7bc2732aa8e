"""The cache as a whole: where it is, who holds it, what is in it."""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from regsvc.client.cache import checking, locking, pruning, versions
from regsvc.client.cache.entries import Entries
from regsvc.client.cache.layout import Layout
from regsvc.client.cache.settings import DEFAULT_LIMIT, cache_limit, cache_path
from regsvc.errors import FailedPrecondition

PATIENCE = 10.0
"""Seconds that a pull waits for a pruning to end; then it does without the cache."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ListedVersion:
    """A version in the cache."""

    digest: str
    """64 hex digits."""
    references: tuple[str, ...]
    """How it was asked for, the latest last."""
    files: int
    """How many; those of the same bytes are one."""
    bytes: int
    last_used: datetime


@dataclass(frozen=True)
class Contents:
    """What is in the cache."""

    path: str
    limit: int
    """Bytes."""
    versions: tuple[ListedVersion, ...]
    """The last used first."""
    files: int
    """Those that several versions share count once."""
    bytes: int
    """Of these files, as the limit counts them: in whole blocks."""


class Cache:
    """Pulled files by their digest, for all processes of one user."""

    def __init__(
        self, path: str | os.PathLike[str], limit: int = DEFAULT_LIMIT, *, copies: bool = True
    ) -> None:
        self.path = os.path.realpath(path)
        self.limit = limit
        """Bytes. While pulls overlap it may hold more; the next pruning that has it alone puts that right."""
        self._copies = copies
        self._layout = Layout(self.path)

    @classmethod
    def default(cls) -> Cache | None:
        """The cache that the environment names; None when it is switched off. Raises `InvalidArgument`."""
        path, limit = cache_path(), cache_limit()
        if path is None or limit <= 0:
            return None
        # Where nobody chose its place, filling it must not cost a pull a second copy of a model.
        return cls(path, limit, copies="REGSVC_CACHE" in os.environ)

    @contextmanager
    def using(self) -> Iterator[Entries | None]:
        """Hold the cache for a pull: nothing disappears from it meanwhile, save what is damaged.

        None when it cannot be used; a debug line says why. Prunes at the end when something was added.
        """
        held = self._hold()
        if held is None:
            yield None
            return
        entries = Entries(self._layout, self.limit, copies=self._copies)
        try:
            yield entries
        finally:
            os.close(held)
            if entries.added:
                self._prune_quietly()

    def prune(self, limit: int | None = None, wait: float = 0.0) -> pruning.Pruned | None:
        """Remove the versions that were not used for longest, until the rest fits into `limit` bytes.

        Waits up to `wait` seconds for pulls to end; None, and nothing done, when one goes on. Raises `OSError`.
        """
        if not os.path.isdir(self.path):
            return pruning.Pruned(0, 0, 0)
        alone = locking.exclusive(self._layout.lock, wait)
        if alone is None:
            return None
        try:
            return pruning.prune(self._layout, self.limit if limit is None else limit)
        finally:
            os.close(alone)

    def contents(self) -> Contents:
        """What is in it. Raises `OSError`."""
        listed, rooms = [], {}
        for each in versions.newest_first(self._layout):
            rooms.update({digest: pruning.room(size) for digest, size in each.files.items()})
            listed.append(
                ListedVersion(each.digest.hex(), each.references, len(each.files), each.size, each.last_used)
            )
        return Contents(self.path, self.limit, tuple(listed), len(rooms), sum(rooms.values()))

    def verify(self, report: Callable[[int], None] | None = None) -> checking.Verified:
        """Read everything and drop what is damaged; `report` gets the bytes read so far, file by file.

        Raises `OSError`, and `FailedPrecondition` when the cache cannot be used.
        """
        if not os.path.isdir(self.path):
            return checking.Verified(0, 0, ())
        with self.using() as entries:
            if entries is None:
                raise FailedPrecondition(f"the cache {self.path} cannot be used now", path=self.path)
            return checking.verify(self._layout, entries, report)

    def _hold(self) -> int | None:
        try:
            self._layout.make()
            status = os.stat(self.path)
            # Files are linked out unread: whoever may write here may say what a model is.
            if status.st_uid != os.geteuid() or status.st_mode & stat.S_IWOTH:
                log.debug("the cache %s is off: others may write to it", self.path)
                return None
            held = locking.shared(self._layout.lock, PATIENCE)
        except OSError as error:
            log.debug("the cache %s is off: %s", self.path, error)
            return None
        if held is None:
            log.debug("the cache %s is off: it is being pruned", self.path)
        return held

    def _prune_quietly(self) -> None:
        try:
            self.prune()
        except OSError as error:
            log.debug("the cache %s was not pruned: %s", self.path, error)
