"""The runner: takes queued builds that it has the labels for, as many at once as it has slots, each in a process."""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import re
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regsvc import errors, refs
from regsvc.client.beside import Beside
from regsvc.client.params import check_key
from regsvc.client.working.runner_link import RunnerLink
from regsvc.client.working.work_folder import Left, WorkFolder, WorkRoot
from regsvc.client.working.worker import Ending, Job, ending_from
from regsvc.v1 import build_pb2
from regsvc.v1 import runner_pb2 as pb
from regsvc.version import __version__

if TYPE_CHECKING:
    from regsvc.client.client import Client

log = logging.getLogger(__name__)

DEFAULT_GRACE = 10.0

_MOST_LABELS = 50
_NO_ROOM = 30.0
"""Seconds that a slot rests when no work folder can be made: on a full disk, each build would fail at once."""
_CLAIM_AGAIN = 1.0
_LAST_WORD = 60.0
"""Seconds for telling the server that a worker has died; its lease tells it otherwise."""
_ANSWER = 1 << 20
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


@dataclass(frozen=True)
class Happening:
    """What a runner does, for people and logs."""

    state: str
    """Of itself: `WAITING` (connected), `AWAY` (the server is), `DRAINING`. Of a build: `RUNNING`, `SUCCEEDED`,
    `FAILED`, `CANCELLED`, `LOST`, `CLEANED` (what a dead runner has left of it), `REFUSED` (it could not be taken)."""
    build: str = ""
    """`team/fraud/builds/7`"""
    reason: str = ""
    versions: tuple[str, ...] = ()
    folder: str = ""
    """The work folder, when it was kept."""


@dataclass(eq=False)
class _Slot:
    """A build that is being taken or worked on."""

    build: str
    process: subprocess.Popen[bytes] | None = None
    asked: list[bytes] = field(default_factory=list)
    """What the worker is to be told."""


