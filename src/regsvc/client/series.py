"""Metrics over time, over the wire."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from regsvc import refs
from regsvc.client.connection import Connection, translate
from regsvc.client.params import check_direction, check_key
from regsvc.client.records import time_from
from regsvc.client.resume import resumed
from regsvc.content.comparison import Direction
from regsvc.errors import RegsvcError
from regsvc.v1 import metric_pb2
from regsvc.wire.comparison import direction_from


@dataclass(frozen=True, kw_only=True)
class MetricSummary:
    """A series of a metric without its points."""

    source: str
    """Who measured; empty for the build's own."""
    key: str
    count: int
    first: float
    """The value that came first."""
    first_step: int
    last: float
    """The value that came last."""
    last_step: int
    last_time: datetime
    min: float
    min_step: int
    """Of several that are the smallest the one that came first; likewise below."""
    max: float
    max_step: int
    direction: Direction
    """As defined for the model, else guessed from the name."""
    best: float | None
    """`max` or `min`, by the direction; None when that is not known."""
    best_step: int | None


@dataclass(frozen=True)
class MetricValue:
    """One point of a series."""

    step: int
    value: float
    time: datetime


def list_series(connection: Connection, owner: refs.VersionRef | refs.BuildName) -> list[MetricSummary]:
    """By source and key. Raises `NotFound`."""
    request = metric_pb2.ListSeriesRequest(parent=owner.wire)
    found = connection.call(connection.metrics.ListSeries, request).series
    return [_summary_from(each) for each in found]


def read_series(
    connection: Connection,
    owner: refs.VersionRef | refs.BuildName,
    key: str,
    source: str,
    max_points: int | None,
) -> list[MetricValue]:
    """By step. Raises `NotFound`, `InvalidArgument`."""
    request = metric_pb2.ReadSeriesRequest(
        parent=owner.wire, source=source, key=key, max_points=max_points or 0
    )
    reading = _Reading(connection, request)
    for _ in resumed(reading, translate=lambda error: translate(error, connection.target)):
        pass
    return reading.found


def define_metric(
    connection: Connection, model: refs.ModelName, key: str, direction: str | Direction
) -> None:
    """Raises as `Client.define_metric` says."""
    request = metric_pb2.DefineMetricRequest(parent=model.wire, request_id=uuid.uuid4().hex)
    request.definition.key = check_key("metric", key)
    request.definition.direction = check_direction(direction).value  # type: ignore[assignment]
    connection.call(connection.metrics.DefineMetric, request)


def metric_definitions(connection: Connection, model: refs.ModelName) -> dict[str, Direction]:
    """By key. Raises `NotFound`."""
    request = metric_pb2.ListMetricDefinitionsRequest(parent=model.wire)
    found = connection.call(connection.metrics.ListMetricDefinitions, request).definitions
    return {each.key: direction_from(each.direction) for each in found}


class _Reading:
    """Strategy of `resumed`: begins again, since points may have come in between."""

    def __init__(self, connection: Connection, request: Any) -> None:
        self.found: list[MetricValue] = []
        self._connection = connection
        self._request = request

    def open(self) -> Any:
        self.found = []
        return self._connection.metrics.ReadSeries(self._request)

    def take(self, response: Any) -> tuple[()]:
        self.found += [
            MetricValue(point.step, point.value, time_from(point.time)) for point in response.points
        ]
        return ()

    def recover(self, error: RegsvcError) -> None:
        """Nothing to learn."""

    def progress(self) -> int:
        return len(self.found)


def _summary_from(message: Any) -> MetricSummary:
    known = message.HasField("best")
    return MetricSummary(
        source=message.source,
        key=message.key,
        count=message.count,
        first=message.first,
        first_step=message.first_step,
        last=message.last,
        last_step=message.last_step,
        last_time=time_from(message.last_time),
        min=message.min,
        min_step=message.min_step,
        max=message.max,
        max_step=message.max_step,
        direction=direction_from(message.direction),
        best=message.best if known else None,
        best_step=message.best_step if known else None,
    )
