"""The build that this process runs in: what `regsvc build run` tells its child, and the child's end of it.

The environment names the build and a Unix socket. What the child records goes through that socket to the
parent, which owns the connection: the child opens none, so it may fork, and may die at any instruction
without losing what it has recorded. Where the socket is not reachable, as in a container, records go to the server.

Protocol: one JSON object a line in each direction. Every request but `points` is answered, in order:

    {"do": "start", "step": NAME}                       -> {"number": N}
    {"do": "finish", "number": N, "state": S, "reason": R} -> {}
    {"do": "params", "params": {...}, "tags": {...}}    -> {}
    {"do": "define", "key": KEY, "direction": DIRECTION} -> {}
    {"do": "points", "points": [[KEY, VALUE, STEP, TIME_NS], ...]}
    {"do": "record", "record": {...}}                   -> {}
    {"do": "flush", "patience": SECONDS}                -> {} when everything is durable
    any of them                                         -> {"error": REASON, "message": TEXT}
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import socket
import sys
import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import regsvc
from regsvc import errors, refs
from regsvc.client.capture import capture_environment_only
from regsvc.client.connection import Connection
from regsvc.client.datasets import Dataset
from regsvc.client.recorder import Point, Recorder, Recording
from regsvc.client.records import Param, PushResult
from regsvc.client.resume import DEFAULT_PATIENCE
from regsvc.client.session import RunningBuild
from regsvc.content.comparison import Direction
from regsvc.content.record import EMPTY, Record, document

if TYPE_CHECKING:
    from regsvc.client.client import Client

BUILD_VARIABLE = "REGSVC_BUILD"
"""Wire name of the build."""
ENDPOINT_VARIABLE = "REGSVC_ENDPOINT"
CONTROL_VARIABLE = "REGSVC_BUILD_CONTROL"
"""Path of the Unix socket."""


class NoCurrentBuild(errors.FailedPrecondition, LookupError):
    """This process was not started by `regsvc build run`."""

    reason = "NO_CURRENT_BUILD"


class CurrentBuild(RunningBuild):
    """The build that this process runs in. Its output is the log; `build run` ends the build."""

    def log(self, text: str) -> None:
        """Print to stdout, which is the log, and flush it."""
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        sys.stdout.flush()

    def _enter(self, name: str) -> int:
        _flush_output()
        return super()._enter(name)

    def _leave(self, number: int, state: str, reason: str) -> None:
        _flush_output()
        super()._leave(number, state, reason)


def current_build() -> CurrentBuild:
    """The build that `regsvc build run` runs this process in; the same object at every call.

    Raises `NoCurrentBuild` (a `LookupError`) outside of one.
    """
    wire = os.environ.get(BUILD_VARIABLE)
    if not wire:
        raise NoCurrentBuild(
            f"this process runs in no build: {BUILD_VARIABLE} is not set; start it by `regsvc build run`"
        )
    return _current_build(wire, os.environ.get(CONTROL_VARIABLE, ""), os.environ.get(ENDPOINT_VARIABLE, ""))


@functools.lru_cache(maxsize=1)
def _current_build(wire: str, control: str, endpoint: str) -> CurrentBuild:
    recording = ControlLink(control) if os.path.exists(control) else _direct(endpoint, wire)
    build = CurrentBuild(refs.parse_build(wire), recording, _Registry(endpoint))
    _tell_environment(recording)
    return build


def _tell_environment(recording: Recording) -> None:
    """Record the Python that runs here: that of `build run` may be another one. Never fails."""
    made = capture_environment_only()
    if made != EMPTY:
        with contextlib.suppress(
            errors.RegsvcError
        ):  # the next call raises what keeps it from being recorded
            recording.record(made)


class _Registry:
    """The server of the build, connected to for one call: most builds make a single one, some hold it for days."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint or None
        self._read_data_in: int | None = None
        """The process that read data first."""

    def push(self, path: str | os.PathLike[str], model: str, **options: Any) -> PushResult:
        with self._connected() as client:
            return client.push(path, model, **options)

    def log_dataset(self, source: Any, name: str, *, uri: str = "") -> Dataset:
        self._read_data_in = self._read_data_in or os.getpid()
        if self._read_data_in != os.getpid():
            # The threads of Polars are gone in the child, and it would wait for them for ever.
            raise errors.FailedPrecondition(
                "this process was forked from one that had logged a dataset; log datasets in one of them,"
                " or start processes by 'spawn'"
            )
        with self._connected() as client:
            return client.log_dataset(source, name, uri=uri)

    def dataset(self, ref: str) -> Dataset:
        with self._connected() as client:
            return client.dataset(ref)

    def _connected(self) -> Client:
        # Not from regsvc.client.client, which offers current_build itself; and so no fork falls into the import.
        return regsvc.connect(self._endpoint)


