"""One build, in a process of its own: a crash here ends no other build, and ends with a word to the runner.

The runner gives it one JSON object on stdin, then a line for each thing that it asks: `cancel` (somebody asked it of
the server), `stop` (the runner is to end at once). When stdin ends the runner is dead: the work ends, and the build is
left to its lease. It says how the build ended as one JSON object on stdout.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import IO, TypeVar

from regsvc import errors, refs
from regsvc.client.client import Client
from regsvc.client.known import OFF, STATE_VARIABLE
from regsvc.client.place import Halt, Place
from regsvc.client.runner import Display, run_command
from regsvc.client.session import BuildSession
from regsvc.client.working.bringing import bring_input, bring_source, record_origin
from regsvc.client.working.own_processes import adopt_orphans, end_children, reap_orphans
from regsvc.client.working.publishing import publish_all
from regsvc.client.working.step_environment import step_environment
from regsvc.client.working.stopping import Halted, Stop, WorkFailed
from regsvc.client.working.task import Task, expanded, params_document, task_from
from regsvc.client.working.transfers import Transfers
from regsvc.client.working.work_folder import WorkFolder
from regsvc.v1 import runner_pb2

FETCH, PUBLISH = "fetch", "publish"
"""Names of the steps that are the runner's own."""

_PATIENCE = 7 * 86400.0
"""Seconds for what only ends when the registry is back."""
_HURRIED = 5.0
"""Seconds for the same when the runner is to end."""
_AGAIN = 1.0

T = TypeVar("T")


@dataclass(frozen=True)
class Job:
    """What a runner has its worker do."""

    endpoint: str
    folder: str
    claimed: bytes
    """A serialized `ClaimBuildResponse`."""
    grace: float
    """Seconds between asking a step to end and killing it."""
    pass_env: tuple[str, ...] = ()
    keep_failed: bool = False

    def to_line(self) -> bytes:
        """For the worker's stdin."""
        claimed = base64.b64encode(self.claimed).decode("ascii")
        return json.dumps({**self.__dict__, "claimed": claimed}).encode() + b"\n"


@dataclass
class Ending:
    """How a build ended."""

    state: str
    """SUCCEEDED, FAILED, CANCELLED; LOST when it was not this worker that ended it."""
    reason: str = ""
    versions: list[str] = field(default_factory=list)


def ending_from(line: bytes) -> Ending | None:
    """What a worker said last; None when it said nothing."""
    try:
        return Ending(**json.loads(line))
    except (ValueError, TypeError):
        return None


def job_from(line: bytes) -> Job:
    """What `to_line` made."""
    found = json.loads(line)
    found["claimed"] = base64.b64decode(found["claimed"])
    found["pass_env"] = tuple(found["pass_env"])
    return Job(**found)


def main() -> None:
    """Work on the build that stdin names."""
    _prepare()
    job = job_from(sys.stdin.buffer.readline())
    folder = WorkFolder(job.folder)
    tempfile.tempdir = folder.own  # what dies with this process is removed with the folder
    claimed = runner_pb2.ClaimBuildResponse.FromString(job.claimed)
    task = task_from(claimed)
    stop = Stop(task.timeout)
    threading.Thread(target=_listen, args=(sys.stdin.buffer, stop), daemon=True).start()
    with Client(job.endpoint) as client:
        try:
            session = stop.session = _session(client, task, stop)
        except (Halted, errors.RegsvcError) as error:
            ending = Ending("LOST", str(error))
        else:
            ending = _Work(job, task, folder, session, stop).carry_out()
            if ending.state == "FAILED" and job.keep_failed:
                folder.keep()
            ending = _finish(session, ending, stop)
    with contextlib.suppress(OSError):  # the runner looks after what could not be removed
        if not folder.kept:
            folder.remove()
    with contextlib.suppress(OSError):  # the runner has died
        print(json.dumps(ending.__dict__), flush=True)
    os._exit(0)  # a transfer that was broken off may hold a thread


