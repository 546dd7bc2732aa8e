"""Metric series of builds, and evaluations of versions: points, and a summary of each series kept with them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Literal

from regsvc.catalog import builds
from regsvc.catalog.builds import Build
from regsvc.catalog.database import Reader, Transaction

_SUMMARY = (
    "point_count, first_value, first_step, last_value, last_step, last_at,"
    " min_value, min_step, max_value, max_step"
)
_APPEND = "INSERT INTO {series} ({owner}, {summary}) VALUES ({places}) ON CONFLICT ({owner}) "
# SQLite's min and max of two are PostgreSQL's least and greatest. Of equal extremes the older one keeps its step.
_MERGE = (
    "DO UPDATE SET last_value = excluded.last_value, last_step = excluded.last_step, last_at = excluded.last_at,"
    " point_count = {series}.point_count + excluded.point_count,"
    " min_value = min({series}.min_value, excluded.min_value), max_value = max({series}.max_value, excluded.max_value),"
    " min_step = CASE WHEN excluded.min_value < {series}.min_value THEN excluded.min_step ELSE {series}.min_step END,"
    " max_step = CASE WHEN excluded.max_value > {series}.max_value THEN excluded.max_step ELSE {series}.max_step END"
)


def _upsert(series: str, owner: str) -> str:
    """Adds the summary of new points to the one of those before them."""
    places = ", ".join("?" * len(f"{owner}, {_SUMMARY}".split(",")))
    return (_APPEND + _MERGE).format(series=series, owner=owner, summary=_SUMMARY, places=places)


_APPEND_METRIC = _upsert("metric_series", "build_id, key")
_APPEND_EVALUATION = _upsert("evaluation_series", "version_id, source, key")


@dataclass(frozen=True)
class MetricPoint:
    """One value of a series."""

    key: str
    value: float
    step: int
    at: int
    """Microseconds since 1970."""


@dataclass(frozen=True)
class Summary:
    """A series without its points."""

    source: str
    """Who measured; empty for a build's own."""
    key: str
    count: int
    first: float
    """The value that came first."""
    first_step: int
    last: float
    """The value that came last."""
    last_step: int
    last_at: int
    min: float
    min_step: int
    """Of several that are the smallest the one that came first; likewise below."""
    max: float
    max_step: int


@dataclass(frozen=True)
class SeriesId:
    """A series, and whose."""

    owner: Literal["metric", "evaluation"]
    id: int
    count: int


def append(tx: Transaction, build: Build, points: Sequence[MetricPoint]) -> None:
    """Append points, in order."""
    revision = builds.next_revision(tx, build)
    summaries = summaries_of("", points)
    tx.run_many(
        _APPEND_METRIC,
        [(build.id, each.key, *_columns(each)) for each in summaries],
    )
    series: dict[str, int] = dict(
        tx.rows_in(
            "SELECT key, id FROM metric_series WHERE build_id = ? AND key IN ({})",
            [each.key for each in summaries],
            before=[build.id],
        )
    )
    tx.run_many(
        "INSERT INTO metric_points (series_id, build_id, revision, step, value, at) VALUES (?, ?, ?, ?, ?, ?)",
        [(series[point.key], build.id, revision, point.step, point.value, point.at) for point in points],
    )


def evaluate(tx: Transaction, version_id: int, source: str, points: Sequence[MetricPoint]) -> None:
    """Append points to the evaluations of a version, in order."""
    summaries = summaries_of(source, points)
    tx.run_many(
        _APPEND_EVALUATION,
        [(version_id, source, each.key, *_columns(each)) for each in summaries],
    )
    series: dict[str, int] = dict(
        tx.rows_in(
            "SELECT key, id FROM evaluation_series WHERE version_id = ? AND source = ? AND key IN ({})",
            [each.key for each in summaries],
            before=[version_id, source],
        )
    )
    tx.run_many(
        "INSERT INTO evaluation_points (series_id, step, value, at) VALUES (?, ?, ?, ?)",
        [(series[point.key], point.step, point.value, point.at) for point in points],
    )


