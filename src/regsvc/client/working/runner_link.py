"""A runner's line to the server: offers and cancels come in, free slots go out, for as long as it takes."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from typing import Any

from regsvc import errors
from regsvc.client.connection import Connection
from regsvc.client.lasting_line import LastingLine, Outgoing
from regsvc.v1 import runner_pb2 as pb

_FATAL = (errors.InvalidArgument, errors.Unimplemented)


class RunnerLink(LastingLine):
    """The callbacks are called from its thread."""

    def __init__(
        self,
        connection: Connection,
        runner: pb.Runner,
        *,
        on_offer: Callable[[str], None],
        on_cancel: Callable[[str], None],
        on_line: Callable[[str], None],
        on_refusal: Callable[[errors.RegsvcError], None],
    ) -> None:
        """`on_line` is told why the server is not there, and "" when it is there again."""
        super().__init__(connection, "regsvc-runner-link", _FATAL, on_refusal)
        self._runner = runner
        self._on_offer = on_offer
        self._on_cancel = on_cancel
        self._on_line = on_line
        self._free = 0

    def start(self, free: int) -> None:
        """Open the line, with so many free slots."""
        self._free = free
        self._thread.start()

    def tell(self, free: int) -> None:
        """So many builds it would take now."""
        with self._lock:
            self._free = free
            self._outgoing.put(free)

    def _first(self) -> pb.WorkRequest:
        return pb.WorkRequest(runner=self._runner, free_slots=self._free)

    def _requests(self, first: pb.WorkRequest, outgoing: Outgoing) -> Iterator[pb.WorkRequest]:
        interval = self._connection.capabilities().heartbeat_interval_ms / 1000
        yield first
        free = first.free_slots
        while True:
            try:
                told = outgoing.get(timeout=interval)
            except queue.Empty:
                pass
            else:
                if told is None:
                    return
                free = told
            yield pb.WorkRequest(free_slots=free)

    def _begin(self, requests: Iterator[pb.WorkRequest]) -> Any:
        return self._connection.runners.Work(requests)

    def _heard(self, found: pb.WorkResponse) -> None:
        if found.offer:
            self._on_offer(found.offer)
        if found.cancel:
            self._on_cancel(found.cancel)

    def _lost(self, error: errors.RegsvcError) -> None:
        self._on_line(error.message)

    def take(self, response: Any) -> Iterator[Any]:
        """For `resumed`."""
        self._on_line("")
        yield response
