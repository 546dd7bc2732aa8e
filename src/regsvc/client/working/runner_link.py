"""A runner's line to the server: offers and cancels come in, free slots go out, for as long as it takes."""

from __future__ import annotations

import math
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

from regsvc import errors
from regsvc.client.connection import Connection, translate
from regsvc.client.resume import resumed
from regsvc.client.streams import silence_limit
from regsvc.v1 import runner_pb2 as pb

_AGAIN = 1.0
"""Seconds before the line is opened again after an error that may pass."""
_LAST = 10.0
"""Seconds that closing waits for the thread, which may be between two attempts to reach a server that is away."""
_FATAL = (errors.InvalidArgument, errors.Unimplemented)


class RunnerLink:
    """Owns one thread, which ends with `close`. The callbacks are called from it."""

    def __init__(
        self,
        connection: Connection,
        runner: pb.Runner,
        *,
        on_offer: Callable[[str], None],
        on_cancel: Callable[[str], None],
        on_line: Callable[[str], None],
        on_refusal: Callable[[errors.RegsvcError], None],
    ) -> None:
        """`on_line` is told why the server is not there, and "" when it is there again."""
        self._connection = connection
        self._runner = runner
        self._on_offer = on_offer
        self._on_cancel = on_cancel
        self._on_line = on_line
        self._on_refusal = on_refusal
        self._lock = threading.Lock()  # protects _free and _outgoing
        self._free = 0
        self._outgoing: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._call: Any = None
        self._thread = threading.Thread(target=self._run, name="regsvc-runner-link", daemon=True)

    def start(self, free: int) -> None:
        """Open the line, with so many free slots."""
        self._free = free
        self._thread.start()

    def tell(self, free: int) -> None:
        """So many builds it would take now."""
        with self._lock:
            self._free = free
            self._outgoing.put(free)

    def close(self) -> None:
        """End the line and its thread."""
        self._closed.set()
        with self._lock:
            self._outgoing.put(None)
        self._thread.join(2)
        if self._call is not None:
            self._call.cancel()
        self._thread.join(_LAST)

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                for response in resumed(
                    self,
                    translate=lambda error: translate(error, self._connection.target),
                    patience=math.inf,
                    silence=silence_limit(self._connection),
                ):
                    if response.offer:
                        self._on_offer(response.offer)
                    if response.cancel:
                        self._on_cancel(response.cancel)
            except _FATAL as error:
                self._on_refusal(error)
                return
            except errors.RegsvcError as error:
                if not self._closed.is_set():
                    self._on_line(error.message)
            self._closed.wait(_AGAIN)

    def open(self) -> Any:
        """For `resumed`: say who we are, and how much we would take."""
        with self._lock:
            self._outgoing = queue.SimpleQueue()
            outgoing, free = self._outgoing, self._free
            if self._closed.is_set():
                outgoing.put(None)
        self._call = self._connection.runners.Work(self._requests(free, outgoing))
        return self._call

    def _requests(self, free: int, outgoing: queue.SimpleQueue[int | None]) -> Iterator[pb.WorkRequest]:
        interval = self._connection.capabilities().heartbeat_interval_ms / 1000
        yield pb.WorkRequest(runner=self._runner, free_slots=free)
        while True:
            try:
                told = outgoing.get(timeout=interval)
            except queue.Empty:
                pass
            else:
                if told is None:
                    return
                free = told
            yield pb.WorkRequest(free_slots=free)

    def take(self, response: Any) -> Iterator[Any]:
        """For `resumed`."""
        self._on_line("")
        yield response

    def recover(self, error: errors.RegsvcError) -> None:
        """For `resumed`: nothing is held that another server could misunderstand; who closes waits no longer."""
        if self._closed.is_set():
            raise error
        self._on_line(error.message)

    def progress(self) -> object:
        """For `resumed`."""
        return None
