"""A line to the server that lasts: a stream both ways, opened again for as long as it takes, on a thread of its own."""

from __future__ import annotations

import abc
import math
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

from regsvc import errors
from regsvc.client.connection import Connection, translate
from regsvc.client.resume import resumed
from regsvc.client.streams import silence_limit

Outgoing = queue.SimpleQueue[Any]
"""What is to be sent; None ends it."""

_AGAIN = 1.0
"""Seconds before the line is opened again after an error that may pass."""
_LAST = 10.0
"""Seconds that closing waits for the thread, which may be between two attempts to reach a server that is away."""


class LastingLine(abc.ABC):
    """Owns one thread, which ends with `close`. What is heard is told from it."""

    def __init__(
        self,
        connection: Connection,
        name: str,
        fatal: tuple[type[errors.RegsvcError], ...],
        on_refusal: Callable[[errors.RegsvcError], None],
    ) -> None:
        """`name` is the thread's; after one of the `fatal` errors it tells `on_refusal` and gives up."""
        self._connection = connection
        self._fatal = fatal
        self._on_refusal = on_refusal
        self._lock = threading.Lock()  # protects _outgoing, and what the first message says
        self._outgoing: Outgoing = queue.SimpleQueue()
        self._closed = threading.Event()
        self._call: Any = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def close(self) -> None:
        """End the line and its thread; what was told before is sent first, if the server is there."""
        self._closed.set()
        with self._lock:
            self._outgoing.put(None)
        self._thread.join(2)
        if self._call is not None:
            self._call.cancel()
        self._thread.join(_LAST)  # one that asks a server that is away ends by itself after that

    @abc.abstractmethod
    def _first(self) -> Any:
        """What is said first, with the present state. The lock is held."""

    @abc.abstractmethod
    def _requests(self, first: Any, outgoing: Outgoing) -> Iterator[Any]:
        """The messages, from the first one until None comes."""

    @abc.abstractmethod
    def _begin(self, requests: Iterator[Any]) -> Any:
        """Call the server."""

    @abc.abstractmethod
    def _heard(self, found: Any) -> None:
        """Deal with what `take` made of a response."""

    @abc.abstractmethod
    def _lost(self, error: errors.RegsvcError) -> None:
        """The server is not there, and is asked again."""

    def _run(self) -> None:
        while not self._closed.is_set():
            try:
                for found in resumed(
                    self,
                    translate=lambda error: translate(error, self._connection.target),
                    patience=math.inf,
                    silence=silence_limit(self._connection),
                ):
                    self._heard(found)
            except self._fatal as error:
                self._on_refusal(error)
                return
            except errors.RegsvcError as error:
                if not self._closed.is_set():
                    self._lost(error)
            self._closed.wait(_AGAIN)

    # Strategy of `resumed`.

    def open(self) -> Any:
        """For `resumed`: begin with the present state."""
        with self._lock:
            outgoing = self._outgoing = queue.SimpleQueue()
            first = self._first()
            if self._closed.is_set():
                outgoing.put(None)
        self._call = self._begin(self._requests(first, outgoing))
        return self._call

    @abc.abstractmethod
    def take(self, response: Any) -> Iterator[Any]:
        """For `resumed`."""

    def recover(self, error: errors.RegsvcError) -> None:
        """For `resumed`: nothing is held that another server could misunderstand; who closes waits no longer."""
        if self._closed.is_set():
            raise error
        self._lost(error)

    def progress(self) -> object:
        """For `resumed`."""
        return None
