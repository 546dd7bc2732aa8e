"""Metric series of builds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from regsvc.catalog import builds
from regsvc.catalog.builds import Build
from regsvc.catalog.database import Reader, Transaction


@dataclass(frozen=True)
class MetricPoint:
    """One value of a series."""

    key: str
    value: float
    step: int
    at: int
    """Microseconds since 1970."""


def append(tx: Transaction, build: Build, points: Sequence[MetricPoint]) -> None:
    """Append points, in order."""
    revision = builds.next_revision(tx, build)
    last = {point.key: point.value for point in points}
    tx.run_many(
        "INSERT INTO metric_series (build_id, key, last_value) VALUES (?, ?, ?)"
        " ON CONFLICT (build_id, key) DO UPDATE SET last_value = excluded.last_value",
        [(build.id, key, value) for key, value in last.items()],
    )
    series: dict[str, int] = dict(
        tx.rows_in(
            "SELECT key, id FROM metric_series WHERE build_id = ? AND key IN ({})",
            list(last),
            before=[build.id],
        )
    )
    tx.run_many(
        "INSERT INTO metric_points (series_id, build_id, revision, step, value, at) VALUES (?, ?, ?, ?, ?, ?)",
        [(series[point.key], build.id, revision, point.step, point.value, point.at) for point in points],
    )


def after(db: Reader, build_id: int, revision: int, limit: int) -> tuple[list[MetricPoint], int | None]:
    """Points after a revision, in order.

    When there are more than `limit`, they end with a whole revision, which is given too; else None is.
    """
    rows = db.rows(
        "SELECT p.revision, s.key, p.value, p.step, p.at FROM metric_points p"
        " JOIN metric_series s ON s.id = p.series_id"
        " WHERE p.build_id = ? AND p.revision > ? ORDER BY p.revision, p.id LIMIT ?",
        [build_id, revision, limit + 1],
    )
    if len(rows) <= limit:
        return [MetricPoint(*row[1:]) for row in rows], None
    begun = rows[-1][0]
    whole = [row for row in rows if row[0] < begun]
    return [MetricPoint(*row[1:]) for row in whole], whole[-1][0]
