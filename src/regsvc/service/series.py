"""Metrics over time: series of builds, evaluations of versions, whole or as few points that show their shape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tsdownsample import LTTBDownsampler

from regsvc.catalog import builds, events, metrics, models, requests, versions
from regsvc.catalog.database import Catalog, Reader, Transaction
from regsvc.catalog.metrics import MetricPoint, SeriesId, Summary
from regsvc.catalog.requests import Request
from regsvc.content.comparison import Direction
from regsvc.errors import InvalidArgument, NotFound, ResourceExhausted
from regsvc.refs import BuildName, VersionRef
from regsvc.service.checks import check_finite, check_key, check_step_name, check_time
from regsvc.service.directions import directions
from regsvc.service.limits import Limits

Source = VersionRef | BuildName
Point = tuple[int, float, int]
"""(step, value, time)"""

MAX_SERIES = 2_000
"""Series of a version's evaluations."""
MAX_CHOICE = 4_000_000
"""Points to choose a few from: 24 bytes each in memory."""
MAX_TOLD = 20
"""Metrics whose last value the event of an evaluation has, for filters such as of triggers."""
_PAGE = 10_000


@dataclass(frozen=True)
class SeriesView:
    """A series, and which of its values are the better ones."""

    summary: Summary
    direction: Direction

    @property
    def best(self) -> tuple[float, int] | None:
        """The best value and its step, or None when nobody knows which that is."""
        match self.direction:
            case Direction.HIGHER:
                return self.summary.max, self.summary.max_step
            case Direction.LOWER:
                return self.summary.min, self.summary.min_step
            case _:
                return None


class Series:
    """What `MetricService` does with points."""

    def __init__(self, catalog: Catalog, limits: Limits):
        self._catalog = catalog
        self._limits = limits

    def list(self, owner: Source) -> Sequence[SeriesView]:
        """By source and key; a version's own are its build's. Raises `NotFound`."""
        return self._catalog.read(lambda db: _list(db, owner))

    def read(self, owner: Source, source: str, key: str, max_points: int) -> Iterator[Sequence[Point]]:
        """Points by step, some at a time; `max_points` of them, or all. Errors as ReadSeries documents."""
        if max_points == 1:
            raise InvalidArgument("max_points is 0, or 2 and more", max_points=max_points)
        series = self._catalog.read(lambda db: _find(db, owner, source, key))
        if series is None:
            shown = f"'{key[:60]}' of '{source[:60]}'" if source else f"'{key[:60]}'"
            raise NotFound(f"{owner} has no metric {shown}", key=key[:60])
        if 0 < max_points < series.count:
            return iter([self._chosen(series, max_points)])
        return self._pages(series)

    def thinned(self, series: SeriesId, max_points: int) -> Sequence[Point]:
        """At most `max_points` of a series, those that show its shape best. Raises `ResourceExhausted`."""
        if max_points < series.count:
            return self._chosen(series, max_points)
        return [point for page in self._pages(series) for point in page][:max_points]

    def evaluate(self, ref: VersionRef, source: str, points: Sequence[MetricPoint], request: Request) -> None:
        """Add to a version's evaluations. Errors as AddEvaluation documents."""
        if len(points) > self._limits.max_metric_points:
            limit = self._limits.max_metric_points
            raise ResourceExhausted(f"{len(points)} points, at most {limit}", limit=limit)
        if not points:
            raise InvalidArgument("an evaluation has points")
        check_step_name(source, "source")
        for point in points:
            check_key(point.key, self._limits)
            check_time(point.at, f"a point of '{point.key}'")
        check_finite((point.key, point.value) for point in points)
        last = {point.key: point.value for point in points}

        def add(tx: Transaction) -> None:
            if requests.replay(tx, request) is not None:
                return
            version = versions.find(tx, ref)
            metrics.evaluate(tx, version.id, source, points)
            if metrics.count_evaluations(tx, version.id) > MAX_SERIES:
                raise ResourceExhausted(
                    f"{version.ref} has more than {MAX_SERIES} series of evaluations", limit=MAX_SERIES
                )
            models.touch(tx, models.find_id(tx, version.model))
            told = {f"metric.{key}": value for key, value in list(last.items())[:MAX_TOLD]}
            events.record(
                tx, "version.evaluated", version.ref.wire, source=source, points=len(points), **told
            )
            requests.remember(tx, request, version.ref.wire)

        self._catalog.write(add)

    def _pages(self, series: SeriesId) -> Iterator[Sequence[Point]]:
        after: tuple[int, int] | None = None
        while True:
            rows = self._catalog.read(lambda db: metrics.points(db, series, after, _PAGE))  # noqa: B023
            if not rows:
                return
            yield [(step, value, at) for step, _, value, at in rows]
            after = rows[-1][0], rows[-1][1]

    def _chosen(self, series: SeriesId, count: int) -> Sequence[Point]:
        """Largest-Triangle-Three-Buckets (Steinarsson 2013), by tsdownsample."""
        if series.count > MAX_CHOICE:
            raise ResourceExhausted(
                f"{series.count} points to choose from, at most {MAX_CHOICE}", limit=MAX_CHOICE
            )
        steps, values, times = (np.zeros(series.count, kind) for kind in (np.int64, np.float64, np.int64))
        filled = 0
        for page in self._pages(series):
            # More may have come meanwhile: the picture is of what there was.
            taken = page[: series.count - filled]
            if not taken:
                break
            end = filled + len(taken)
            steps[filled:end], values[filled:end], times[filled:end] = zip(*taken, strict=True)
            filled = end
        # It wants ascending positions, and steps may be equal: the order of the points is one.
        downsampler: Any = LTTBDownsampler
        chosen = downsampler().downsample(
            _positions(steps[:filled]), values[:filled], n_out=min(count, filled)
        )
        return [(int(steps[i]), float(values[i]), int(times[i])) for i in chosen]


def _positions(steps: np.ndarray) -> np.ndarray:
    """The steps, if all differ, else the places of the points."""
    if np.all(np.diff(steps) > 0):
        return steps.astype(np.float64)
    return np.arange(len(steps), dtype=np.float64)


def _list(db: Reader, owner: Source) -> Sequence[SeriesView]:
    found = _summaries(db, owner)
    better = directions(db, owner.model, (each.key for each in found))
    return [SeriesView(each, better[each.key]) for each in found]


def _summaries(db: Reader, owner: Source) -> Sequence[Summary]:
    if isinstance(owner, BuildName):
        return metrics.of_build(db, builds.find(db, owner).id)
    version = versions.find(db, owner)
    own = [] if version.build is None else metrics.of_build(db, builds.find(db, version.build).id)
    return [*own, *metrics.of_version(db, version.id)]


def _find(db: Reader, owner: Source, source: str, key: str) -> SeriesId | None:
    if isinstance(owner, BuildName):
        return None if source else metrics.find_build_series(db, builds.find(db, owner).id, key)
    version = versions.find(db, owner)
    if source:
        return metrics.find_evaluation(db, version.id, source, key)
    return (
        None
        if version.build is None
        else metrics.find_build_series(db, builds.find(db, version.build).id, key)
    )
