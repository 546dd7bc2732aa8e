"""From one server to another: the client reads from one and writes to the other, which need not see each other."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from regsvc import errors
from regsvc.client.connection import Connection
from regsvc.client.resume import DEFAULT_PATIENCE
from regsvc.client.transferring.mover import Mover, check_into
from regsvc.client.transferring.report import OnMoved, TransferReport
from regsvc.client.transferring.source import Selection, ServerSource


def copy(
    source: Connection,
    target: Connection,
    names: Sequence[str],
    *,
    into: str = "",
    filter: str = "",
    patience: float = DEFAULT_PATIENCE,
    on_moved: OnMoved | None = None,
    on_bytes: Callable[[TransferReport], None] | None = None,
) -> TransferReport:
    """Bring resources of one server into another; what is there already does not travel.

    `names` are resource names, `namespaces/-` for all. `into` is a namespace or model to put them into. Raises
    `NotFound`, `InvalidArgument` (the same registry, and no `into`), `Unavailable`.
    """
    started = time.monotonic()
    check_into(into, names)
    reading = ServerSource(source, patience)
    if reading.store_id == target.capabilities().store_id and not into:
        raise errors.InvalidArgument("source and target are the same registry")
    mover = Mover(
        target, reading.store_id, into=into, patience=patience, on_moved=on_moved, on_bytes=on_bytes
    )
    try:
        move(reading, mover, Selection(names, filter=filter))
    finally:
        reading.close()
    mover.report.seconds = time.monotonic() - started
    return mover.report


def move(source: ServerSource, mover: Mover, selection: Selection) -> None:
    """Bring what is selected, in order."""
    for batch in source.export(selection):
        mover.take(batch.items, source.contents)
