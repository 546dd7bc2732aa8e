"""Open pack files, shared by threads: a bounded number, and none closed under a reader."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

from regsvc.store.fsio import FileSystem


class Handle:
    """An open file that closes once it is retired and its last reader has left."""

    def __init__(self, fs: FileSystem, fd: int) -> None:
        self._fs = fs
        self._fd = fd
        self._lock = Lock()  # protects the two below
        self._readers = 0
        self._retired = False

    def acquire(self) -> int | None:
        """The file, to be given back by `release`; None if it is retired."""
        with self._lock:
            if self._retired:
                return None
            self._readers += 1
            return self._fd

    def release(self) -> None:
        """Give back what `acquire` returned."""
        with self._lock:
            self._readers -= 1
            last = self._retired and not self._readers
        if last:
            self._fs.close(self._fd)

    def retire(self) -> None:
        """Accept no more readers; close the file now or when the last one leaves. Twice is once."""
        with self._lock:
            idle = not self._retired and not self._readers
            self._retired = True
        if idle:
            self._fs.close(self._fd)


class HandleCache:
    """The `capacity` most recently used files by name; more are open only while more are being read."""

    def __init__(self, fs: FileSystem, capacity: int, open_file: Callable[[str], int]) -> None:
        self._fs = fs
        self._capacity = capacity
        self._open_file = open_file
        self._lock = Lock()  # protects the dictionary; also held while a file is opened, see forget()
        self._handles: OrderedDict[str, Handle] = OrderedDict()

    @contextmanager
    def borrow(self, name: str) -> Iterator[int]:
        """The open file `name`, which stays open for as long as the context lasts."""
        handle, fd = self._acquire(name)
        try:
            yield fd
        finally:
            handle.release()

    def forget(self, name: str) -> None:
        """Close the file once nobody reads it.

        A caller that unlinks first and forgets then leaves no descriptor on the unlinked file (which would
        hold its disk space): a borrower either opened before, and is retired here, or finds nothing.
        """
        with self._lock:
            handle = self._handles.pop(name, None)
        if handle is not None:
            handle.retire()

    def close(self) -> None:
        """Close every file once nobody reads it."""
        with self._lock:
            handles = list(self._handles.values())
            self._handles.clear()
        for handle in handles:
            handle.retire()

    def _acquire(self, name: str) -> tuple[Handle, int]:
        evicted = None
        with self._lock:
            handle = self._handles.get(name)
            if handle is None:
                handle = self._handles[name] = Handle(self._fs, self._open_file(name))
                if len(self._handles) > self._capacity:
                    _, evicted = self._handles.popitem(last=False)
            else:
                self._handles.move_to_end(name)
            fd = handle.acquire()
            assert fd is not None, "a handle is retired only after it left the dictionary"
        if evicted is not None:
            evicted.retire()
        return handle, fd
