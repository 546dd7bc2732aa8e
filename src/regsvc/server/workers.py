"""Bounded pools for what blocks, so that the event loop never does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Workers:
    """One bounded pool of threads, used from the event loop."""

    def __init__(self, name: str, threads: int):
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking function and give its result."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: function(*args, **kwargs))

    async def iterate(self, items: Iterator[T], *, at_once: int = 1) -> AsyncIterator[T]:
        """The items of a blocking iterator, `at_once` of them read ahead while the last ones are on their way.

        Each turn between loop and thread costs two wake-ups, which several items share.
        """
        loop = asyncio.get_running_loop()

        def step() -> list[T]:
            return list(islice(items, at_once))

        ahead = loop.run_in_executor(self._pool, step)
        try:
            while batch := await ahead:
                ahead = loop.run_in_executor(self._pool, step)
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
        """Wait for what is running."""
        self._pool.shutdown(wait=True, cancel_futures=True)
