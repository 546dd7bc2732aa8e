"""The parent's end of the control socket of `build run`; `current.py` describes the protocol."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import queue
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from selectors import EVENT_READ, BaseSelector
from typing import Any

from regsvc import errors
from regsvc.client.params import check_key, check_metric, check_params, check_tags
from regsvc.client.recorder import STEP_ENDS, Point
from regsvc.client.session import MAX_STEP_BYTES, BuildSession
from regsvc.content.record import from_document

_READ = 1 << 16
_READS = 16
"""Most reads from one process before others, and the child's output, get their turn."""
_LONGEST_REQUEST = 64 << 20
"""Bytes; a child that sends more without a newline speaks another protocol."""
_LONGEST_PATH = 100
"""Bytes of a Unix socket's path that every system takes."""


@dataclass(eq=False)
class _Peer:
    """One process that is connected."""

    socket: socket.socket
    received: bytearray = field(default_factory=bytearray)
    steps: set[int] = field(default_factory=set)


@dataclass(frozen=True)
class OpenStep:
    """A step that a child has begun and not ended."""

    number: int
    name: str


class ControlSocket:
    """Takes what the processes of a build record. Belongs to one selector loop; close it when that ends.

    `settle` is called before a step begins or ends: it attributes what was printed so far.
    """

    def __init__(self, session: BuildSession, selector: BaseSelector, settle: Callable[[], None]) -> None:
        self._session = session
        self._selector = selector
        self._settle = settle
        self._steps: list[OpenStep] = []
        self._peers: set[_Peer] = set()
        self._paused = False
        self._flushes: queue.SimpleQueue[tuple[_Peer, float] | None] = queue.SimpleQueue()
        self._flusher: threading.Thread | None = None
        self._folder = _short_folder()
        self.path = os.path.join(self._folder, "control")
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.path)
        self._listener.listen(64)
        self._listener.setblocking(False)
        selector.register(self._listener, EVENT_READ, self._accept)

    @property
    def step(self) -> str:
        """Name of the innermost open step, or empty."""
        return self._steps[-1].name if self._steps else ""

    @property
    def steps(self) -> tuple[OpenStep, ...]:
        """The open steps, outermost first."""
        return tuple(self._steps)

    def drain(self) -> None:
        """Take what is already in the sockets, of processes that have ended too."""
        self._accept()
        for peer in list(self._peers):
            self._receive(peer)

    def pause(self, paused: bool) -> None:
        """Stop taking, or take again, what the processes send; they wait when their sockets are full."""
        if paused == self._paused:
            return
        self._paused = paused
        for peer in self._peers:
            if paused:
                self._selector.unregister(peer.socket)
            else:
                self._listen(peer)

    def close(self) -> None:
        """Stop listening; steps left open end with the build."""
        for peer in list(self._peers):
            self._forget(peer)
        self._selector.unregister(self._listener)
        self._listener.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._flusher is not None:
            self._flushes.put(None)

    def _accept(self) -> None:
        while True:
            try:
                connected, _ = self._listener.accept()
            except BlockingIOError:
                return
            connected.setblocking(False)
            peer = _Peer(connected)
            self._peers.add(peer)
            if not self._paused:
                self._listen(peer)

    def _listen(self, peer: _Peer) -> None:
        self._selector.register(peer.socket, EVENT_READ, functools.partial(self._receive, peer))

    def _receive(self, peer: _Peer) -> None:
        """Take what a process has sent."""
        for _ in range(_READS):
            try:
                data = peer.socket.recv(_READ)
            except BlockingIOError:
                break
            except ConnectionError:
                data = b""
            peer.received += data
            if b"\n" in data:
                *requests, peer.received = peer.received.split(b"\n")
                for request in requests:
                    self._handle(peer, bytes(request))
            if not data or len(peer.received) > _LONGEST_REQUEST:
                self._lose(peer)
                return

    def _lose(self, peer: _Peer) -> None:
        """A process has gone; the steps that it was in cannot end well any more."""
        self._forget(peer)
        if peer.steps:
            self._settle()
        for step in [step for step in reversed(self._steps) if step.number in peer.steps]:
            self._steps.remove(step)
            with contextlib.suppress(errors.RegsvcError):  # the session keeps its failure for the end
                self._session.recorder.finish_step(
                    step.number, "FAILED", "the process ended inside of the step"
                )

    def _forget(self, peer: _Peer) -> None:
        self._peers.discard(peer)
        if not self._paused:
            self._selector.unregister(peer.socket)
        peer.socket.close()

    def _handle(self, peer: _Peer, line: bytes) -> None:
        try:
            request = json.loads(line)
            answer = self._do(peer, request)
        except errors.RegsvcError as error:
            answer = {"error": error.reason, "message": error.message}
        except (ValueError, KeyError, TypeError, AttributeError):
            answer = {"error": "INVALID_ARGUMENT", "message": "not a request of the control socket"}
        if answer is not None:
            _answer(peer, answer)

    def _do(self, peer: _Peer, request: dict[str, Any]) -> dict[str, Any] | None:
        recorder = self._session.recorder
        match request["do"]:
            case "points":
                recorder.points(
                    [
                        Point(key, check_metric(key, value), int(step), int(time_ns))
                        for key, value, step, time_ns in request["points"]
                    ]
                )
                return None
            case "record":
                recorder.record(from_document(request["record"]))
            case "params":
                recorder.params(check_params(request["params"]), check_tags(request["tags"]))
            case "start":
                name = check_key("step", request["step"], MAX_STEP_BYTES)
                self._settle()
                number = recorder.start_step(name)
                peer.steps.add(number)
                self._steps.append(OpenStep(number, name))
                return {"number": number}
            case "finish":
                number, state, reason = request["number"], request["state"], request["reason"]
                if state not in STEP_ENDS or not isinstance(reason, str):
                    raise ValueError(state)
                self._settle()
                peer.steps.discard(number)
                self._steps = [step for step in self._steps if step.number != number]
                recorder.finish_step(number, state, reason)
            case "flush":
                self._flush_later(peer, float(request["patience"]))
                return None
            case _:
                raise KeyError(request["do"])
        return {}

    def _flush_later(self, peer: _Peer, patience: float) -> None:
        """Flushing waits for the server; the loop must not, as it also carries the child's output."""
        if self._flusher is None:
            self._flusher = threading.Thread(target=self._flush, name="regsvc-control-flush", daemon=True)
            self._flusher.start()
        self._flushes.put((peer, patience))

    def _flush(self) -> None:
        while (asked := self._flushes.get()) is not None:
            peer, patience = asked
            try:
                self._session.recorder.flush(patience)
                _answer(peer, {})
            except errors.RegsvcError as error:
                _answer(peer, {"error": error.reason, "message": error.message})


def _answer(peer: _Peer, answer: dict[str, Any]) -> None:
    # An answer is far smaller than the socket's buffer, and a process waits for it before it asks again.
    with contextlib.suppress(OSError):  # it has gone; its end is seen when it is read from
        peer.socket.send(json.dumps(answer).encode() + b"\n")


def _short_folder() -> str:
    """A private folder whose path leaves room for a socket's name."""
    folder = tempfile.mkdtemp(prefix="regsvc-")
    if len(os.fsencode(folder)) <= _LONGEST_PATH - len("/control"):
        return folder
    os.rmdir(folder)
    return tempfile.mkdtemp(prefix="regsvc-", dir="/tmp")