def of_build(db: Reader, build_id: int) -> list[Summary]:
    """By key."""
    rows = db.rows(
        f"SELECT '', key, {_SUMMARY} FROM metric_series WHERE build_id = ? ORDER BY key",  # noqa: S608
        [build_id],
    )
    return [Summary(*row) for row in rows]


def of_version(db: Reader, version_id: int) -> list[Summary]:
    """Evaluations, by source and key."""
    rows = db.rows(
        f"SELECT source, key, {_SUMMARY} FROM evaluation_series WHERE version_id = ? ORDER BY source, key",  # noqa: S608
        [version_id],
    )
    return [Summary(*row) for row in rows]


def count_evaluations(db: Reader, version_id: int) -> int:
    """How many series a version's evaluations are."""
    return int(db.value("SELECT count(*) FROM evaluation_series WHERE version_id = ?", [version_id]))


def find_build_series(db: Reader, build_id: int, key: str) -> SeriesId | None:
    """A series of a build."""
    row = db.row("SELECT id, point_count FROM metric_series WHERE build_id = ? AND key = ?", [build_id, key])
    return None if row is None else SeriesId("metric", *row)


def series_of_build(db: Reader, build_id: int) -> dict[str, SeriesId]:
    """All series of a build by key."""
    rows = db.rows("SELECT key, id, point_count FROM metric_series WHERE build_id = ?", [build_id])
    return {key: SeriesId("metric", series_id, count) for key, series_id, count in rows}


def find_evaluation(db: Reader, version_id: int, source: str, key: str) -> SeriesId | None:
    """A series of a version's evaluations."""
    row = db.row(
        "SELECT id, point_count FROM evaluation_series WHERE version_id = ? AND source = ? AND key = ?",
        [version_id, source, key],
    )
    return None if row is None else SeriesId("evaluation", *row)


def points(
    db: Reader, series: SeriesId, after: tuple[int, int] | None, limit: int
) -> list[tuple[int, int, float, int]]:
    """(step, id, value, time) of the next points, by step and then as they came."""
    table, condition = f"{series.owner}_points", "" if after is None else " AND (step, id) > (?, ?)"
    rows = db.rows(
        f"SELECT step, id, value, at FROM {table} WHERE series_id = ?{condition} ORDER BY step, id LIMIT ?",  # noqa: S608
        [series.id, *(after or ()), limit],
    )
    return [(row[0], row[1], row[2], row[3]) for row in rows]


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


def add_series(tx: Transaction, build_id: int, summaries: Iterable[Summary]) -> None:
    """Make the series of a build that is made whole; their points are added by the caller."""
    tx.run_many(_APPEND_METRIC, [(build_id, each.key, *_columns(each)) for each in summaries])


def joined(before: Summary, after: Summary) -> Summary:
    """The summary of two stretches of one series."""
    lower, higher = after.min < before.min, after.max > before.max
    return replace(
        before,
        count=before.count + after.count,
        last=after.last,
        last_step=after.last_step,
        last_at=after.last_at,
        min=after.min if lower else before.min,
        min_step=after.min_step if lower else before.min_step,
        max=after.max if higher else before.max,
        max_step=after.max_step if higher else before.max_step,
    )


def summaries_of(source: str, points: Sequence[MetricPoint]) -> list[Summary]:
    """One for each key, of these points alone."""
    by_key: dict[str, list[MetricPoint]] = {}
    for point in points:
        by_key.setdefault(point.key, []).append(point)
    return [_summary(source, key, found) for key, found in by_key.items()]


def _summary(source: str, key: str, points: Sequence[MetricPoint]) -> Summary:
    first, last = points[0], points[-1]
    lowest, highest = min(points, key=_value), max(points, key=_value)  # the first of several
    return Summary(
        source,
        key,
        len(points),
        first.value,
        first.step,
        last.value,
        last.step,
        last.at,
        lowest.value,
        lowest.step,
        highest.value,
        highest.step,
    )


_value = attrgetter("value")


def _columns(summary: Summary) -> tuple[object, ...]:
    """In the order of `_SUMMARY`."""
    return (
        summary.count,
        summary.first,
        summary.first_step,
        summary.last,
        summary.last_step,
        summary.last_at,
        summary.min,
        summary.min_step,
        summary.max,
        summary.max_step,
    )
