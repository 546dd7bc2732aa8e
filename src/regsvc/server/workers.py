"""Bounded pools for what blocks, so that the event loop never does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_END = object()


class Workers:
    """One bounded pool of threads, used from the event loop."""

    def __init__(self, name: str, threads: int):
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a blocking function and give its result."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, lambda: function(*args, **kwargs))

    async def iterate(self, items: Iterator[T]) -> AsyncIterator[T]:
        """The items of a blocking iterator, one read ahead while the last one is on its way."""
        loop = asyncio.get_running_loop()

        def step() -> object:
            return next(items, _END)

        ahead = loop.run_in_executor(self._pool, step)
        try:
            while (item := await ahead) is not _END:
                ahead = loop.run_in_executor(self._pool, step)
                yield item  # type: ignore[misc]
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
