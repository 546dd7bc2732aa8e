"""BuildService."""

from __future__ import annotations

from collections.abc import AsyncIterator

from regsvc import refs
from regsvc.catalog import builds as catalog_builds
from regsvc.catalog.builds import BuildState, StepState
from regsvc.catalog.database import now_us
from regsvc.catalog.records import Metadata
from regsvc.errors import InvalidArgument
from regsvc.server import convert
from regsvc.server.context import Context
from regsvc.server.hub import Hub
from regsvc.server.logappend import LogAppend
from regsvc.server.logpages import LogPages
from regsvc.server.workers import Workers
from regsvc.service.app import RegistryApp
from regsvc.v1 import build_pb2 as pb
from regsvc.v1 import build_pb2_grpc
from regsvc.wire.values import timestamp

_STEP_ENDS = (pb.STEP_STATE_SUCCEEDED, pb.STEP_STATE_FAILED, pb.STEP_STATE_CANCELLED)
_BUILD_ENDS = (pb.BUILD_STATE_SUCCEEDED, pb.BUILD_STATE_FAILED, pb.BUILD_STATE_CANCELLED)


class BuildServicer(build_pb2_grpc.BuildServiceServicer):
    """Builds, their steps, metrics and logs."""

    def __init__(self, app: RegistryApp, workers: Workers, tails: Workers, hub: Hub, heartbeat: float):
        self._app = app
        self._pages = LogPages(app.logs, tails)
        self._watch = tails.run
        self._builds = app.builds
        self._logs = app.logs
        self._workers = workers
        self._run = workers.run
        self._hub = hub
        self._heartbeat = heartbeat

    async def CreateBuild(self, request: pb.CreateBuildRequest, context: Context) -> pb.CreateBuildResponse:
        self._hub.check()
        model = refs.model_from_wire(request.parent)
        call = convert.request_of(request, "CreateBuild")
        view = await self._run(self._builds.create, model, convert.metadata_from(request.metadata), call)
        return pb.CreateBuildResponse(build=convert.build_to(view))

    async def GetBuild(self, request: pb.GetBuildRequest, context: Context) -> pb.GetBuildResponse:
        view = await self._run(self._builds.get, refs.build_from_wire(request.name))
        return pb.GetBuildResponse(build=convert.build_to(view))

    async def ListBuilds(self, request: pb.ListBuildsRequest, context: Context) -> pb.ListBuildsResponse:
        model = refs.model_from_wire(request.parent)
        page = await self._run(self._builds.list_builds, model, convert.page_request(request))
        return pb.ListBuildsResponse(
            builds=[convert.build_to(view) for view in page.items], next_page_token=page.next_token
        )

    async def Heartbeat(self, request: pb.HeartbeatRequest, context: Context) -> pb.HeartbeatResponse:
        cancel, until = await self._run(self._builds.heartbeat, refs.build_from_wire(request.build))
        return pb.HeartbeatResponse(cancel_requested=cancel, expire_time=timestamp(until))

    async def StartStep(self, request: pb.StartStepRequest, context: Context) -> pb.StartStepResponse:
        name = refs.build_from_wire(request.build)
        call = convert.request_of(request, "StartStep")
        step = await self._run(self._builds.start_step, name, request.step, call)
        return pb.StartStepResponse(step=convert.step_to(step))

    async def FinishStep(self, request: pb.FinishStepRequest, context: Context) -> pb.FinishStepResponse:
        if request.state not in _STEP_ENDS:
            raise InvalidArgument("a step ends as SUCCEEDED, FAILED or CANCELLED")
        name, state = refs.build_from_wire(request.build), StepState(request.state)
        step = await self._run(self._builds.finish_step, name, request.number, state, request.reason)
        return pb.FinishStepResponse(step=convert.step_to(step))

    async def LogParams(self, request: pb.LogParamsRequest, context: Context) -> pb.LogParamsResponse:
        data = Metadata(params=convert.params_from(request.params), tags=convert.tags_from(request.tags))
        await self._run(self._builds.log_params, refs.build_from_wire(request.build), data)
        return pb.LogParamsResponse()

    async def LogMetrics(self, request: pb.LogMetricsRequest, context: Context) -> pb.LogMetricsResponse:
        convert.check_count(len(request.points), self._app.limits.max_metric_points, "points")
        now = now_us()
        points = [convert.point_from(point, now) for point in request.points]
        name = refs.build_from_wire(request.build)
        await self._run(self._builds.log_metrics, name, points, convert.request_of(request, "LogMetrics"))
        return pb.LogMetricsResponse()

    async def AppendLog(
        self, requests: AsyncIterator[pb.AppendLogRequest], context: Context
    ) -> AsyncIterator[pb.AppendLogResponse]:
        append = LogAppend(self._logs, self._app.limits, self._workers, self._hub)
        async for response in append.responses(requests):
            yield response

    async def ReadLog(
        self, request: pb.ReadLogRequest, context: Context
    ) -> AsyncIterator[pb.ReadLogResponse]:
        name, seq = refs.build_from_wire(request.build), request.after_seq
        with self._hub.subscribe(catalog_builds.topic(name)) as changes:
            while True:
                page = await self._pages.read(name, seq, request.step)
                for message in page.messages:
                    yield message
                moved, seq = page.seq > seq, page.seq
                if page.ended or (not request.follow and not moved):
                    return
                if not moved and not await changes.wait(self._heartbeat):
                    yield pb.ReadLogResponse(seq=seq)

    async def WatchBuild(
        self, request: pb.WatchBuildRequest, context: Context
    ) -> AsyncIterator[pb.WatchBuildResponse]:
        name, seq, log_seq = refs.build_from_wire(request.build), request.after_seq, -1
        with self._hub.subscribe(catalog_builds.topic(name)) as changes:
            while True:
                found = await self._watch(self._builds.changes, name, seq)
                final = found.ended and found.complete
                if found.seq > seq or found.log_seq != log_seq or final:
                    seq, log_seq = found.seq, found.log_seq
                    yield pb.WatchBuildResponse(
                        seq=seq,
                        build=None if found.view is None else convert.build_to(found.view),
                        steps=[convert.step_to(step) for step in found.steps],
                        metrics=[convert.point_to(point) for point in found.points],
                        log_seq=log_seq,
                        final=final,
                    )
                if final:
                    return
                if found.complete and not await changes.wait(self._heartbeat):
                    yield pb.WatchBuildResponse(seq=seq)

    async def CancelBuild(self, request: pb.CancelBuildRequest, context: Context) -> pb.CancelBuildResponse:
        view = await self._run(self._builds.cancel, refs.build_from_wire(request.name))
        return pb.CancelBuildResponse(build=convert.build_to(view))

    async def FinishBuild(self, request: pb.FinishBuildRequest, context: Context) -> pb.FinishBuildResponse:
        if request.state not in _BUILD_ENDS:
            raise InvalidArgument("a build ends as SUCCEEDED, FAILED or CANCELLED")
        name, state = refs.build_from_wire(request.name), BuildState(request.state)
        view = await self._run(self._builds.finish, name, state, request.reason)
        self._app.housekeeping.wake()
        return pb.FinishBuildResponse(build=convert.build_to(view))
