"""Reading a build's log: history and live are one stream, and it resumes by itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from regsvc import errors, refs
from regsvc.client.build_records import LogLine, line_from_wire
from regsvc.client.connection import Connection, translate
from regsvc.client.resume import DEFAULT_PATIENCE, resumed
from regsvc.client.streams import FOLLOW_PATIENCE, check_same_store, silence_limit
from regsvc.v1 import build_pb2


def read_log(
    connection: Connection, build: str, *, follow: bool = False, after: int = 0, step: str | None = None
) -> Iterator[LogLine]:
    """The lines of a build's log after number `after`, each exactly once, in order.

    With `follow`, goes on until the build has ended and its last line was read, through any number of
    disconnects. `step` keeps the lines of the steps of that name only. Raises `NotFound`, `OutOfRange` (`after`
    is past the last line), `Unavailable` (the server stayed away).
    """
    strategy = _Tail(connection, refs.parse_build(build).wire, after, follow, step or "")
    patience = FOLLOW_PATIENCE if follow else DEFAULT_PATIENCE
    return resumed(
        strategy,
        translate=lambda error: translate(error, connection.target),
        patience=patience,
        silence=silence_limit(connection),
    )


class _Tail:
    """Strategy of `resumed`: the number of the last line that was handed out is all there is to keep."""

    def __init__(self, connection: Connection, build: str, after: int, follow: bool, step: str) -> None:
        self._connection = connection
        self._request = build_pb2.ReadLogRequest(build=build, after_seq=after, follow=follow, step=step)
        self._seq = after

    def open(self) -> Iterable[Any]:
        self._request.after_seq = self._seq
        call: Iterable[Any] = self._connection.builds.ReadLog(self._request)
        return call

    def take(self, response: Any) -> Iterator[LogLine]:
        for line in response.lines:
            if line.seq > self._seq:
                # Moved on before the line is handed out: a reader that stops here has seen it.
                self._seq = line.seq
                yield line_from_wire(line)
        self._seq = max(self._seq, response.seq)

    def recover(self, error: errors.RegsvcError) -> None:
        check_same_store(self._connection)

    def progress(self) -> int:
        return self._seq
