"""Pages of logs for ReadLog, read once for all who follow the same log."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from regsvc.refs import BuildName
from regsvc.server import convert
from regsvc.server.workers import Workers
from regsvc.service.logs import LogPage, Logs
from regsvc.v1 import build_pb2 as pb

KEPT = 32
"""Pages kept for followers that come a moment later; each holds about a quarter MiB of lines at the most."""
_LINES_BYTES = 1 << 20
"""Text of the lines in one ReadLogResponse; a single line may be longer."""

_Key = tuple[BuildName, int, str]


@dataclass(frozen=True)
class Messages:
    """A stretch of a log as it is sent; shared, so never changed."""

    messages: Sequence[pb.ReadLogResponse]
    seq: int
    ended: bool


class LogPages:
    """Reads pages of logs. Belongs to the event loop.

    A commit wakes every follower of a log, and most ask for the same page: the first one reads it, the others
    wait for that, so five hundred followers cost a publisher hardly more than one.
    """

    def __init__(self, logs: Logs, workers: Workers):
        self._logs = logs
        self._workers = workers
        self._pages: OrderedDict[_Key, asyncio.Task[Messages]] = OrderedDict()

    async def read(self, name: BuildName, after_seq: int, step: str) -> Messages:
        """The next stretch after a number. Errors as `Logs.read`."""
        key = (name, after_seq, step)
        task = self._pages.get(key)
        if task is None:
            task = asyncio.ensure_future(self._workers.run(self._read, name, after_seq, step))
            self._pages[key] = task
            task.add_done_callback(lambda done: self._settle(key, done))
        return await asyncio.shield(task)

    def _read(self, name: BuildName, after_seq: int, step: str) -> Messages:
        page = self._logs.read(name, after_seq, step)
        return Messages(_messages(page), page.seq, page.ended)

    def _settle(self, key: _Key, done: asyncio.Task[Messages]) -> None:
        """Keep what will not change: lines that are there stay there, but an end or a silence may be over."""
        if done.cancelled() or done.exception() or done.result().ended or done.result().seq == key[1]:
            del self._pages[key]
        while len(self._pages) > KEPT and next(iter(self._pages.values())).done():
            self._pages.popitem(last=False)


def _messages(page: LogPage) -> list[pb.ReadLogResponse]:
    """A page as messages of bounded size; each tells where to resume."""
    messages, size = [], 0
    message = pb.ReadLogResponse()
    for line in page.lines:
        if message.lines and size + len(line.text) > _LINES_BYTES:
            messages.append(message)
            message, size = pb.ReadLogResponse(), 0
        message.lines.append(convert.line_to(line))
        message.seq = line.seq
        size += len(line.text) + len(line.step) + 40
    if message.lines or page.moved:
        messages.append(message)
        message.seq = page.seq
    return messages
