"""Work folders: one a build, made clean, held while somebody works in it, and removed, if need be by the next runner.

DIR/lock                      held while folders are made or looked through
DIR/0123456789abcdef.journal  of one build, JSON lines: its name, the leaders of sessions that were started, whether
                              the folder is kept; locked by the runner and the process that works, as long as one
                              of them lives. Beside the folder, which a step may empty
DIR/0123456789abcdef/
    work/ tmp/ home/          what steps see
    own/                      what the runner needs beside
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from regsvc.client.working.own_processes import Process, end_marked, identify
from regsvc.client.working.removing import remove_tree
from regsvc.errors import FailedPrecondition

_JOURNAL = ".journal"
_NAME = re.compile(r"[0-9a-f]{16}\.journal", re.ASCII)
_PARTS = ("work", "tmp", "home", "own")


@dataclass(frozen=True)
class Left:
    """A folder that a dead runner has left."""

    build: str
    processes: int
    """That were still running, and were killed."""
    kept: bool


class WorkFolder:
    """The folder of one build. Whoever works in it holds its lock."""

    def __init__(self, path: str, lock: int = -1) -> None:
        self.path = path
        self.work = os.path.join(path, "work")
        self.tmp = os.path.join(path, "tmp")
        self.home = os.path.join(path, "home")
        self.own = os.path.join(path, "own")
        self.lock = lock
        """Open file that holds the lock; -1 in a process that only works here."""
        self._journal = path + _JOURNAL

    def note(self, **entry: object) -> None:
        """Write a line to the journal. Raises `OSError`."""
        with open(self._journal, "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def began(self, pid: int, control: str = "") -> None:
        """Note a session that was started, and the control socket that was made for it."""
        process = identify(pid)
        with contextlib.suppress(OSError):  # on a full disk: its environment names it, too
            self.note(**({} if process is None else asdict(process)), control=control)

    def keep(self) -> None:
        """It is not to be removed, by nobody."""
        with contextlib.suppress(OSError):
            self.note(kept=True)

    @property
    def kept(self) -> bool:
        return any(each.get("kept") is True for each in self._read())

    def clear(self) -> Left:
        """Kill what still runs of the build, and remove the folder unless it is kept. Raises `OSError`."""
        journal = self._read()
        found = Left(
            next((str(each["build"]) for each in journal if "build" in each), ""),
            end_marked(self.path, [each for each in map(_leader, journal) if each is not None]),
            self.kept,
        )
        for entry in journal:
            _remove_socket(entry.get("control", ""), self.path)
        if not found.kept or not os.path.isdir(self.path):  # somebody has looked at it, and removed it
            self.remove()
        return found

    def remove(self) -> None:
        """Raises `OSError` when something stays."""
        remove_tree(self.path)
        # Last: what is left of an interrupted removal is found by it.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._journal)

    def release(self) -> None:
        """Let the lock go."""
        if self.lock >= 0:
            os.close(self.lock)
            self.lock = -1

    def _read(self) -> list[dict[str, Any]]:
        found = []
        with contextlib.suppress(OSError), open(self._journal, encoding="utf-8", errors="replace") as file:
            for line in file:
                with contextlib.suppress(ValueError):  # half a line of one that died in it
                    entry = json.loads(line)
                    if isinstance(entry, dict):
                        found.append(entry)
        return found


class WorkRoot:
    """The folder in which a runner makes those of its builds. Several runners may share one.

    What else is in it is not touched.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.path.realpath(path)

    def prepare(self) -> None:
        """Make it if it is not there. Raises `FailedPrecondition`, `OSError`."""
        os.makedirs(self.path, mode=0o700, exist_ok=True)
        status = os.stat(self.path)
        if status.st_uid != os.geteuid() or status.st_mode & stat.S_IWOTH:
            raise FailedPrecondition(
                f"{self.path} is another user's, or all may write there: work folders would not be safe in it"
            )
        with self._locked():
            pass

    def create(self) -> WorkFolder:
        """A new folder, held by this process. Raises `OSError`, and leaves nothing then."""
        with self._locked():
            folder = WorkFolder(os.path.join(self.path, secrets.token_hex(8)))
            folder.lock = _take(folder.path + _JOURNAL, create=True)
            try:
                os.mkdir(folder.path, 0o700)
                for part in _PARTS:
                    os.mkdir(os.path.join(folder.path, part), 0o700)
            except OSError:
                folder.remove()
                folder.release()
                raise
        return folder

    def sweep(self) -> Iterator[Left]:
        """Clear the folders of those who have died. Raises `OSError` for one that cannot be removed."""
        for name in sorted(os.listdir(self.path)):
            if not _NAME.fullmatch(name):
                continue
            journal = os.path.join(self.path, name)
            with self._locked():
                try:
                    lock = _take(journal, create=False)
                except (FileNotFoundError, BlockingIOError):
                    continue
            folder = WorkFolder(journal.removesuffix(_JOURNAL), lock)
            try:
                found = folder.clear()
            finally:
                folder.release()
            if found.processes or not found.kept:
                yield found

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = os.open(os.path.join(self.path, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _take(journal: str, *, create: bool) -> int:
    """The lock of a build's folder. Raises `BlockingIOError` when it is held, `FileNotFoundError`."""
    if os.path.islink(journal):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), journal)
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_CREAT if create else 0)
    descriptor = os.open(journal, flags, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_nlink == 0:  # removed by its holder meanwhile
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), journal)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def _leader(entry: Mapping[str, Any]) -> Process | None:
    """Of a line of the journal, which a step may have written into."""
    pid, started, boot = entry.get("pid"), entry.get("started"), entry.get("boot")
    if isinstance(pid, int) and isinstance(started, int) and isinstance(boot, str):
        return Process(pid, started, boot)
    return None


def _remove_socket(control: object, folder: str) -> None:
    """The control socket of a build whose folder had too long a path for one."""
    if not isinstance(control, str) or not control or control.startswith(folder + os.sep):
        return
    home = os.path.dirname(control)
    with contextlib.suppress(OSError):
        status = os.lstat(home)
        if os.path.basename(home).startswith("regsvc-") and status.st_uid == os.geteuid():
            if stat.S_ISSOCK(os.lstat(control).st_mode):
                os.unlink(control)
            os.rmdir(home)
