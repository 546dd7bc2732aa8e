"""Reports how far a transfer is, from a thread of its own, so that a slow listener cannot slow the transfer."""

from __future__ import annotations

import threading
from collections.abc import Callable

from regsvc.client.records import Progress

INTERVAL = 0.1
"""Seconds between two calls of the listener."""

Report = Callable[[Progress], None]


class Reporter:
    """A context in which `report` is called at intervals with what `read` gives, and once more at the end."""

    def __init__(self, read: Callable[[], Progress], report: Report | None) -> None:
        self._read = read
        self._report = report
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="regsvc-progress", daemon=True)

    def __enter__(self) -> None:
        if self._report is not None:
            self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        if self._report is not None:
            self._thread.join()
            self._report(self._read())

    def _run(self) -> None:
        while self._report is not None and not self._ended.wait(INTERVAL):
            self._report(self._read())
