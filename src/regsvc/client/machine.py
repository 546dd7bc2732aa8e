"""What this machine gives a transfer to work with."""

from __future__ import annotations

import os

STREAMS_VARIABLE = "REGSVC_STREAMS"
"""Environment variable: how many streams every transfer uses, 1 to 16."""

_MOST_STREAMS = 4
_MOST_ASKED = 16
_STREAM_BYTES = 64 << 20
"""Raw bytes below which another stream does not pay."""


def cores() -> int:
    """Processors that this process may use: a container often has fewer than its host."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def streams_for(size: int) -> int:
    """How many streams to move `size` raw bytes by: one fills about two cores, one at each end.

    Over a long, fat or lossy line more may help: `REGSVC_STREAMS` says how many.
    """
    asked = os.environ.get(STREAMS_VARIABLE, "")
    if asked.isdecimal() and int(asked):
        return min(int(asked), _MOST_ASKED)
    return max(1, min(_MOST_STREAMS, cores() // 2, size // _STREAM_BYTES))
