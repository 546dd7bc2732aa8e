"""Watching: the changes of the whole registry, and the state of one build. Both resume by themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from regsvc import errors, refs
from regsvc.client.build_records import BuildUpdate, Event, event_from_wire, update_from_wire
from regsvc.client.connection import Connection, translate
from regsvc.client.resume import Strategy, resumed
from regsvc.client.streams import FOLLOW_PATIENCE, check_same_store, silence_limit
from regsvc.v1 import build_pb2, event_pb2

Item = TypeVar("Item")


def watch_events(
    connection: Connection,
    after: int | None = None,
    filter: str = "",
    position: Callable[[int], None] | None = None,
) -> Iterator[Event]:
    """Changes after event number `after`, each exactly once, in order, for ever; None: only new ones.

    `filter` is a CEL condition on them. `position` is called with numbers up to which all has been handed out and
    the next was asked for, or left out: where another watch may go on.

    Raises `EventsGone` (the history after that number has been removed), `SeqAhead` (the number is past the
    present), `FilterInvalid`, `Unavailable` (the server stayed away).
    """
    return _watch(connection, _EventWatch(connection, after, filter, position))


def watch_build(connection: Connection, build: str, after: int = 0) -> Iterator[BuildUpdate]:
    """The state of a build as it changes, until the update with `final`.

    With `after` 0 the first updates hold everything that is known; steps and build are snapshots that replace
    the earlier ones. Raises `NotFound`, `OutOfRange` (`after` is past the present), `Unavailable`.
    """
    return _watch(connection, _BuildWatch(connection, refs.parse_build(build).wire, after))


def _watch(connection: Connection, strategy: Strategy[Item]) -> Iterator[Item]:
    return resumed(
        strategy,
        translate=lambda error: translate(error, connection.target),
        patience=FOLLOW_PATIENCE,
        silence=silence_limit(connection),
    )


class _EventWatch:
    """Strategy of `resumed` for `WatchEvents`."""

    def __init__(
        self,
        connection: Connection,
        after: int | None,
        filter: str,
        position: Callable[[int], None] | None,
    ) -> None:
        self._connection = connection
        self._seq = after
        self._filter = filter
        self._position = position or (lambda seq: None)

    def open(self) -> Iterable[Any]:
        request = event_pb2.WatchEventsRequest(after_seq=self._seq, filter=self._filter)
        call: Iterable[Any] = self._connection.events.WatchEvents(request)
        return call

    def take(self, response: Any) -> Iterator[Event]:
        for event in response.events:
            if self._seq is None or event.seq > self._seq:
                # Moved on before the event is handed out: a reader that stops here has seen it.
                self._seq = event.seq
                yield event_from_wire(event)
                self._position(event.seq)
        # The first message of a watch from "now" tells where now is.
        if response.seq or response.created:
            self._seq = max(self._seq or 0, response.seq)
            self._position(self._seq)

    def recover(self, error: errors.RegsvcError) -> None:
        check_same_store(self._connection)

    def progress(self) -> int | None:
        return self._seq


class _BuildWatch:
    """Strategy of `resumed` for `WatchBuild`."""

    def __init__(self, connection: Connection, build: str, after: int) -> None:
        self._connection = connection
        self._build = build
        self._seq = after

    def open(self) -> Iterable[Any]:
        call: Iterable[Any] = self._connection.builds.WatchBuild(
            build_pb2.WatchBuildRequest(build=self._build, after_seq=self._seq)
        )
        return call

    def take(self, response: Any) -> Iterator[BuildUpdate]:
        self._seq = max(self._seq, response.seq)
        changed = response.HasField("build") or response.steps or response.metrics or response.log_seq
        if changed or response.final:
            yield update_from_wire(response)

    def recover(self, error: errors.RegsvcError) -> None:
        check_same_store(self._connection)

    def progress(self) -> int:
        return self._seq