class _Work:
    """From the claim to the last output."""

    def __init__(self, job: Job, task: Task, folder: WorkFolder, session: BuildSession, stop: Stop) -> None:
        self.stop = stop
        self._job = job
        self._task = task
        self._folder = folder
        self._session = session
        self._step = ""
        self._refusal: errors.RegsvcError | None = None
        self._transfers = Transfers(job.endpoint, self.stop, self._say)
        self._versions: list[str] = []

    def carry_out(self) -> Ending:
        """Do everything but ending the build; nothing that was started runs any more then."""
        try:
            ending = self._all_of_it()
        except WorkFailed as failed:
            halt = self.stop()
            ending = _ended(halt) if halt is not None else Ending("FAILED", failed.reason)
        except Halted as halted:
            ending = _ended(halted.halt)
        except errors.RegsvcError as error:
            halt = self.stop()
            ending = _ended(halt) if halt is not None else Ending("FAILED", error.message)
        except OSError as error:
            ending = Ending("FAILED", f"the runner cannot work: {error.strerror or type(error).__name__}")
        end_children()
        ending.versions = self._versions
        if ending.reason:
            self._say(ending.reason)
        return ending

    def _all_of_it(self) -> Ending:
        task, folder = self._task, self._folder
        self.stop.check()
        if task.source_version or task.git_url or task.inputs:
            with self._in_step(FETCH):
                code = bring_source(task, folder, self._transfers, self.stop, self._say)
                for number, wanted in enumerate(task.inputs, 1):
                    bring_input(wanted, number, folder, self._transfers, self._say)
                self._transfers.run(lambda client: record_origin(task.build, code, folder, client))
        params = os.path.join(folder.own, "params.json")
        with open(params, "w", encoding="utf-8") as file:
            file.write(params_document(task.params))
        environment = step_environment(task, folder, self._job.pass_env, params)
        for step in task.steps:
            with self._in_step(step.name):
                command = expanded(step, task.params)
                place = Place(
                    folder=folder.work,
                    environment=environment,
                    step=step.name,
                    halt=self.stop,
                    grace=self._job.grace,
                    began=folder.began,
                    tick=reap_orphans,
                )
                ended = run_command(self._session, command, Display(), place)
                self.stop.check()
                if ended.state != "SUCCEEDED":
                    raise WorkFailed(f"step {step.name}: {_with_status(ended.reason, ended.status)}")
        self._flush()
        if self._refusal is not None:
            raise WorkFailed(f"not everything was recorded: {self._refusal.message}")
        if task.outputs:
            with self._in_step(PUBLISH):
                publish_all(
                    task, folder.work, self._session, self._transfers, self._say, self._versions.append
                )
        return Ending("SUCCEEDED")

    @contextlib.contextmanager
    def _in_step(self, name: str) -> Iterator[None]:
        """A step of the build, which ends as the block does."""
        recorder = self._session.recorder
        number = self._recorded(lambda: recorder.start_step(name))
        self.stop.check()
        self._step = name
        state, reason = "SUCCEEDED", ""
        try:
            yield
        except WorkFailed as failed:
            state, reason = "FAILED", failed.reason.removeprefix(f"step {name}: ")
            raise
        except Halted as halted:
            state, reason = _step_state(halted.halt), halted.halt.reason
            raise
        except BaseException as error:
            state, reason = "FAILED", type(error).__name__
            raise
        finally:
            self._step = ""
            if number is not None:
                self._recorded(lambda: recorder.finish_step(number, state, reason))

    def _recorded(self, call: Callable[[], T]) -> T | None:
        """Record something, although what a step has recorded before was refused: calls raise that, each once.

        None when nothing can be recorded any more; `Stop` knows of that.
        """
        while self._session.failure is None:
            try:
                return call()
            except errors.RegsvcError as error:
                self._refusal = self._refusal or error
        return None

    def _flush(self) -> None:
        """Wait until everything that steps have recorded is durable, or refused: versions are to have it."""
        while True:
            self.stop.check()
            try:
                self._session.flush(_AGAIN)
            except errors.Unavailable:
                pass  # it goes on by itself
            except errors.RegsvcError as error:
                self._refusal = self._refusal or error
            else:
                return

    def _say(self, text: str) -> None:
        """Write to the build's log, without waiting for a server that is away."""
        lines = text.encode("utf-8", "replace").split(b"\n")
        with contextlib.suppress(errors.RegsvcError):
            self._session.publisher.append(lines, stream="log", step=self._step, wait=False)


def _prepare() -> None:
    from regsvc.client.tuning import keep_freed_memory, load_numpy_with_one_thread

    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    keep_freed_memory()
    load_numpy_with_one_thread()
    adopt_orphans()
    # What was pushed from a work folder is not pushed from there again.
    os.environ[STATE_VARIABLE] = OFF
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # The runner says when to end. Handled, not ignored: what is ignored, programs that we start ignore, too.
        signal.signal(number, lambda number, frame: None)


def _session(client: Client, task: Task, stop: Stop) -> BuildSession:
    """The build, when the server is there; the runner has just spoken with it. Raises `Halted`."""
    while True:
        try:
            return BuildSession(client.connection_of(None), refs.build_from_wire(task.build), client)
        except (errors.Unavailable, errors.DeadlineExceeded):
            stop.wait(_AGAIN)


def _listen(stdin: IO[bytes], stop: Stop) -> None:
    for line in stdin:
        if line.strip() == b"cancel":
            stop.ask("CANCELLED", "cancel requested")
        elif line.strip() == b"stop":
            stop.ask("CANCELLED", "the runner was stopped")
            stop.hurry.set()
    stop.ask("LOST", "the runner died")
    stop.hurry.set()


def _finish(session: BuildSession, ending: Ending, stop: Stop) -> Ending:
    """End the build, however long the server is away, unless the runner has to end."""
    if ending.state == "LOST":
        session.close()
        return ending
    result: list[Ending] = []

    def finish() -> None:
        result.append(_finished(session, ending))

    thread = threading.Thread(target=finish, name="regsvc-finish", daemon=True)
    thread.start()
    while thread.is_alive() and not stop.hurry.is_set():
        thread.join(0.1)
    thread.join(_HURRIED)
    return result[0] if result else Ending("LOST", "the server is away, and the runner has to end")


def _finished(session: BuildSession, ending: Ending) -> Ending:
    try:
        session.finish(ending.state, ending.reason, patience=_PATIENCE)
    except errors.BuildEnded as error:  # as LOST, while this machine slept
        return Ending(error.metadata.get("state", "LOST"), error.message, ending.versions)
    except errors.RegsvcError as error:
        if session.failure is not None:
            return Ending("LOST", error.message, ending.versions)
        return Ending("FAILED", f"not everything was recorded: {error.message}", ending.versions)
    return ending


def _ended(halt: Halt) -> Ending:
    return Ending(halt.state, halt.reason)


def _step_state(halt: Halt) -> str:
    return "FAILED" if halt.state == "FAILED" else "CANCELLED"


def _with_status(reason: str, status: int) -> str:
    return reason if str(status) in reason else f"{reason} (status {status})"


if __name__ == "__main__":
    main()
