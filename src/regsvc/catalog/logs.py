"""Log lines of builds, as compressed batches.

A batch is newline-delimited JSON, zstd-compressed. When a build has ended, its batches are joined into
one blob of the store, and each row keeps only where in the blob its lines are.
"""

from __future__ import annotations

from dataclasses import dataclass

from regsvc.catalog.builds import Build
from regsvc.catalog.database import Reader, Transaction

MOST_BATCHES = 256
"""Batches that are read at once; a quiet log has one line in each."""


@dataclass(frozen=True)
class LogBatch:
    """Consecutive lines of a log."""

    first_seq: int
    last_seq: int
    size: int
    """Bytes of its newline-delimited JSON."""
    payload: bytes | None
    """The JSON as one zstd frame, or None when it is in the blob."""
    blob_offset: int | None


def insert(tx: Transaction, build: Build, batch: LogBatch) -> None:
    """Append a batch, whose first line follows the last committed one."""
    tx.run(
        "INSERT INTO log_batches (build_id, first_seq, last_seq, size, payload) VALUES (?, ?, ?, ?, ?)",
        [build.id, batch.first_seq, batch.last_seq, batch.size, batch.payload],
    )


def batches(db: Reader, build_id: int, after_seq: int, most_bytes: int) -> list[LogBatch]:
    """The next batches that hold lines after a number, in order: at least one, if any, and about `most_bytes`."""
    sizes = db.rows(
        "SELECT last_seq, size FROM log_batches WHERE build_id = ? AND last_seq > ? AND first_seq >= coalesce("
        "(SELECT max(first_seq) FROM log_batches WHERE build_id = ? AND first_seq <= ?), 0)"
        " ORDER BY first_seq LIMIT ?",
        [build_id, after_seq, build_id, after_seq + 1, MOST_BATCHES],
    )
    last, total = 0, 0
    for last_seq, size in sizes:
        if last and total + size > most_bytes:
            break
        last, total = last_seq, total + size
    rows = db.rows(
        "SELECT first_seq, last_seq, size, payload, blob_offset FROM log_batches WHERE build_id = ?"
        " AND last_seq > ? AND last_seq <= ? ORDER BY first_seq",
        [build_id, after_seq, last],
    )
    return [LogBatch(*row) for row in rows]


def move_to_blob(tx: Transaction, build: Build, offsets: list[tuple[int, int]]) -> None:
    """Note that batches are in the build's blob now: (first_seq, offset of the batch in it)."""
    tx.run_many(
        "UPDATE log_batches SET payload = NULL, blob_offset = ? WHERE build_id = ? AND first_seq = ?",
        [(offset, build.id, first_seq) for first_seq, offset in offsets],
    )
