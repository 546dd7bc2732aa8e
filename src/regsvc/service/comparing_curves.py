"""Metrics over time side by side: the series of the builds, by few points each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from regsvc.catalog import metrics
from regsvc.catalog.database import Catalog
from regsvc.catalog.metrics import SeriesId
from regsvc.content.comparison import Curve, SeriesRow
from regsvc.service.comparing_sides import Side
from regsvc.service.series import Series

MOST_READ = 4_000_000
"""Points that are chosen from for one answer."""
NO_CURVE = Curve((), ())


class Curves:
    """The curves of one comparison."""

    def __init__(self, catalog: Catalog, series: Series, points: int):
        self._catalog = catalog
        self._series = series
        self._points = points
        self._left = MOST_READ
        self.notes: list[str] = []

    def rows(self, sides: Sequence[Side]) -> Iterator[SeriesRow]:
        """By key, those that have more than one point in some subject."""
        tables = [self._listed(side) for side in sides]
        keys = sorted({key for table in tables for key, series in table.items() if series.count > 1})
        for key in keys:
            chosen = [table.get(key) for table in tables]
            need = sum(series.count for series in chosen if series is not None)
            if need > self._left:
                self.notes = [f"curves with more than {MOST_READ} points together are left out"]
                continue
            self._left -= need
            yield SeriesRow(key, [NO_CURVE if series is None else self._curve(series) for series in chosen])

    def _listed(self, side: Side) -> dict[str, SeriesId]:
        if side.build_id is None:
            return {}
        build_id = side.build_id
        return self._catalog.read(lambda db: metrics.series_of_build(db, build_id))

    def _curve(self, series: SeriesId) -> Curve:
        points = self._series.thinned(series, self._points)
        return Curve([step for step, _, _ in points], [value for _, value, _ in points])
