"""Which uploads are in flight, so that a drain can let them finish."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

PAUSE = 1.0
"""Seconds between two calls of one upload, at the most; after that it counts as abandoned."""


class Activity:
    """Counts calls that belong to uploads. Belongs to the event loop."""

    def __init__(self) -> None:
        self._running = 0
        self._last = float("-inf")

    @contextmanager
    def upload(self) -> Iterator[None]:
        """A call of an upload is running."""
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1
            self._last = time.monotonic()

    async def settle(self, limit: float) -> None:
        """Wait until no upload is in flight, for `limit` seconds at the most."""
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            if not self._running and time.monotonic() - self._last > PAUSE:
                return
            await asyncio.sleep(0.05)
