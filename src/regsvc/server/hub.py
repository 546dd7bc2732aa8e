"""Wake whoever waits for a topic, and everybody when the server drains.

A waiter that is woken reads the catalog from the position it holds, so a wake-up that comes twice or too
early costs a query and loses nothing; slow watchers never hold up a writer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from regsvc.errors import Unavailable


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


class Hub:
    """All subscriptions of one server. Everything but `publish` belongs to the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop):
        self._loop = loop
        self._topics: dict[str, set[Subscription]] = {}
        self._draining = asyncio.Event()

    def publish(self, topics: frozenset[str]) -> None:
        """From any thread: these topics have changed."""
        with suppress(RuntimeError):  # the loop has closed: nobody is left to wake
            self._loop.call_soon_threadsafe(self._wake, topics)

    @contextmanager
    def subscribe(self, topic: str) -> Iterator[Subscription]:
        """Wait for a topic. Subscribe before the first read, so that no change falls in between."""
        self.check()
        subscription = Subscription(self)
        waiters = self._topics.setdefault(topic, set())
        waiters.add(subscription)
        try:
            yield subscription
        finally:
            waiters.discard(subscription)
            if not waiters and self._topics.get(topic) is waiters:
                del self._topics[topic]

    def drain(self) -> None:
        """Wake everybody with `Unavailable`."""
        self._draining.set()
        self._wake(frozenset(self._topics))

    def check(self) -> None:
        """Raises `Unavailable` when the server drains."""
        if self._draining.is_set():
            raise Unavailable("the server is shutting down; reconnect and resume")

    @property
    def draining(self) -> asyncio.Event:
        """Set when the server drains."""
        return self._draining

    def _wake(self, topics: frozenset[str]) -> None:
        for topic in topics:
            for subscription in self._topics.get(topic, ()):
                subscription.wake()
