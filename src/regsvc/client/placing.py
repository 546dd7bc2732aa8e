"""Puts chunks in their places: a few threads check, decode and write, one proves file digests in order.

At most `_WINDOW` jobs, of about 1 MiB to 4 MiB each, are under way; who brings more waits.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from regsvc import errors
from regsvc.client.machine import cores
from regsvc.client.staging import Bytes, StagedFile

_WINDOW = 32


class Place(NamedTuple):
    """Where a chunk belongs."""

    file: StagedFile
    number: int

    @property
    def digest(self) -> bytes:
        return self.file.remote.chunk(self.number)

    @property
    def size(self) -> int:
        return self.file.remote.chunk_sizes[self.number]


Written = Sequence[tuple[Place, Bytes | None]]
"""Places that were written, with their bytes where they are at hand."""


class Placing:
    """The threads that put a pull's chunks in their places. `finished` is called with each file that is proven."""

    def __init__(self, finished: Callable[[StagedFile], None]) -> None:
        self.placed = 0
        """Raw bytes that are in their places."""
        self.wrong: list[StagedFile] = []
        """Files that have another digest than they should since some chunks were copied here."""
        self._finished = finished
        self._workers = ThreadPoolExecutor(min(4, cores()), "regsvc-place")
        self._prover = ThreadPoolExecutor(1, "regsvc-prove")
        self._room = threading.BoundedSemaphore(_WINDOW)
        self._error: BaseException | None = None

    def submit(self, write: Callable[[], Written]) -> None:
        """Run `write` in a worker, then prove what it wrote. Raises what an earlier one raised."""
        self.check()
        self._room.acquire()
        self._prover.submit(self._prove, self._workers.submit(write))

    def check(self) -> None:
        """Raise what stopped the placing, if something did."""
        if self._error is not None:
            raise self._error

    def settle(self) -> None:
        """Wait until all that was submitted is in its place and proven. Raises what `submit` may."""
        self._prover.submit(lambda: None).result()
        self.check()

    def close(self) -> None:
        """Stop the threads; what is written stays for the next pull."""
        self._workers.shutdown(cancel_futures=True)
        self._prover.shutdown(cancel_futures=True)

    def _prove(self, writing: Future[Written]) -> None:
        """Hash files in order; runs in the one proving thread."""
        try:
            if self._error is None:
                for place, data in writing.result():
                    self.placed += place.size
                    self._arrived(place, data)
        except BaseException as error:  # noqa: BLE001 - raised again by who submits or settles
            self._error = error
        finally:
            self._room.release()

    def _arrived(self, place: Place, data: Bytes | None) -> None:
        try:
            place.file.arrived(place.number, data)
        except errors.DigestMismatch:
            if not place.file.local:
                raise
            self.wrong.append(place.file)
            return
        if place.file.done:
            self._finished(place.file)
