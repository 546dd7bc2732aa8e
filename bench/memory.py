"""Hold memory at hand for what is measured: `memory.py KEEP`, which leaves KEEP bytes of it free.

A virtual machine gives free memory back to its host, and takes it again page by page at the first touch, which costs
five times the copy that touches it. That is nobody's work. So this process touches what is free, and lets go of it
while others take it, faster than the machine gives it back.

A line on stdin: it takes what is free by now and answers "ready". From then on it only lets go. It ends with its stdin.
"""

from __future__ import annotations

import mmap
import select
import sys
from pathlib import Path

_BLOCK = 64 << 20
_AHEAD = 128 << 20
"""Bytes that are let go before anyone has asked."""
_LOOK = 0.01
"""Seconds between looks at what is free: at 3 GB/s others take 30 MB meanwhile."""
_PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS


def hold(keep: int) -> None:
    """Until stdin ends."""
    held: list[mmap.mmap] = []
    level = 0
    while True:
        told, _, _ = select.select([sys.stdin], [], [], _LOOK)
        if told:
            if not sys.stdin.readline():
                return
            while _free() > keep + _BLOCK:
                held.append(_touched())
            level = _free()
            print("ready", flush=True)
        while held and _free() < level + _AHEAD - _BLOCK:
            held.pop().close()


def _touched() -> mmap.mmap:
    memory = mmap.mmap(-1, _BLOCK, flags=_PRIVATE)
    memory[:: mmap.PAGESIZE] = b"\1" * (_BLOCK // mmap.PAGESIZE)
    return memory


def _free() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemFree:"):
            return int(line.split()[1]) << 10
    raise OSError("the kernel does not say what memory is free")


if __name__ == "__main__":
    hold(int(sys.argv[1]))
