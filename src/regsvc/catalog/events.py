"""Events: one row a change, written in the transaction of the change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from regsvc.catalog.database import Reader, Transaction
from regsvc.errors import NotFound

TOPIC = "events"
MAX_SEQ = 2**63 - 1
"""The largest number that SQLite knows."""


@dataclass(frozen=True)
class Event:
    """One change."""

    seq: int
    at: int
    """Microseconds since 1970."""
    kind: str
    resource: str
    """Resource name of what changed."""
    attributes: Mapping[str, str]


def record(tx: Transaction, kind: str, resource: str, /, **attributes: object) -> None:
    """Write an event with the change it tells of."""
    text = json.dumps({key: str(value) for key, value in attributes.items()}, ensure_ascii=False)
    tx.run(
        "INSERT INTO events (at, kind, resource, attributes) VALUES (?, ?, ?, ?)",
        [tx.now, kind, resource, text],
    )
    tx.notify(TOPIC)


def after(db: Reader, seq: int, limit: int) -> list[Event]:
    """The first `limit` events after a number."""
    rows = db.rows(
        "SELECT seq, at, kind, resource, attributes FROM events WHERE seq > ? ORDER BY seq LIMIT ?",
        [seq, limit],
    )
    return [Event(row[0], row[1], row[2], row[3], json.loads(row[4])) for row in rows]


def find(db: Reader, seq: int) -> Event:
    """Raises `NotFound`: its history may be gone."""
    found = after(db, seq - 1, 1) if 0 < seq <= MAX_SEQ else []
    if not found or found[0].seq != seq:
        raise NotFound(f"event {seq} is not kept", seq=seq)
    return found[0]


def bounds(db: Reader) -> tuple[int, int]:
    """First kept and last number; (1, 0) when nothing has happened."""
    row = db.row("SELECT min(seq), max(seq) FROM events")
    if row is None or row[0] is None:
        return 1, 0
    return row[0], row[1]
