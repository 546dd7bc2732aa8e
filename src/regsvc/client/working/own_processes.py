"""Processes that a build has started: finding and killing exactly those, also after whoever started them has died.

A pid alone proves nothing, it may be another's by now. What proves a process to be of a build: it is the recorded
leader of one of its sessions, by pid, start and boot; it is in the session of such a leader that lives; or its
environment names the work folder, whose name is random. It is pinned (pidfd) before it is looked at, so what is killed
is what was looked at.
Without /proc nothing can be proven, and nothing is killed.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MARK = "REGSVC_WORK"
"""Environment variable of all processes of a build: its folder."""

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_ROUNDS = 200
"""Most looks at what is left; processes that start others faster than we kill them would keep us for ever."""
_PAUSE = 0.02


@dataclass(frozen=True)
class Process:
    """One process, told apart from all others that had or will have its pid."""

    pid: int
    started: int
    """Clock ticks since the boot."""
    boot: str
    """Random id of the boot."""


@dataclass(frozen=True)
class _Status:
    state: str
    parent: int
    session: int
    started: int


def identify(pid: int) -> Process | None:
    """The process that has this pid now; None when there is none, or no /proc."""
    status = _status(pid)
    return None if status is None else Process(pid, status.started, _boot())


def adopt_orphans() -> None:
    """From now on what descendants of this process leave behind becomes its child: `end_children` finds it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "prctl"):
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap_orphans(child: int) -> None:
    """Take the ends of children that were adopted, but not that of `child`, which somebody waits for."""
    if not hasattr(os, "waitid"):  # where there is none, nobody is adopted either
        return
    with contextlib.suppress(ChildProcessError):
        while True:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None or ended.si_pid == child:
                return
            os.waitpid(ended.si_pid, os.WNOHANG)


def end_children() -> None:
    """Kill all children of this process, and theirs as they come to us, and wait for them.

    Only children are killed, never their children: nobody but us can reap them, so their pids are theirs.
    """
    for _ in range(_ROUNDS):
        for pid in _children():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not _children():
            return
        time.sleep(_PAUSE)


def end_marked(folder: str, leaders: Sequence[Process]) -> int:
    """Kill all processes that are proven to be of the build that worked in `folder`; gives how many were seen."""
    seen: set[int] = set()
    for _ in range(_ROUNDS):
        found = 0
        for pid, pinned in _proven(folder, leaders):
            seen.add(pid)
            found += 1
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pinned, signal.SIGKILL)
        if not found:
            break
        time.sleep(_PAUSE)
    return len(seen)


def _proven(folder: str, leaders: Sequence[Process]) -> Iterator[tuple[int, int]]:
    """Pid and pidfd, which is closed when the next is asked for."""
    boot = _boot()
    known = {each.pid: each.started for each in leaders if each.boot == boot and boot}
    lead = {pid for pid, started in known.items() if (status := _status(pid)) and status.started == started}
    mark = f"{MARK}={folder}".encode()
    for pid in _pids():
        if pid == os.getpid():
            continue
        try:
            pinned = os.pidfd_open(pid)
        except (OSError, AttributeError):
            continue
        try:
            status = _status(pid)
            if status is None or status.state in "ZX":
                continue
            leads = known.get(pid) == status.started
            if leads or status.session in lead or mark in _environment(pid):
                yield pid, pinned
        finally:
            os.close(pinned)


def _children() -> list[int]:
    own = os.getpid()
    return [pid for pid in _pids() if (status := _status(pid)) is not None and status.parent == own]


def _pids() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return []


def _status(pid: int) -> _Status | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        return None
    # The second field is the name of the program in brackets, which may hold brackets and blanks.
    fields = text[text.rindex(b")") + 2 :].split()
    return _Status(fields[0].decode(), int(fields[1]), int(fields[3]), int(fields[19]))


def _environment(pid: int) -> list[bytes]:
    """As it was when the program started; empty when it is another user's."""
    try:
        if os.stat(f"/proc/{pid}").st_uid != os.geteuid():
            return []
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read().split(b"\0")
    except OSError:
        return []


def _boot() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
