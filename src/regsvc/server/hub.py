"""Wake whoever waits for a topic, and everybody when the server drains.

A waiter that is woken reads the catalog from the position it holds, so a wake-up that comes twice or too
early costs a query and loses nothing; slow watchers never hold up a writer. A message costs the same for one
line as for twenty, so the more wait for a topic, the more changes are told at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from regsvc.errors import Unavailable

PACE = 0.0005
"""Seconds between two wake-ups of a topic, for each who waits: sending to one of them takes about a third of that."""
LONGEST_PAUSE = 0.25
"""Seconds between them at the most, however many wait."""


class Subscription:
    """One waiter's view of one topic."""

    def __init__(self, hub: Hub):
        self._hub = hub
        self._changed = asyncio.Event()

    async def wait(self, timeout: float) -> bool:
        """True when the topic changed since the last call, False after `timeout` seconds.

        Raises `Unavailable` when the server drains.
        """
        self._hub.check()
        try:
            await asyncio.wait_for(self._changed.wait(), timeout)
        except TimeoutError:
            return False
        finally:
            self._changed.clear()
        self._hub.check()
        return True

    def wake(self) -> None:
        """Called by the hub."""
        self._changed.set()


class _Topic:
    """Who waits for one topic."""

    def __init__(self, loop: asyncio.AbstractEventLoop):
        self.waiters: set[Subscription] = set()
        self._loop = loop
        self._due = 0.0
        self._later: asyncio.TimerHandle | None = None

    def changed(self) -> None:
        """Wake them, now or when it is due."""
        if self._later is None:
            if self._due <= self._loop.time():
                self.wake()
            else:
                self._later = self._loop.call_at(self._due, self.wake)

    def wake(self) -> None:
        """Wake them now."""
        if self._later is not None:
            self._later.cancel()
            self._later = None
        self._due = self._loop.time() + min(LONGEST_PAUSE, PACE * len(self.waiters))
        for waiter in self.waiters:
            waiter.wake()


class Hub:
    """All subscriptions of one server. Everything but `publish` belongs to the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop):
        self._loop = loop
        self._topics: dict[str, _Topic] = {}
        self._draining = asyncio.Event()

    def publish(self, topics: frozenset[str]) -> None:
        """From any thread: these topics have changed."""
        with suppress(RuntimeError):  # the loop has closed: nobody is left to wake
            self._loop.call_soon_threadsafe(self._changed, topics)

    @contextmanager
    def subscribe(self, topic: str) -> Iterator[Subscription]:
        """Wait for a topic. Subscribe before the first read, so that no change falls in between."""
        self.check()
        subscription = Subscription(self)
        found = self._topics.setdefault(topic, _Topic(self._loop))
        found.waiters.add(subscription)
        try:
            yield subscription
        finally:
            found.waiters.discard(subscription)
            if not found.waiters and self._topics.get(topic) is found:
                del self._topics[topic]

    def drain(self) -> None:
        """Wake everybody with `Unavailable`."""
        self._draining.set()
        for topic in self._topics.values():
            topic.wake()

    def check(self) -> None:
        """Raises `Unavailable` when the server drains."""
        if self._draining.is_set():
            raise Unavailable("the server is shutting down; reconnect and resume")

    @property
    def draining(self) -> asyncio.Event:
        """Set when the server drains."""
        return self._draining

    def _changed(self, topics: frozenset[str]) -> None:
        for name in topics:
            topic = self._topics.get(name)
            if topic is not None:
                topic.changed()
