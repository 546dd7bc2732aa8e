"""Work with the registry that may take long: it goes on when the server is away, and ends when the build has to."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

from regsvc import errors
from regsvc.client.client import Client
from regsvc.client.working.stopping import Halted, Stop

_AGAIN = 2.0
"""Seconds before what a server that is away has broken is begun again; each transfer has waited long by itself."""
_FAREWELL = 30.0
"""Seconds that what was broken off may take to notice."""
_PASSES = (errors.Unavailable, errors.DeadlineExceeded, errors.Busy, errors.StorageFull)

T = TypeVar("T")


class Transfers:
    """Runs one thing at a time, in a thread, with a client of its own that is closed to break it off."""

    def __init__(self, endpoint: str, stop: Stop, say: Callable[[str], None]) -> None:
        self._endpoint = endpoint
        self._stop = stop
        self._say = say

    def run(self, work: Callable[[Client], T]) -> T:
        """What `work` gives. It is called again for as long as the server is away or full, and may not mind.

        Raises `Halted`, and what `work` raises.
        """
        told = ""
        while True:
            try:
                return self._once(work)
            except _PASSES as error:
                if error.message != told:
                    told = error.message
                    self._say(f"trying again: {told}")
            self._stop.wait(_AGAIN)

    def _once(self, work: Callable[[Client], T]) -> T:
        results: list[T] = []
        failures: list[BaseException] = []
        client = Client(self._endpoint)

        def run() -> None:
            try:
                results.append(work(client))
            except BaseException as error:  # noqa: BLE001 - raised below
                failures.append(error)

        thread = threading.Thread(target=run, name="regsvc-transfer", daemon=True)
        thread.start()
        try:
            self._stop.wait(float("inf"), lambda: not thread.is_alive())
        except Halted:
            with contextlib.suppress(Exception):
                client.close()
            thread.join(_FAREWELL)
            raise
        finally:
            client.close()
        if failures:
            raise failures[0]
        return results[0]