class BuildRunner(Beside):
    """Executes queued builds. `run` until `drain`, or use it as a context manager that drains at its end."""

    def __init__(
        self,
        client: Client,
        *,
        labels: Iterable[str] = (),
        slots: int = 1,
        name: str | None = None,
        work: str | os.PathLike[str] | None = None,
        pass_env: Iterable[str] = (),
        once: bool = False,
        keep_failed: bool = False,
        grace: float = DEFAULT_GRACE,
        on_happening: Callable[[Happening], None] | None = None,
    ) -> None:
        if not 1 <= slots <= 1000:
            raise errors.InvalidArgument("slots are 1 to 1,000", slots=slots)
        self.name = name or _host_name()
        self.session = secrets.token_hex(16)
        self._client = client
        self._labels = tuple(dict.fromkeys(check_key("label", each) for each in labels))
        if len(self._labels) > _MOST_LABELS:
            raise errors.InvalidArgument(f"a runner has at most {_MOST_LABELS} labels")
        self._slots = 1 if once else slots
        self._pass_env = tuple(pass_env)
        for each in self._pass_env:
            if not _VARIABLE.fullmatch(each) or each.startswith("REGSVC_PARAM"):
                raise errors.InvalidArgument(f"'{each}' is no name of a variable to pass on")
        self._once = once
        self._keep_failed = keep_failed
        self._grace = grace
        self._on_happening = on_happening or (lambda happening: None)
        self._root = WorkRoot(work or default_work())
        # Protects the three below; notified when they change.
        self._changed = threading.Condition()
        self._taken: dict[str, _Slot] = {}
        self._draining = self._stopping = False
        self._refusal: errors.RegsvcError | None = None
        self._line: str | None = None  # the link's thread's own
        self._link: RunnerLink | None = None

    def run(self) -> None:
        """Take builds until `drain`, with `once` one build. May be called once.

        Raises `InvalidArgument` (the server does not take name or labels), `Unimplemented` (it has no queue),
        `FailedPrecondition` and `OSError` (the work folder).
        """
        self._root.prepare()
        for left in self._root.sweep():
            self._tell_cleaned(left)
        connection = self._client.connection_of(None)
        link = self._link = RunnerLink(
            connection,
            pb.Runner(
                name=self.name,
                session=self.session,
                labels=self._labels,
                slots=self._slots,
                host=socket.gethostname()[:200],
                version=__version__,
            ),
            on_offer=self._offered,
            on_cancel=self._cancelled,
            on_line=self._line_changed,
            on_refusal=self._refused,
        )
        link.start(self._free())
        try:
            with self._changed:
                while not self._refusal and not (self._draining and not self._taken):
                    self._changed.wait(1.0)  # so that signals are heard
                if self._refusal is not None and not self._taken:
                    raise self._refusal
        finally:
            self._end_all()
            link.close()
        if self._refusal is not None:
            raise self._refusal

    def drain(self) -> None:
        """Take no more builds; `run` ends when those that run are done. Any thread may call it."""
        self._drain()
        self._tell_free()

    def stop(self) -> None:
        """Cancel the builds that run, and end. Any thread may call it."""
        self._drain()
        with self._changed:
            self._stopping = True
            slots = list(self._taken.values())
            self._changed.notify_all()
        for slot in slots:
            self._ask(slot, b"stop")
        self._tell_free()

    def _end_beside(self, error: BaseException | None) -> None:
        if error is None:
            self.drain()
        else:
            self.stop()

    def _drain(self) -> None:
        with self._changed:
            first, self._draining = not self._draining, True
            self._changed.notify_all()
        if first:
            self._tell(Happening("DRAINING"))

    # What the link tells, on its thread.

    def _offered(self, build: str) -> None:
        with self._changed:
            if build in self._taken or not self._free():
                return
            slot = self._taken[build] = _Slot(build)
        threading.Thread(target=self._carry, args=(slot,), name="regsvc-slot", daemon=True).start()

    def _cancelled(self, build: str) -> None:
        with self._changed:
            slot = self._taken.get(build)
        if slot is not None:
            self._ask(slot, b"cancel")

    def _line_changed(self, trouble: str) -> None:
        if trouble and self._line == "":
            self._tell(Happening("AWAY", reason=trouble))
        elif not trouble and self._line != "":
            self._tell(Happening("WAITING"))
        elif trouble and self._line is None:
            self._tell(Happening("AWAY", reason=trouble))
        self._line = trouble

    def _refused(self, error: errors.RegsvcError) -> None:
        with self._changed:
            self._refusal = error
            self._draining = True
            self._changed.notify_all()

    # One build, on a thread of its own.

    def _carry(self, slot: _Slot) -> None:
        done = False
        try:
            done = self._take_and_work(slot)
        except OSError as error:
            reason = f"no work folder can be made: {error.strerror or type(error).__name__}"
            self._tell(Happening("REFUSED", _short(slot.build), reason))
            self._rest(_NO_ROOM)
        except errors.RegsvcError as error:
            self._tell(Happening("REFUSED", _short(slot.build), error.message))
            self._rest(_CLAIM_AGAIN)
        finally:
            with self._changed:
                del self._taken[slot.build]
                if done and self._once:
                    self._draining = True
                self._changed.notify_all()
            self._tell_free()

    def _take_and_work(self, slot: _Slot) -> bool:
        """Whether it was ours. The folder first: who has no room takes no build."""
        folder = self._root.create()
        try:
            folder.note(build=slot.build)
            claimed = self._claim(slot.build)
            if claimed is None:
                return False
            self._tell(Happening("RUNNING", _short(slot.build)))
            ending = self._work(slot, folder, claimed)
        finally:
            kept = self._clear(folder)
            folder.release()
        self._tell(
            Happening(
                ending.state,
                _short(slot.build),
                ending.reason,
                tuple(ending.versions),
                folder.path if kept else "",
            )
        )
        return True

    def _claim(self, build: str) -> pb.ClaimBuildResponse | None:
        """Take it; None when somebody else has it, or it is not to be had. Asks until it is certain."""
        connection = self._client.connection_of(None)
        request = pb.ClaimBuildRequest(build=build, runner=self.name, session=self.session)
        asked = False
        while True:
            with self._changed:
                # What was asked for may have been given, and only another answer tells.
                if self._stopping or (self._draining and not asked):
                    return None
            asked = True
            try:
                claimed: pb.ClaimBuildResponse = connection.call(
                    connection.runners.ClaimBuild, request, timeout=10.0, patience=0
                )
            except (errors.Unavailable, errors.DeadlineExceeded):
                self._rest(_CLAIM_AGAIN)
            except (errors.FailedPrecondition, errors.NotFound):
                return None
            else:
                return claimed

    def _work(self, slot: _Slot, folder: WorkFolder, claimed: pb.ClaimBuildResponse) -> Ending:
        job = Job(
            endpoint=self._client.endpoint,
            folder=folder.path,
            claimed=claimed.SerializeToString(),
            grace=self._grace,
            pass_env=self._pass_env,
            keep_failed=self._keep_failed,
        )
        try:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "regsvc.client.working.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                pass_fds=(folder.lock,),
                start_new_session=True,  # Ctrl-C is for the runner, which drains
            )
        except OSError as error:
            return self._fail(slot.build, f"the runner cannot start a process: {error.strerror}")
        folder.began(process.pid)
        assert process.stdin is not None
        assert process.stdout is not None
        with process.stdout:
            with contextlib.suppress(BrokenPipeError):
                _write(process.stdin, job.to_line())
                with self._changed:
                    slot.process = process
                    for line in slot.asked:
                        _write(process.stdin, line)
            said = process.stdout.read(_ANSWER)
            status = process.wait()
        with self._changed:
            slot.process = None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
        ending = ending_from(said.splitlines()[-1]) if said.strip() else None
        return ending or self._died(slot.build, folder, status)

    def _died(self, build: str, folder: WorkFolder, status: int) -> Ending:
        """A worker ended without a word: end what it has started, and tell the server."""
        if self._keep_failed:
            folder.keep()
        self._clear(folder)
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        return self._fail(build, f"the runner's process for this build {how}")

    def _fail(self, build: str, reason: str) -> Ending:
        """End a build that no worker ends."""
        connection = self._client.connection_of(None)
        request = build_pb2.FinishBuildRequest(name=build, state="BUILD_STATE_FAILED", reason=reason)
        try:
            connection.call(connection.builds.FinishBuild, request, patience=_LAST_WORD)
        except errors.RegsvcError as error:
            return Ending(error.metadata.get("state", "LOST"), reason)
        return Ending("FAILED", reason)

    def _clear(self, folder: WorkFolder) -> bool:
        """Kill and remove what the worker has left; whether the folder is kept."""
        try:
            return folder.clear().kept
        except OSError as error:
            self._tell(
                Happening("CLEANED", reason=f"{folder.path} cannot be removed: {error.strerror or error}")
            )
            return False

    def _ask(self, slot: _Slot, what: bytes) -> None:
        line = what + b"\n"
        with self._changed:
            slot.asked.append(line)
            if slot.process is not None and slot.process.stdin is not None:
                with contextlib.suppress(OSError, ValueError):  # it has ended
                    _write(slot.process.stdin, line)

    def _end_all(self) -> None:
        """Whatever ends `run`, its workers end first."""
        with self._changed:
            if not self._taken:
                return
        self.stop()
        with self._changed:
            while self._taken:
                self._changed.wait(1.0)

    # Small things.

    def _free(self) -> int:
        return 0 if self._draining else self._slots - len(self._taken)

    def _tell_free(self) -> None:
        if self._link is not None:
            with self._changed:
                self._link.tell(self._free())

    def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        with self._changed:
            while not self._draining and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)

    def _tell_cleaned(self, left: Left) -> None:
        killed = f"{left.processes} processes killed" if left.processes else ""
        self._tell(Happening("CLEANED", _short(left.build), killed))

    def _tell(self, happening: Happening) -> None:
        try:
            self._on_happening(happening)
        except Exception as error:  # noqa: BLE001 - as of a closed pipe; builds go on though nobody can be told
            log.warning("nobody was told that it is %s: %s", happening.state, error)


def default_work() -> Path:
    """`$XDG_STATE_HOME/regsvc/runner`, else `~/.local/state/regsvc/runner`."""
    home = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    return Path(home) / "regsvc" / "runner"


def _host_name() -> str:
    name = re.sub(r"[^a-z0-9._-]+", "-", (socket.gethostname() or platform.node()).lower())
    return name[:63].strip("-._") or "runner"


def _short(build: str) -> str:
    try:
        return str(refs.build_from_wire(build))
    except errors.NameInvalid:
        return build


def _write(pipe: Any, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[pipe.write(left) :]
