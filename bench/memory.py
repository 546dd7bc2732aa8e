"""Hold memory ready: `memory.py BYTES` touches that much and lets it go.

A virtual machine may give free memory back to its host and take it again page by page at the first touch, which costs
five times the copy that touches it. That is nobody's work, so what an operation will need is touched before it.
"""

from __future__ import annotations

import mmap
import sys

_STEP = 1 << 20


def touch(size: int) -> None:
    """Write to every page of that much memory."""
    with mmap.mmap(-1, size) as memory:
        block = b"\1" * _STEP
        for begin in range(0, size - _STEP + 1, _STEP):
            memory[begin : begin + _STEP] = block


if __name__ == "__main__":
    touch(int(sys.argv[1]))
