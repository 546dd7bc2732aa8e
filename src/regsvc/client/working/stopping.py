"""Why the work on a build ends early: somebody asked for it, its time is over, or the build is not ours any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from regsvc.client.place import Halt
from regsvc.client.session import BuildSession

_TICK = 0.1
"""Seconds between looks."""


class WorkFailed(Exception):
    """The build fails, for this reason, which people read."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Halted(Exception):
    """The work was ended before it was done."""

    def __init__(self, halt: Halt) -> None:
        super().__init__(halt.reason)
        self.halt = halt


class Stop:
    """What everything that takes time asks: whether to go on. The first reason to end is the one that counts."""

    def __init__(self, timeout: float) -> None:
        """`timeout` in seconds from now; 0 is none."""
        self.session: BuildSession | None = None
        """The build, once it is there."""
        self._timeout = timeout
        self._ends = time.monotonic() + timeout if timeout else float("inf")
        self._lock = threading.Lock()  # protects _found
        self._found: Halt | None = None
        self.hurry = threading.Event()
        """The end cannot wait for a server that is away."""

    def ask(self, state: str, reason: str) -> None:
        """Any thread may ask."""
        with self._lock:
            self._found = self._found or Halt(state, reason)

    def __call__(self) -> Halt | None:
        """Why to end, or None."""
        if self._found is None:
            session = self.session
            if session is not None and session.failure is not None:
                self.ask("LOST", session.failure.message)
            elif session is not None and session.cancel_requested:
                self.ask("CANCELLED", "cancel requested")
            elif time.monotonic() >= self._ends:
                self.ask("FAILED", f"it took longer than {self._timeout:g} s")
        return self._found

    def check(self) -> None:
        """Raises `Halted` when it is time to end."""
        halt = self()
        if halt is not None:
            raise Halted(halt)

    def wait(self, seconds: float, done: Callable[[], bool] = lambda: False) -> bool:
        """Wait until `done`, or for so long; gives whether it is. Raises `Halted`."""
        until = time.monotonic() + seconds
        while not done():
            self.check()
            left = until - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(_TICK, left))
        return True
