"""Where a run works, and the same start for every operation there."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from types import TracebackType

MEMORY = Path("/dev/shm")
DISK = Path("/var/tmp")
"""By the custom of the file system hierarchy on a disk, also where /tmp is memory."""
_HELD = 3.2
"""Times the largest case that a run holds at once: source, store, and what is pulled."""


class Place:
    """A folder to measure in."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.in_memory = file_system(folder) == "tmpfs"
        self.room = room(folder)
        """Bytes that a run may fill."""
        self._memory: subprocess.Popen[str] | None = None

    def __enter__(self) -> Place:
        if self.in_memory:
            script, keep = Path(__file__).with_name("memory.py"), _available() - self.room
            command = [sys.executable, str(script), str(keep)]
            self._memory = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._memory is not None:
            self._memory.communicate()

    def settle(self) -> None:
        """Before an operation: nothing is left to write back, and memory is at hand for what it will write."""
        if self._memory is None:
            subprocess.run(["sync", "--file-system", str(self.folder)], check=True)
            return
        assert self._memory.stdin is not None
        assert self._memory.stdout is not None
        self._memory.stdin.write("\n")
        self._memory.stdin.flush()
        self._memory.stdout.readline()


def choose(mib: int) -> Path | None:
    """The folder for a run of that size: in memory if there is room; None is where temporary files go."""
    return MEMORY if MEMORY.is_dir() and room(MEMORY) > _HELD * mib * (1 << 20) else None


def room(folder: Path) -> int:
    """Bytes that a run may fill: of memory two thirds of what is left, for processes need some, too."""
    free = shutil.disk_usage(folder).free
    return min(free, _available() * 2 // 3) if file_system(folder) == "tmpfs" else free


def file_system(folder: Path) -> str:
    """Type of the file system that holds the folder: of its longest mount point."""
    best, kind = "", ""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, point, mounted, *_ = line.split()
        if folder.resolve().is_relative_to(point) and len(point) >= len(best):
            best, kind = point, mounted
    return kind


def _available() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    raise OSError("the kernel does not say what memory is available")
