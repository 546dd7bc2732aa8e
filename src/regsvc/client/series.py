"""Metrics over time, over the wire."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from regsvc import refs
from regsvc.client.connection import Connection, translate
from regsvc.client.params import check_metric
from regsvc.client.records import time_from
from regsvc.client.resume import resumed
from regsvc.errors import RegsvcError
from regsvc.v1 import metric_pb2


@dataclass(frozen=True)
class MetricSummary:
    """A series of a metric without its points."""

    source: str
    """Who measured; empty for the build's own."""
    key: str
    count: int
    last: float
    """The value that came last."""
    last_step: int
    last_time: datetime
    min: float
    max: float


@dataclass(frozen=True)
class MetricValue:
    """One point of a series."""

    step: int
    value: float
    time: datetime


def list_series(connection: Connection, owner: refs.VersionRef | refs.BuildName) -> list[MetricSummary]:
    """By source and key. Raises `NotFound`."""
    request = metric_pb2.ListSeriesRequest(parent=owner.wire)
    return [
        MetricSummary(
            each.source,
            each.key,
            each.count,
            each.last,
            each.last_step,
            time_from(each.last_time),
            each.min,
            each.max,
        )
        for each in connection.call(connection.metrics.ListSeries, request).series
    ]


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


def add_evaluation(
    connection: Connection,
    ref: refs.VersionRef,
    source: str,
    metrics: Mapping[str, float],
    step: int,
    time: datetime | None,
) -> None:
    """Raises as `Client.evaluate` says."""
    request = metric_pb2.AddEvaluationRequest(version=ref.wire, source=source, request_id=uuid.uuid4().hex)
    for key, value in metrics.items():
        point = request.points.add(key=key, value=check_metric(key, value), step=step)
        if time is not None:
            point.time.FromDatetime(time)
    connection.call(connection.metrics.AddEvaluation, request)


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