class ControlLink:
    """The child's end of the control socket: a `Recording` by way of the parent."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()  # protects the connection: one request and its answer at a time
        self._socket: socket.socket | None = None
        self._answers: Any = None
        os.register_at_fork(after_in_child=self._forget)

    def params(self, params: Mapping[str, Param], tags: Mapping[str, str]) -> None:
        """Record params and tags."""
        self._ask({"do": "params", "params": dict(params), "tags": dict(tags)})

    def points(self, points: Iterable[Point]) -> None:
        """Append points; does not wait for an answer, and the socket keeps them when this process dies."""
        with self._lock:
            self._send({"do": "points", "points": [list(point) for point in points]})

    def record(self, record: Record) -> None:
        """Merge into the record of how the build was made."""
        self._ask({"do": "record", "record": document(record)})

    def define(self, key: str, direction: Direction) -> None:
        """Say which values of a metric of the model are the better ones."""
        self._ask({"do": "define", "key": key, "direction": direction.name})

    def start_step(self, name: str) -> int:
        """Begin a step; what this process has printed is attributed to the one before when this returns."""
        number: int = self._ask({"do": "start", "step": name})["number"]
        return number

    def finish_step(self, step: int, state: str, reason: str) -> None:
        """End a step; what this process has printed is attributed to it when this returns."""
        self._ask({"do": "finish", "number": step, "state": state, "reason": reason})

    def flush(self, patience: float = DEFAULT_PATIENCE) -> None:
        """Wait until everything is durable on the server."""
        self._ask({"do": "flush", "patience": patience})

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        with self._lock:
            self._send(request)
            try:
                line = self._answers.readline()
            except OSError as error:
                raise self._gone() from error
        if not line:
            raise self._gone()
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise errors.BY_REASON.get(answer["error"], errors.Unknown)(answer["message"])
        return answer

    def _send(self, request: Mapping[str, Any]) -> None:
        try:
            self._connected().sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise self._gone() from error

    def _connected(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._socket.connect(self._path)
            self._answers = self._socket.makefile("rb")
        return self._socket

    def _forget(self) -> None:
        """A forked process must not share its parent's connection: their requests would mix.

        Nor its lock, which another thread of the parent may hold, and in the child nobody would release.
        """
        self._lock = threading.Lock()
        self._socket = self._answers = None

    def _gone(self) -> errors.Unavailable:
        return errors.Unavailable("`regsvc build run`, which records this build, is gone")


def _direct(endpoint: str, wire: str) -> Recording:
    connection = Connection(endpoint)
    recorder = Recorder(connection, wire)
    atexit.register(_flush_at_exit, recorder, connection)
    return recorder


def _flush_at_exit(recorder: Recorder, connection: Connection) -> None:
    try:
        recorder.flush()
    except errors.RegsvcError as error:
        print(f"regsvc: {error.message}", file=sys.stderr)
    finally:
        recorder.close()
        connection.close()


def _flush_output() -> None:
    # Both may be None or closed, as in a process without a terminal.
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and not stream.closed:
            stream.flush()
