"""An asyncio TCP proxy whose connections break after random numbers of bytes, or go silent."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Coroutine
from typing import Any

_PIECE = 16 << 10


class RandomProxy:
    """Forwards to `target` from a thread of its own. Use as a context manager.

    The first `spared` connections live. Each of the next `cuts` is cut after a number of bytes, in both directions
    together, drawn from 1 to `most`; later ones live. With `stall` they are not closed but go silent.
    """

    def __init__(
        self, target: str, *, seed: int, cuts: int, most: int, spared: int = 0, stall: bool = False
    ) -> None:
        self.broken = 0
        """Connections that were cut, or went silent."""
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._random = random.Random(seed)
        self._cuts = cuts
        self._spared = spared
        self._most = most
        self._stall = stall
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> RandomProxy:
        self._thread.start()
        self._server = self._do(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.endpoint = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    def __exit__(self, *error: object) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _end(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        left = None
        if self._spared:
            self._spared -= 1
        elif self._cuts:
            self._cuts -= 1
            left = [self._random.randint(1, self._most)]
        try:
            there, back = await asyncio.open_connection(*self._target)
            try:
                await asyncio.gather(self._pump(reader, back, left), self._pump(there, writer, left))
            finally:
                back.close()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: list[int] | None
    ) -> None:
        while data := await reader.read(_PIECE):
            if left is not None:
                left[0] -= len(data)
                if left[0] < 0:
                    with contextlib.suppress(OSError):
                        writer.write(data[: left[0]])
                    self.broken += 1
                    if self._stall:
                        await asyncio.sleep(3600)
                    raise ConnectionResetError
            writer.write(data)
            await writer.drain()
        raise ConnectionResetError  # one side has ended: so does the other
