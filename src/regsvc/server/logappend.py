"""One AppendLog stream: lines in, acknowledgements out, several messages to one commit."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Literal

from regsvc import refs
from regsvc.catalog.database import now_us
from regsvc.server import convert
from regsvc.server.hub import Hub
from regsvc.server.workers import Workers
from regsvc.service.limits import Limits
from regsvc.service.loglines import LogLine
from regsvc.service.logs import Logs, LogState
from regsvc.v1 import build_pb2 as pb

AHEAD = 8
"""Messages that wait while one commit is under way; the next commit takes them together."""


class LogAppend:
    """Reads messages ahead while the last ones are committed."""

    def __init__(self, logs: Logs, limits: Limits, workers: Workers, hub: Hub):
        self._logs = logs
        self._limits = limits
        self._run = workers.run
        self._hub = hub
        self._queue: asyncio.Queue[pb.AppendLogRequest | None] = asyncio.Queue(AHEAD)

    async def responses(
        self, requests: AsyncIterator[pb.AppendLogRequest]
    ) -> AsyncIterator[pb.AppendLogResponse]:
        """Acknowledgements, until the publisher ends the stream or the server drains."""
        self._hub.check()
        reading = asyncio.ensure_future(self._read(requests))
        draining = asyncio.ensure_future(self._hub.draining.wait())
        name = None
        try:
            first = await self._next(reading, draining)
            if first is None:
                return
            name = refs.build_from_wire(first.build)
            yield _ack(await self._run(self._logs.open, name, self))
            message: pb.AppendLogRequest | None = first
            while message is not None:
                lines, message = self._gather(message)
                yield _ack(await self._run(self._logs.append, name, self, lines))
                if message is None:
                    message = await self._next(reading, draining)
        finally:
            for task in (reading, draining):
                task.cancel()
            if name is not None:
                self._logs.release(name, self)

    async def _read(self, requests: AsyncIterator[pb.AppendLogRequest]) -> None:
        async for request in requests:
            await self._queue.put(request)
        await self._queue.put(None)

    async def _next(
        self, reading: asyncio.Future[None], draining: asyncio.Future[Literal[True]]
    ) -> pb.AppendLogRequest | None:
        """The next message, or None at the end. Raises `Unavailable` when the server drains."""
        waiting = asyncio.ensure_future(self._queue.get())
        watched: set[asyncio.Future[Any]] = {waiting, reading, draining}
        try:
            await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            if draining.done():
                self._hub.check()
            if not waiting.done() and reading.done():
                # Either its error, or the end that it has put into the queue.
                reading.result()
            return await waiting
        finally:
            waiting.cancel()

    def _gather(self, message: pb.AppendLogRequest) -> tuple[list[LogLine], pb.AppendLogRequest | None]:
        """The lines of a message and of those that wait behind it, as far as one commit takes them."""
        now = now_us()
        convert.check_count(len(message.lines), self._limits.max_log_batch_lines, "log lines")
        lines = [convert.line_from(line, now) for line in message.lines]
        size = sum(len(line.text) for line in lines)
        while not self._queue.empty():
            following = self._queue.get_nowait()
            if following is None:
                self._queue.put_nowait(None)
                break
            if len(lines) + len(following.lines) > self._limits.max_log_batch_lines:
                return lines, following
            more = [convert.line_from(line, now) for line in following.lines]
            size += sum(len(line.text) for line in more)
            consecutive = not lines or not more or more[0].seq == lines[-1].seq + 1
            if size > self._limits.max_log_batch_bytes or not consecutive:
                return lines, following
            lines += more
        return lines, None


def _ack(state: LogState) -> pb.AppendLogResponse:
    return pb.AppendLogResponse(committed_seq=state.committed_seq, cancel_requested=state.cancel_requested)
