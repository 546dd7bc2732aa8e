"""Calls of MetricService, and of LogMetrics, that several tests make."""

from __future__ import annotations

from collections.abc import Sequence

from server.wire import LIMIT, Wire, name_of

from regsvc.v1 import build_pb2 as bld
from regsvc.v1 import compare_pb2, metric_pb2_grpc
from regsvc.v1 import metric_pb2 as pb

UNSPECIFIED = compare_pb2.METRIC_DIRECTION_UNSPECIFIED
HIGHER = compare_pb2.METRIC_DIRECTION_HIGHER
LOWER = compare_pb2.METRIC_DIRECTION_LOWER


def stub(wire: Wire) -> metric_pb2_grpc.MetricServiceStub:
    """MetricService."""
    return metric_pb2_grpc.MetricServiceStub(wire.channel)


def log(wire: Wire, build: str, points: Sequence[tuple[str, int, float]]) -> None:
    """LogMetrics of (key, step, value), a thousand at a time."""
    for start in range(0, len(points), 1000):
        some = [
            bld.MetricPoint(key=key, step=step, value=value)
            for key, step, value in points[start : start + 1000]
        ]
        wire.builds.LogMetrics(bld.LogMetricsRequest(build=build, points=some), timeout=LIMIT)


def read(wire: Wire, parent: str, key: str, **fields: object) -> list[tuple[int, float]]:
    """ReadSeries."""
    request = pb.ReadSeriesRequest(parent=parent, key=key, **fields)  # type: ignore[arg-type]
    return [
        (point.step, point.value)
        for message in stub(wire).ReadSeries(request, timeout=LIMIT)
        for point in message.points
    ]


def summaries(wire: Wire, parent: str) -> dict[tuple[str, str], pb.SeriesSummary]:
    """ListSeries by (source, key)."""
    found = stub(wire).ListSeries(pb.ListSeriesRequest(parent=parent), timeout=LIMIT).series
    return {(each.source, each.key): each for each in found}


def define(wire: Wire, model: str, key: str, direction: int, request_id: str = "") -> None:
    """DefineMetric."""
    request = pb.DefineMetricRequest(
        parent=name_of(model),
        definition=pb.MetricDefinition(key=key, direction=direction),  # type: ignore[arg-type]
        request_id=request_id,
    )
    stub(wire).DefineMetric(request, timeout=LIMIT)


def definitions(wire: Wire, model: str) -> dict[str, int]:
    """ListMetricDefinitions."""
    request = pb.ListMetricDefinitionsRequest(parent=name_of(model))
    return {
        each.key: each.direction
        for each in stub(wire).ListMetricDefinitions(request, timeout=LIMIT).definitions
    }


def evaluate(wire: Wire, version: str, source: str, request_id: str = "", **metrics: float) -> None:
    """AddEvaluation."""
    points = [pb.EvaluationPoint(key=key, value=value, step=7) for key, value in metrics.items()]
    request = pb.AddEvaluationRequest(version=version, source=source, points=points, request_id=request_id)
    stub(wire).AddEvaluation(request, timeout=LIMIT)
