"""Runs the command of `regsvc build run`: its output is the build's log, line by line as it is written.

One selector loop carries everything: the child's two pipes, its control socket, signals and the end. What the
child prints is passed on first and published then, whatever state the server is in.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import selectors
import signal
import socket
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import FrameType

from regsvc import errors
from regsvc.client.control import ControlSocket, OpenStep
from regsvc.client.current import BUILD_VARIABLE, CONTROL_VARIABLE, ENDPOINT_VARIABLE
from regsvc.client.place import Place
from regsvc.client.session import BuildSession

GRACE = 10.0
"""Seconds between asking the child's process group to stop and killing it."""

_LINGER = 3.0
"""Seconds to wait for the end of the output when the child has exited but processes it started still hold it."""

_TICK = 0.1
"""Seconds between looks at what no file descriptor announces: a cancel, room in the publisher's buffer."""

_READ = 1 << 16
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""Exit statuses of a command that cannot be started, as shells give them."""


class Display:
    """Where the child's output is shown. This one shows nothing."""

    def output(self, stream: str, data: bytes) -> None:
        """Pass on bytes of `stdout` or `stderr`, exactly."""

    def tick(self, steps: Sequence[OpenStep]) -> None:
        """Called at least every tenth of a second with the steps that are open."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    status: int
    """Its exit status; 128 + n when signal n ended it; 127 or 126 when it could not be started."""
    state: str
    """SUCCEEDED, FAILED or CANCELLED, for the build."""
    reason: str


def run_command(
    session: BuildSession, command: Sequence[str], display: Display, place: Place | None = None
) -> Outcome:
    """Run a command as the work of a build, to its end. Call it from the main thread: it handles signals.

    SIGINT, SIGTERM and SIGHUP go on to the child's process group; when it has not ended `GRACE` seconds later
    it gets SIGTERM, and then SIGKILL. A cancel of the build begins with SIGTERM. Losing the server or the
    build does not disturb the command. In a `place` it is the place that says when to end.
    """
    forwarded = _FORWARDED if place is None else ()
    with selectors.DefaultSelector() as selector, _signals(selector, forwarded) as received:
        run = _Run(session, selector, display, place)
        try:
            try:
                run.start(command)
            except FileNotFoundError:
                if place is not None and not os.path.isdir(place.folder):
                    return Outcome(NOT_EXECUTABLE, "FAILED", f"cannot start {command[0]}: its folder is gone")
                return Outcome(NOT_FOUND, "FAILED", f"cannot start {command[0]}: command not found")
            except OSError as error:
                return Outcome(NOT_EXECUTABLE, "FAILED", f"cannot start {command[0]}: {error.strerror}")
            except ValueError:
                return Outcome(NOT_EXECUTABLE, "FAILED", "cannot start it: there is a NUL byte in it")
            return run.to_the_end(received)
        finally:
            run.close()


class _Pipe:
    """One output of the child, and the line that has not ended yet."""

    def __init__(self, stream: str, fd: int) -> None:
        self.stream = stream
        self.fd = fd
        self.open = True
        self.rest = b""
        self.rest_step = ""
        """The step in which that line began."""


class _Run:
    def __init__(
        self,
        session: BuildSession,
        selector: selectors.BaseSelector,
        display: Display,
        place: Place | None = None,
    ) -> None:
        self._session = session
        self._selector = selector
        self._display = display
        self._place = place
        self._grace = GRACE if place is None else place.grace
        self._control = ControlSocket(session, selector, self._settle)
        self._pipes: list[_Pipe] = []
        self._paused = False
        self._child: subprocess.Popen[bytes] | None = None
        self._stopping = ""  # why, once the child was asked to stop
        self._stop_status = 0
        self._stop_state = "CANCELLED"
        self._killed = False
        self._next_signal = signal.SIGKILL
        self._escalate_at = float("inf")

    def start(self, command: Sequence[str]) -> None:
        """Start the child. Raises `OSError`, `ValueError`."""
        place = self._place
        self._child = subprocess.Popen(
            command,
            stdin=None if place is None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=None if place is None else place.folder,
            env=_environment(
                self._session, self._control.path, os.environ if place is None else place.environment
            ),
            start_new_session=True,  # so that signals reach all that it starts, and only when we send them
        )
        if place is not None:
            place.began(self._child.pid, self._control.path)
        for stream, file in (("stdout", self._child.stdout), ("stderr", self._child.stderr)):
            assert file is not None
            os.set_blocking(file.fileno(), False)
            self._pipes.append(_Pipe(stream, file.fileno()))
            self._watch(self._pipes[-1])

    def to_the_end(self, received: list[signal.Signals]) -> Outcome:
        """Carry everything until the child and its output have ended."""
        child = self._child
        assert child is not None
        give_up_at = float("inf")
        while (
            child.poll() is None
            or (self._any_open() and time.monotonic() < give_up_at)
            or self._waits_for_its_group()
        ):
            for key, _ in self._selector.select(_TICK):
                key.data()
            self._pause_when_full()
            self._pass_on(received)
            self._stop_when_cancelled()
            self._escalate()
            self._display.tick(self._control.steps)
            if self._place is not None:
                self._place.tick(child.pid)
            if give_up_at == float("inf") and child.poll() is not None:
                give_up_at = time.monotonic() + _LINGER
        self._settle()
        self._control.drain()
        for pipe in self._pipes:
            self._end(pipe)
        if self._stopping:
            self._signal(signal.SIGKILL)  # what the child started must not outlive a cancel
        return self._outcome(child.returncode)

    def close(self) -> None:
        self._control.close()
        child = self._child
        if child is not None:
            if child.poll() is None:  # we are being torn down by an error of our own
                self._signal(signal.SIGKILL)
                child.wait()
            for file in (child.stdout, child.stderr):
                if file is not None:
                    file.close()

    def _outcome(self, returncode: int) -> Outcome:
        status = 128 - returncode if returncode < 0 else returncode
        if self._stopping:
            return Outcome(status or self._stop_status, self._stop_state, self._stopping)
        if returncode < 0:
            return Outcome(status, "FAILED", f"killed by {_signal_name(-returncode)}")
        if returncode > 0:
            return Outcome(status, "FAILED", f"exit status {status}")
        return Outcome(0, "SUCCEEDED", "")

    # Output.

    @property
    def _step(self) -> str:
        return self._control.step or ("" if self._place is None else self._place.step)

    def _any_open(self) -> bool:
        return any(pipe.open for pipe in self._pipes)

    def _watch(self, pipe: _Pipe) -> None:
        self._selector.register(pipe.fd, selectors.EVENT_READ, functools.partial(self._read, pipe, _READ))

    def _settle(self) -> None:
        """Take what is in the pipes at this moment, and no more: it belongs to the step that is open now."""
        for pipe in self._pipes:
            left = _available(pipe.fd) if pipe.open else 0
            while left > 0 and (taken := self._read(pipe, min(left, _READ))):
                left -= taken

    def _read(self, pipe: _Pipe, most: int) -> int:
        """Pass on and publish one read of a pipe; the number of bytes that were there."""
        try:
            data = os.read(pipe.fd, most)
        except BlockingIOError:
            return 0
        if data:
            self._display.output(pipe.stream, data)
            self._publish(pipe, data)
        else:
            pipe.open = False
            if not self._paused:
                self._selector.unregister(pipe.fd)
            self._end(pipe)
        return len(data)

    def _publish(self, pipe: _Pipe, data: bytes) -> None:
        first, *others = data.split(b"\n")
        step = self._step
        if not pipe.rest:
            pipe.rest_step = step
        if others:
            self._append(pipe, [pipe.rest + first], pipe.rest_step)
            *lines, pipe.rest = others
            pipe.rest_step = step
            self._append(pipe, lines, step)
        else:
            pipe.rest += first
        longest = self._session.publisher.max_line
        while (
            len(pipe.rest) > longest
        ):  # never cut behind its last byte: a line is not followed by an empty one
            self._append(pipe, [pipe.rest[:longest]], pipe.rest_step, partial=True)
            pipe.rest = pipe.rest[longest:]

    def _end(self, pipe: _Pipe) -> None:
        """Publish a last line that has no newline."""
        if pipe.rest:
            self._append(pipe, [pipe.rest], pipe.rest_step)
            pipe.rest = b""

    def _append(self, pipe: _Pipe, lines: list[bytes], step: str, partial: bool = False) -> None:
        if not lines:
            return
        with contextlib.suppress(errors.RegsvcError):  # the session keeps its failure for the end
            self._session.publisher.append(lines, stream=pipe.stream, step=step, partial=partial, wait=False)

    def _pause_when_full(self) -> None:
        """Let the child wait while the server is away and our buffers are full, and us hear signals."""
        assert self._child is not None
        full = not self._session.has_room and self._child.poll() is None
        if full == self._paused:
            return
        self._paused = full
        self._control.pause(full)
        for pipe in self._pipes:
            if pipe.open and full:
                self._selector.unregister(pipe.fd)
            elif pipe.open:
                self._watch(pipe)

    # Stopping.

    def _pass_on(self, received: list[signal.Signals]) -> None:
        while received:
            number = received.pop(0)
            self._stop(number, f"stopped by {number.name}")

    def _stop_when_cancelled(self) -> None:
        if self._stopping:
            return
        if self._place is not None:
            halt = self._place.halt()
            if halt is not None:
                self._stop_state = halt.state
                self._stop(signal.SIGTERM, halt.reason)
        elif self._session.cancel_requested:
            self._stop(signal.SIGTERM, "cancel requested")

    def _waits_for_its_group(self) -> bool:
        """Whether processes of a step that was asked to end are still about it, and have time left."""
        return self._place is not None and bool(self._stopping) and not self._killed and self._group_lives()

    def _group_lives(self) -> bool:
        assert self._child is not None
        group = self._child.pid
        with contextlib.suppress(ChildProcessError):  # orphans come to us if we are their reaper
            while os.waitpid(-group, os.WNOHANG)[0]:
                pass
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        return True

    def _stop(self, number: signal.Signals, reason: str) -> None:
        if not self._stopping:
            self._stopping, self._stop_status = reason, 128 + number
        self._signal(number)
        self._next_signal = signal.SIGKILL if number == signal.SIGTERM else signal.SIGTERM
        self._escalate_at = time.monotonic() + self._grace

    def _escalate(self) -> None:
        if time.monotonic() >= self._escalate_at:
            self._signal(self._next_signal)
            self._escalate_at = time.monotonic() + self._grace
            self._next_signal = signal.SIGKILL

    def _signal(self, number: signal.Signals) -> None:
        assert self._child is not None
        self._killed = self._killed or number == signal.SIGKILL
        with contextlib.suppress(ProcessLookupError, PermissionError):  # nobody is left in the group
            os.killpg(self._child.pid, number)


@contextlib.contextmanager
def _signals(
    selector: selectors.BaseSelector, forwarded: Sequence[signal.Signals]
) -> Iterator[list[signal.Signals]]:
    """Collect signals in a list instead of dying of them, and wake the selector for each."""
    received: list[signal.Signals] = []
    reader, writer = socket.socketpair()
    reader.setblocking(False)
    writer.setblocking(False)

    def note(number: int, frame: FrameType | None) -> None:
        if number != signal.SIGCHLD:
            received.append(signal.Signals(number))

    def clear() -> None:
        with contextlib.suppress(BlockingIOError):
            reader.recv(4096)

    # One that is ignored, as SIGINT in a shell's background job or SIGHUP under nohup, stays ignored.
    wanted = [number for number in forwarded if signal.getsignal(number) is not signal.SIG_IGN]
    before: dict[int, Callable[[int, FrameType | None], object] | int | None] = {
        number: signal.signal(number, note) for number in (*wanted, signal.SIGCHLD)
    }
    wakeup = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    selector.register(reader, selectors.EVENT_READ, clear)
    try:
        yield received
    finally:
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        selector.unregister(reader)
        reader.close()
        writer.close()


def _environment(session: BuildSession, control: str, base: Mapping[str, str]) -> Mapping[str, str]:
    return {
        # Python keeps what goes to a pipe in its buffer; a follower wants each line when it is printed.
        "PYTHONUNBUFFERED": "1",
        **base,
        BUILD_VARIABLE: session.wire,
        ENDPOINT_VARIABLE: session.endpoint,
        CONTROL_VARIABLE: control,
    }


def _available(fd: int) -> int:
    """Bytes in a pipe."""
    size: int = struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, bytes(4)))[0]
    return size


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal has no name of its own
        return f"signal {number}"
