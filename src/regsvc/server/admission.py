"""Who may move bulk bytes now: so many streams at once, a short queue behind them, and a refusal beyond it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from regsvc.errors import Busy

QUEUE = 4
"""Streams that may wait, for each that may run: what they hold is little, but not nothing."""
AGAIN = 1.0
"""Seconds after which a stream that has waited in vain may ask again."""


@dataclass(frozen=True, eq=False)
class _Waiting:
    host: str
    admitted: asyncio.Future[bool]
    """False when its place in the queue went to another host."""


class Admission:
    """Slots for streams of one kind. Belongs to the event loop.

    A slot that becomes free goes to the waiting host that runs the fewest streams; among equals, who came
    first. A full queue makes room for a host with fewer streams by dropping the last of the host with most.
    So a client with a hundred streams delays itself, and hardly the others.
    """

    def __init__(self, slots: int, wait: float) -> None:
        """`slots` streams at once; others wait up to `wait` seconds."""
        self._free = slots
        self._places = slots * QUEUE
        self._wait = wait
        self._running: Counter[str] = Counter()
        self._queue: list[_Waiting] = []

    @asynccontextmanager
    async def slot(self, peer: str) -> AsyncIterator[None]:
        """Hold a slot; `peer` as gRPC names it. Raises `Busy`, with the seconds after which to ask again."""
        host = host_of(peer)
        await self._enter(host)
        try:
            yield
        finally:
            self._leave(host)

    async def _enter(self, host: str) -> None:
        if self._free:
            self._free -= 1
            self._running[host] += 1
            return
        if len(self._queue) >= self._places:
            self._make_room(host)
        waiting = _Waiting(host, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        try:
            await asyncio.wait([waiting.admitted], timeout=self._wait)
        except asyncio.CancelledError:
            self._forget(waiting)
            raise
        if not waiting.admitted.done():
            self._queue.remove(waiting)
            raise _busy(AGAIN)
        if not waiting.admitted.result():
            raise _busy(self._wait)

    def _forget(self, waiting: _Waiting) -> None:
        """Its client has gone, perhaps just when it was given a slot."""
        if not waiting.admitted.done():
            self._queue.remove(waiting)
        elif waiting.admitted.result():
            self._leave(waiting.host)

    def _leave(self, host: str) -> None:
        if self._queue:
            # The stream that ends still counts, so that hosts take turns when there are few slots.
            first = min(self._queue, key=lambda waiting: self._running[waiting.host])
            self._queue.remove(first)
            self._running[first.host] += 1
            first.admitted.set_result(True)
        else:
            self._free += 1
        self._running[host] -= 1
        if not self._running[host]:
            del self._running[host]

    def _make_room(self, host: str) -> None:
        """Drop the last in the queue of a host that has more streams than this one would have, or raise `Busy`."""
        streams = self._running + Counter(waiting.host for waiting in self._queue)
        heaviest = max(reversed(self._queue), key=lambda waiting: streams[waiting.host])
        if streams[heaviest.host] <= streams[host] + 1:
            raise _busy(self._wait)
        self._queue.remove(heaviest)
        heaviest.admitted.set_result(False)


def host_of(peer: str) -> str:
    """The address without the port: the connections of one machine count together, those by Unix socket too."""
    return peer if peer.startswith("unix:") else peer.rpartition(":")[0]


def _busy(retry_after: float) -> Busy:
    return Busy("the server moves as many streams as it may; ask again later", retry_after=retry_after)
