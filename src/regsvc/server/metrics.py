"""MetricService."""

from __future__ import annotations

from collections.abc import AsyncIterator

from regsvc import refs
from regsvc.catalog.database import now_us
from regsvc.catalog.metrics import MetricPoint
from regsvc.content.comparison import Direction
from regsvc.errors import InvalidArgument
from regsvc.server import convert
from regsvc.server.context import Context
from regsvc.server.workers import Workers
from regsvc.service.app import RegistryApp
from regsvc.service.series import SeriesView
from regsvc.v1 import metric_pb2 as pb
from regsvc.v1 import metric_pb2_grpc
from regsvc.wire.values import microseconds, timestamp


class MetricServicer(metric_pb2_grpc.MetricServiceServicer):
    """Metrics over time."""

    def __init__(self, app: RegistryApp, control: Workers, bulk: Workers):
        self._series = app.series
        self._directions = app.directions
        self._limits = app.limits
        self._run = control.run
        self._bulk = bulk

    async def ListSeries(self, request: pb.ListSeriesRequest, context: Context) -> pb.ListSeriesResponse:
        found = await self._run(self._series.list, refs.source_from_wire(request.parent))
        return pb.ListSeriesResponse(series=map(_summary_to, found))

    async def ReadSeries(
        self, request: pb.ReadSeriesRequest, context: Context
    ) -> AsyncIterator[pb.ReadSeriesResponse]:
        owner = refs.source_from_wire(request.parent)
        pages = await self._bulk.run(
            self._series.read, owner, request.source, request.key, request.max_points
        )
        async for page in self._bulk.iterate(pages):
            for start in range(0, len(page), 10_000):
                yield pb.ReadSeriesResponse(
                    points=[
                        pb.SeriesPoint(step=step, value=value, time=timestamp(at))
                        for step, value, at in page[start : start + 10_000]
                    ]
                )

    async def AddEvaluation(
        self, request: pb.AddEvaluationRequest, context: Context
    ) -> pb.AddEvaluationResponse:
        convert.check_count(len(request.points), self._limits.max_metric_points, "points")
        now = now_us()
        points = [
            MetricPoint(
                point.key,
                point.value,
                point.step,
                microseconds(point.time) if point.HasField("time") else now,
            )
            for point in request.points
        ]
        ref = refs.version_from_wire(request.version)
        call = convert.request_of(request, "AddEvaluation")
        await self._run(self._series.evaluate, ref, request.source, points, call)
        return pb.AddEvaluationResponse()

    async def DefineMetric(
        self, request: pb.DefineMetricRequest, context: Context
    ) -> pb.DefineMetricResponse:
        asked = request.definition
        await self._run(
            self._directions.define,
            refs.model_from_wire(request.parent),
            asked.key,
            _direction_from(asked.direction),
            convert.request_of(request, "DefineMetric"),
        )
        return pb.DefineMetricResponse()

    async def ListMetricDefinitions(
        self, request: pb.ListMetricDefinitionsRequest, context: Context
    ) -> pb.ListMetricDefinitionsResponse:
        found = await self._run(self._directions.list, refs.model_from_wire(request.parent))
        return pb.ListMetricDefinitionsResponse(
            definitions=[
                pb.MetricDefinition(key=key, direction=direction.value)  # type: ignore[arg-type]
                for key, direction in found.items()
            ]
        )


def _direction_from(number: int) -> Direction:
    """Raises `InvalidArgument`."""
    try:
        return Direction(number)
    except ValueError:
        raise InvalidArgument(f"no direction has the number {number}", direction=number) from None


def _summary_to(view: SeriesView) -> pb.SeriesSummary:
    summary = view.summary
    message = pb.SeriesSummary(
        source=summary.source,
        key=summary.key,
        count=summary.count,
        first=summary.first,
        first_step=summary.first_step,
        last=summary.last,
        last_step=summary.last_step,
        last_time=timestamp(summary.last_at),
        min=summary.min,
        min_step=summary.min_step,
        max=summary.max,
        max_step=summary.max_step,
        direction=view.direction.value,  # type: ignore[arg-type]
    )
    if view.best is not None:
        message.best, message.best_step = view.best
    return message
