"""Who may do what in the cache: any number use it, or one removes from it."""

from __future__ import annotations

import fcntl
import os
import time

_POLL = 0.01
"""Seconds between two tries."""


def shared(path: str, wait: float) -> int | None:
    """Use the cache: a descriptor to close at the end, or None when after `wait` seconds it is still being pruned.

    Raises `OSError`. The end of the process, however it comes, gives the lock back.
    """
    return _locked(path, fcntl.LOCK_SH, wait)


def exclusive(path: str, wait: float) -> int | None:
    """Have the cache alone: as `shared`, or None when after `wait` seconds somebody still uses it."""
    return _locked(path, fcntl.LOCK_EX, wait)


def _locked(path: str, mode: int, wait: float) -> int | None:
    # The file stays: removing it would let two processes lock two files of one name.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    deadline = time.monotonic() + wait
    try:
        while not _taken(descriptor, mode):
            if time.monotonic() >= deadline:
                os.close(descriptor)
                return None
            time.sleep(_POLL)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _taken(descriptor: int, mode: int) -> bool:
    # Not a blocking flock: a pruner that was stopped would hold up every pull.
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
