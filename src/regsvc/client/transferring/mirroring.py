"""A server that is kept equal to another one: once all of it, and then what its events tell.

The position, the number of the source's event up to which everything is at the target, is kept at the target and moves
on only when that is so. So whoever is killed, the source, the target or the mirror, it goes on from there; what comes
twice changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import groupby
from typing import Any

from regsvc import errors, refs
from regsvc.client import lifecycle
from regsvc.client.connection import Connection, translate
from regsvc.client.resume import DEFAULT_PATIENCE, Patience, resumed
from regsvc.client.streams import FOLLOW_PATIENCE, check_same_store, silence_limit
from regsvc.client.transferring.copying import move
from regsvc.client.transferring.mover import Mover
from regsvc.client.transferring.report import Moved, OnMoved, TransferReport
from regsvc.client.transferring.source import Selection, ServerSource
from regsvc.v1 import event_pb2
from regsvc.v1 import transfer_pb2 as pb

MOST_NAMES = 200
"""Resources that are brought by one export."""
MOST_FAILED = 1_000
"""What did not come in that a mirror without end remembers."""
_OF_RUNNING_BUILDS = frozenset(
    {"build.created", "build.params", "build.cancel_requested", "step.started", "step.ended"}
)
"""Builds travel when they have ended."""


def mirror(
    source: Connection,
    target: Connection,
    *,
    filter: str = "",
    once: bool = False,
    full: bool = False,
    on_moved: OnMoved | None = None,
    on_caught_up: Callable[[int], None] | None = None,
    stopped: Callable[[], bool] | None = None,
) -> TransferReport:
    """Follow a source; see `Client.mirror`."""
    started = time.monotonic()
    patience = DEFAULT_PATIENCE if once else FOLLOW_PATIENCE
    reading = ServerSource(source, patience)
    if reading.store_id == target.capabilities().store_id:
        raise errors.InvalidArgument("source and target are the same registry")
    mover = Mover(target, reading.store_id, patience=patience, on_moved=on_moved, later=_comes_again)
    mirroring = _Mirroring(
        source,
        target,
        reading,
        mover,
        filter,
        on_caught_up or (lambda seq: None),
        stopped or (lambda: False),
        patience,
    )
    try:
        mirroring.run(once=once, full=full)
    finally:
        reading.close()
    mover.report.seconds = time.monotonic() - started
    return mover.report


class _Mirroring:
    def __init__(
        self,
        source: Connection,
        target: Connection,
        reading: ServerSource,
        mover: Mover,
        filter: str,
        on_caught_up: Callable[[int], None],
        stopped: Callable[[], bool],
        patience: float,
    ) -> None:
        self._source = source
        self._target = target
        self._reading = reading
        self._mover = mover
        self._filter = filter
        self._on_caught_up = on_caught_up
        self._stopped = stopped
        self._patience = patience
        self._waiting = Patience(patience)
        self._position: int | None = None

    def run(self, *, once: bool, full: bool) -> None:
        """Until it is where the source was, or for ever."""
        now = self._now()
        until = now if once else None
        self._position = None if full else self._known()
        if self._position is not None and self._position > now:
            self._position = None  # the source was restored from a backup
        while not self._stopped():
            try:
                if self._position is None:
                    self._all()
                if until is not None and self._position is not None and self._position >= until:
                    return
                self._follow(until)
                return
            except (errors.EventsGone, errors.SeqAhead):
                self._position = None  # its history is gone, or is another one: all of it again
            except errors.Unavailable as error:
                if once:
                    raise
                self._waiting.wait(error)

    def _all(self) -> None:
        """Everything, as it is at least at the event that is the last one now."""
        seq = self._now()
        move(self._reading, self._mover, Selection(["namespaces/-"], filter=self._filter))
        self._settle(seq)

    def _follow(self, until: int | None) -> None:
        assert self._position is not None
        watch = _Watch(self._source, self._position, self._filter)
        responses = resumed(
            watch,
            translate=lambda error: translate(error, self._source.target),
            patience=self._patience,
            silence=silence_limit(self._source),
        )
        for events, seq in responses:
            for renamed, told in groupby(events, key=lambda event: event.kind == "model.renamed"):
                if renamed:
                    self._rename(told)
                else:
                    self._bring_all(list(dict.fromkeys(name for event in told for name in _of(event))))
            if events or seq != self._position:
                self._settle(seq)
            if until is None:
                self._forget()
            if self._stopped() or (until is not None and seq >= until):
                return

    def _rename(self, told: Iterable[Any]) -> None:
        """Call models as the source does from now on, and bring what is still missing under the new name."""
        for event in told:
            old, new = (refs.model_from_wire(name) for name in (event.attributes["previous"], event.resource))
            try:
                lifecycle.rename(self._target, old, new, event.attributes["author"])
            except (errors.NotFound, errors.AlreadyExists):
                pass  # it has not come, or this was done before
            except errors.ModelInUse as error:
                self._mover.fail(pb.TransferItem(model=pb.ModelItem(name=old.wire)), error)
            self._bring_all([new.wire])

    def _bring_all(self, names: Sequence[str]) -> None:
        for start in range(0, len(names), MOST_NAMES):
            self._bring(names[start : start + MOST_NAMES])

    def _bring(self, names: Sequence[str]) -> None:
        try:
            move(self._reading, self._mover, Selection(names, filter=self._filter))
        except errors.NotFound:
            # One of them is gone from the source meanwhile: the others one by one.
            for name in names:
                with suppress(errors.NotFound):
                    move(self._reading, self._mover, Selection([name], filter=self._filter))

    def _settle(self, seq: int) -> None:
        """Everything up to that event is at the target."""
        if seq != self._position:
            noted = pb.Mirror(source=self._reading.store_id, seq=seq, filter=self._filter)
            self._target.call(self._target.transfers.SetMirror, pb.SetMirrorRequest(mirror=noted))
            self._position = seq
        self._waiting.reset()
        self._on_caught_up(seq)

    def _forget(self) -> None:
        """It goes on without end: only the last outcomes are kept."""
        report = self._mover.report
        report.created.clear()
        report.left_out.clear()
        del report.failed[:-MOST_FAILED]

    def _known(self) -> int | None:
        """The position that is kept at the target; None when all has to be brought first."""
        request = pb.GetMirrorRequest(source=self._reading.store_id, filter=self._filter)
        try:
            return int(self._target.call(self._target.transfers.GetMirror, request).mirror.seq)
        except errors.NotFound:
            return None

    def _now(self) -> int:
        """The number of the source's last event."""
        watch = _Watch(self._source, None, "")
        for _, seq in resumed(watch, translate=lambda error: translate(error, self._source.target)):
            return int(seq)
        raise errors.Unavailable("the source told no position")


