"""Metrics: series, evaluations, and which values are better."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime

from regsvc import refs
from regsvc.client import evaluation, series
from regsvc.client.series import MetricSummary, MetricValue
from regsvc.client.verbs.connections import Connections
from regsvc.content.comparison import Direction


class Metrics(Connections):
    """Those methods of `Client`."""

    def metrics(self, ref: str) -> list[MetricSummary]:
        """The metric series of a version or build with their summaries, by source and key. Raises `NotFound`."""
        connection, owner = self._source(ref)
        return series.list_series(connection, owner)

    def series(
        self, ref: str, key: str, *, source: str = "", max_points: int | None = None
    ) -> list[MetricValue]:
        """The points of one series by step; with `max_points` those that show its shape best.

        `source` is who measured; the build's own by default. Raises `NotFound`, `InvalidArgument`.
        """
        connection, owner = self._source(ref)
        return series.read_series(connection, owner, key, source, max_points)

    def evaluate(
        self,
        ref: str,
        source: str,
        metrics: Mapping[str, float | Mapping[int, float]],
        *,
        step: int = 0,
        time: datetime | None = None,
    ) -> None:
        """Add metrics that were measured after publication, under the name of who measured.

        Each is a value, measured at `step`, or values by step. A thousand points go in one call, all of them or
        none. What was sealed with the version does not change. Raises `NotFound`, `MetricNotFinite`,
        `InvalidArgument`, `ResourceExhausted` (more than 2,000 series).
        """
        reference = refs.parse_reference(ref)
        points = evaluation.points_of(metrics, step, time)
        evaluation.add(self._connection(reference.server), reference.version, source, points)

    def evaluate_file(self, ref: str, source: str, file: str | os.PathLike[str]) -> int:
        """Add the metrics in a file, all of which is read first; gives the number of points.

        The file is CSV whose first line names its columns, or has a JSON object a line: `key` and `value`, perhaps
        `step` and `time` (ISO 8601). Raises as `evaluate`, naming the line that is wrong, and `OSError`.
        """
        reference = refs.parse_reference(ref)
        points = evaluation.read_points(file)
        evaluation.add(self._connection(reference.server), reference.version, source, points)
        return len(points)

    def define_metric(self, model: str, key: str, direction: str | Direction) -> None:
        """Say whether `higher` or `lower` values of a model's metric are better; `unknown` takes that back.

        It is believed over what the name suggests, also for points that are there already. Raises
        `InvalidArgument`, `ResourceExhausted` (more than 2,000 in a model).
        """
        series.define_metric(*self._model(model), key, direction)

    def metric_definitions(self, model: str) -> dict[str, Direction]:
        """What was defined for a model's metrics, by key. Raises `NotFound`."""
        return series.metric_definitions(*self._model(model))
