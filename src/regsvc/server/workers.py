"""Bounded pools for what blocks, so that the event loop never does."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_Item = tuple[asyncio.Future[Any], Callable[[], Any]]
_Result = tuple[asyncio.Future[Any], Any, BaseException | None]


class Workers:
    """One bounded pool of threads, used from one event loop.

    Not a `ThreadPoolExecutor`, which wakes the loop for every result: the loop then takes the interpreter from the
    very threads that work on the next ones. Results that come close together are handed over together.
    """

    def __init__(self, name: str, threads: int, *, together: int = 1):
        """`together`: most results that are kept back while other items wait for a thread. Only for short items."""
        self._name = name
        self._most = threads
        self._together = together
        self._items: SimpleQueue[_Item | None] = SimpleQueue()
        self._results: deque[_Result] = deque()
        self._handing = False  # the loop was told of results and has not looked yet
        # These three belong to the loop.
        self._threads: list[threading.Thread] = []
        self._unfinished = 0
        self._closed = False

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking function and give its result. It runs to its end, if it has begun, when the caller leaves."""
        return await self._submit(partial(function, *args, **kwargs))

    async def iterate(self, items: Iterator[T], *, at_once: int = 1) -> AsyncIterator[T]:
        """The items of a blocking iterator, `at_once` of them read ahead while the last ones are on their way.

        Each turn between loop and thread costs two wake-ups, which several items share.
        """

        def step() -> list[T]:
            return list(islice(items, at_once))

        ahead = self._submit(step)
        try:
            while batch := await asyncio.shield(ahead):
                ahead = self._submit(step)
                for item in batch:
                    yield item
        finally:
            # A generator cannot be closed while a thread is inside it.
            await asyncio.wait([ahead])
            if not ahead.cancelled():
                ahead.exception()
            close = getattr(items, "close", None)
            if close is not None:
                close()

    def close(self) -> None:
        """Wait for what is running; what has not begun is cancelled."""
        self._closed = True
        with suppress(Empty):
            while (item := self._items.get_nowait()) is not None:
                item[0].cancel()
        for _ in self._threads:
            self._items.put(None)
        for thread in self._threads:
            thread.join()

    def _submit(self, function: Callable[[], T]) -> asyncio.Future[T]:
        if self._closed:
            raise RuntimeError("the workers have been closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._unfinished += 1
        if len(self._threads) < min(self._unfinished, self._most):
            name = f"{self._name}_{len(self._threads)}"
            thread = threading.Thread(target=self._work, args=[loop], name=name, daemon=True)
            self._threads.append(thread)
            thread.start()
        self._items.put((future, function))
        return future

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        while True:
            try:
                item = self._items.get_nowait()
            except Empty:
                self._hand_over(loop)
                item = self._items.get()
            if item is None:
                self._hand_over(loop)
                return
            self._results.append(_done(*item))
            if len(self._results) >= self._together:
                self._hand_over(loop)

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._results and not self._handing:
            self._handing = True
            with suppress(RuntimeError):  # the loop has closed: nobody waits for results any more
                loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        # First, so that a result which comes while the others are settled is not overlooked.
        self._handing = False
        while self._results:
            future, value, error = self._results.popleft()
            self._unfinished -= 1
            if future.cancelled():
                continue
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(error)


def _done(future: asyncio.Future[Any], function: Callable[[], Any]) -> _Result:
    if future.cancelled():  # its caller has left before it began
        return future, None, None
    try:
        return future, function(), None
    except BaseException as error:  # noqa: BLE001 - whatever it is, the caller gets it
        return future, None, error
