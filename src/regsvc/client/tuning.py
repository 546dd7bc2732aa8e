"""Settings of libraries below us that suit bulk bytes. For our own processes only, never in a user's."""

from __future__ import annotations

import ctypes
import os

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -2, -3, -8  # glibc malloc.h


def keep_freed_memory() -> bool:
    """Raise malloc's thresholds; false, and nothing changed, off glibc.

    glibc hands 1 MiB buffers back to the kernel after each message and faults them in again, which costs
    more than everything else done to them.
    """
    try:
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version  # noqa: B018 - only glibc has it
        mallopt = libc.mallopt
    except (OSError, AttributeError):
        return False
    wanted = (
        (_M_MMAP_THRESHOLD, 256 << 20),
        (_M_TRIM_THRESHOLD, 1 << 30),
        (_M_TOP_PAD, 64 << 20),
        # Other arenas are unmapped whole when they are empty, whatever the thresholds say.
        (_M_ARENA_MAX, 1),
    )
    return all(mallopt(parameter, value) == 1 for parameter, value in wanted)


def load_numpy_with_one_thread() -> None:
    """Import NumPy without OpenBLAS's threads, which spin for 0.1 s at their start: nothing here multiplies matrices.

    The environment is as before afterwards, since the child of `build run` inherits it.
    """
    name = "OPENBLAS_NUM_THREADS"
    if name in os.environ:
        return
    os.environ[name] = "1"
    try:
        import numpy as np  # noqa: F401
    finally:
        del os.environ[name]
