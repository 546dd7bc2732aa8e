"""Run the processes that are measured, and learn what each of them cost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TICK = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """A process that is measured did not do its work."""


@dataclass(frozen=True)
class Cost:
    """What one process took, from its start to its end."""

    wall: float
    """Seconds."""
    cpu: float
    """Seconds, user and system."""
    peak: int
    """Largest resident set, in bytes."""


def run(command: list[str], env: dict[str, str] | None = None) -> tuple[str, Cost]:
    """Run a command to its end; gives its stdout, and its cost. Raises `Failed`.

    The kernel counts the parent's memory at the fork as the child's peak, so the benchmark itself has to
    stay small: whatever needs memory runs as a process of its own.
    """
    started = time.monotonic()
    child = subprocess.Popen(
        command, env={**os.environ, **(env or {})}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stderr is not None
    with child.stdout, child.stderr:
        try:
            output, complaints = (
                child.stdout.read(),
                child.stderr.read(),
            )  # neither prints more than a pipe holds
            _, status, usage = os.wait4(child.pid, 0)
        except BaseException:
            child.kill()
            raise
    wall = time.monotonic() - started
    child.returncode = os.waitstatus_to_exitcode(status)  # or Popen would wait for it again
    if child.returncode:
        raise Failed(f"{' '.join(command[1:4])} ended with {child.returncode}: {complaints.strip()}")
    return output, Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss << 10)


def run_json(command: list[str], env: dict[str, str] | None = None) -> tuple[dict[str, Any], Cost]:
    """As `run`, for a command whose stdout is one JSON object."""
    output, cost = run(command, env)
    answer: dict[str, Any] = json.loads(output)
    return answer, cost


class Server:
    """A server process that prints its address at the end of its first line."""

    def __init__(self, command: list[str], log: Path):
        with open(log, "ab") as complaints:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=complaints, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            raise Failed(f"{' '.join(command[1:4])} did not start: {log.read_text()[-2000:]}")
        self.endpoint = line.split()[-1]

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def kill(self) -> None:
        """End it as a crash does."""
        self._process.kill()

    def forget_peak(self) -> None:
        """Count the peak of memory from now on."""
        Path(f"/proc/{self._process.pid}/clear_refs").write_text("5")  # proc(5): resets VmHWM

    @property
    def peak(self) -> int:
        """Largest resident set in bytes (VmHWM)."""
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) << 10
        raise Failed("the server has ended")

    @property
    def cpu(self) -> float:
        """Seconds of all its threads so far, user and system."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK  # proc(5): utime, stime


def regsvc(*arguments: str) -> list[str]:
    """The command line of `regsvc ARGUMENTS` by this Python."""
    return [sys.executable, "-m", "regsvc", *arguments]


def registry(data: Path) -> Server:
    """`regsvc serve` on a data directory."""
    return Server(regsvc("serve", "--data", str(data), "--listen", "127.0.0.1:0"), data.with_suffix(".log"))


def tree_cpu(root: int) -> float:
    """Seconds of a process and of everything below it, user and system, ended children included."""
    total = 0
    for pid in _tree(root):
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(int(field) for field in fields[11:15])  # proc(5): utime, stime, cutime, cstime
    return total / _TICK


def tree_peak(root: int) -> int:
    """Sum of the largest resident sets of a process and of everything below it, in bytes."""
    total = 0
    for pid in _tree(root):
        try:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))
    return total


def _tree(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(folder.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found