class _Watch:
    """Strategy of `resumed` for `WatchEvents`: gives (events, number up to which all was told)."""

    def __init__(self, connection: Connection, after: int | None, filter: str) -> None:
        self._connection = connection
        self._seq = after
        self._filter = filter

    def open(self) -> Iterable[Any]:
        request = event_pb2.WatchEventsRequest(after_seq=self._seq, filter=self._filter)
        call: Iterable[Any] = self._connection.events.WatchEvents(request)
        return call

    def take(self, response: Any) -> Iterator[tuple[Sequence[Any], int]]:
        seq = max(response.seq, self._seq or 0)
        yield response.events, seq
        self._seq = seq

    def recover(self, error: errors.RegsvcError) -> None:
        check_same_store(self._connection)

    def progress(self) -> int | None:
        return self._seq


def _comes_again(moved: Moved) -> bool:
    """An alias may name a version already whose event is still to come: then so is that of the move."""
    return moved.kind == "alias" and moved.reason == "NOT_FOUND"


def _of(event: Any) -> Iterator[str]:
    """Resource names of what an event says has changed, as far as it travels."""
    parts = event.resource.split("/")
    if parts[0] != "namespaces" or event.kind in _OF_RUNNING_BUILDS:
        return
    if parts[2:3] == ["datasets"] or len(parts) == 4 or parts[4] in ("versions", "aliases", "builds"):
        yield event.resource
