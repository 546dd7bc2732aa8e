"""Metrics that were measured after publication: given in code, or in files that monitoring jobs write."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeAlias

from regsvc import refs
from regsvc.client.connection import Connection
from regsvc.client.params import check_metric, check_step
from regsvc.errors import InvalidArgument, RegsvcError
from regsvc.v1 import metric_pb2

Values: TypeAlias = float | Mapping[int, float]
"""A value, or values by step."""

_COLUMNS = ("key", "step", "value", "time")


@dataclass(frozen=True)
class EvaluationPoint:
    """One value of one metric."""

    key: str
    value: float
    step: int = 0
    time: datetime | None = None
    """When it was measured; None is the server's time."""


def points_of(metrics: Mapping[str, Values], step: int, time: datetime | None) -> list[EvaluationPoint]:
    """Points of values by metric. Raises `MetricNotFinite`, `InvalidArgument`."""
    return [
        EvaluationPoint(key, check_metric(key, value), check_step(at), time)
        for key, values in metrics.items()
        for at, value in (values.items() if isinstance(values, Mapping) else [(step, values)])
    ]


def read_points(file: str | os.PathLike[str]) -> list[EvaluationPoint]:
    """Points of a CSV file whose first line names its columns, or of a file with a JSON object a line.

    Each has a `key` and a `value`, and may have a `step` and a `time` (ISO 8601, in UTC when it names no zone).
    Raises `InvalidArgument` and `MetricNotFinite`, naming the line, and `OSError`.
    """
    name = os.path.basename(os.fspath(file))
    # What is no UTF-8 becomes surrogates, which no metric's name may have.
    with open(file, encoding="utf-8-sig", errors="surrogateescape") as opened:
        lines = [(number, text) for number, line in enumerate(opened, 1) if (text := line.strip())]
    fields: Callable[[str], Mapping[str, Any]] = _object
    if lines and not lines[0][1].startswith("{"):
        number, header = lines.pop(0)
        with _in_line(name, number):
            fields = partial(_row, _header(header))
    points = []
    for number, text in lines:
        with _in_line(name, number):
            points.append(_point(fields(text)))
    return points


def add(connection: Connection, ref: refs.VersionRef, source: str, points: Sequence[EvaluationPoint]) -> None:
    """Add points, as many in a call as the server takes. Raises as `Client.evaluate` says."""
    if not points:
        raise InvalidArgument("an evaluation has points")
    most = connection.capabilities().max_metric_points
    for start in range(0, len(points), most):
        request = metric_pb2.AddEvaluationRequest(
            version=ref.wire, source=source, request_id=uuid.uuid4().hex
        )
        for point in points[start : start + most]:
            added = request.points.add(key=point.key, value=point.value, step=point.step)
            if point.time is not None:
                added.time.FromDatetime(point.time)
        try:
            connection.call(connection.metrics.AddEvaluation, request)
        except RegsvcError as error:
            if start == 0:
                raise
            where = f"after {start} of {len(points)} points had been added"
            raise _told(error, where) from None


@contextlib.contextmanager
def _in_line(name: str, number: int) -> Iterator[None]:
    """Name the file and the line in what is raised."""
    try:
        yield
    except InvalidArgument as error:
        raise _told(error, f"{name}, line {number}") from None


def _told(error: RegsvcError, where: str) -> RegsvcError:
    """The same error, saying where."""
    found = type(error)(f"{where}: {error.message}", retry_after=error.retry_after)
    found.metadata = error.metadata
    return found


def _header(text: str) -> Sequence[str]:
    """The columns, which may stand in any order. Raises `InvalidArgument`."""
    columns = [cell.strip() for cell in _cells(text)]
    if {"key", "value"} <= set(columns) <= set(_COLUMNS) and len(columns) == len(set(columns)):
        return columns
    raise InvalidArgument(f"the columns are {', '.join(_COLUMNS)}, of which step and time may be left out")


def _row(columns: Sequence[str], text: str) -> Mapping[str, str]:
    """The cells of a line of CSV that are not empty. Raises `InvalidArgument`."""
    cells = _cells(text)
    if len(cells) != len(columns):
        raise InvalidArgument(f"{len(cells)} cells, where {len(columns)} belong")
    return {column: cell.strip() for column, cell in zip(columns, cells, strict=True) if cell.strip()}


def _cells(text: str) -> list[str]:
    try:
        return next(csv.reader([text], strict=True))
    except csv.Error as error:
        raise InvalidArgument(f"no CSV: {error}") from None


def _object(text: str) -> Mapping[str, Any]:
    """The fields of a line of JSON. Raises `InvalidArgument`."""
    try:
        found = json.loads(text)
    except ValueError as error:
        raise InvalidArgument(f"no JSON: {error}") from None
    if not isinstance(found, dict) or not {"key", "value"} <= found.keys() <= set(_COLUMNS):
        raise InvalidArgument(
            f"not an object of {', '.join(_COLUMNS)}, of which step and time may be left out"
        )
    return found


def _point(fields: Mapping[str, Any]) -> EvaluationPoint:
    """Raises `InvalidArgument`, `MetricNotFinite`."""
    key = fields.get("key", "")
    value = check_metric(key, fields.get("value", ""))
    step = check_step(str(fields.get("step", 0)))  # a text, so that 1.5 is no step
    return EvaluationPoint(key, value, step, _time(fields.get("time")))


def _time(text: Any) -> datetime | None:
    """Raises `InvalidArgument`."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise InvalidArgument(f"{text!r} is no time such as 2025-01-31T12:00:00Z") from None
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    if aware.timestamp() < 0:
        raise InvalidArgument(f"{text} is before 1970")
    return aware
