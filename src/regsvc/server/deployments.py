"""DeploymentService."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from regsvc import refs
from regsvc.catalog.deployments import Deployment, Hello, Report, State
from regsvc.errors import InvalidArgument, Superseded
from regsvc.refs import AliasName, DeploymentName, ModelName
from regsvc.server import convert
from regsvc.server.context import Context
from regsvc.server.hub import Hub, Subscription
from regsvc.server.workers import Workers
from regsvc.service.app import RegistryApp
from regsvc.service.deployments import DEFAULT_LEASE, Target
from regsvc.v1 import deployment_pb2 as pb
from regsvc.v1 import deployment_pb2_grpc
from regsvc.wire.values import timestamp

HELLO_WITHIN = 30.0
"""Seconds after which a stream whose follower says nothing is ended."""


class DeploymentServicer(deployment_pb2_grpc.DeploymentServiceServicer):
    """Followers and their inventory."""

    def __init__(self, app: RegistryApp, workers: Workers, tails: Workers, hub: Hub, heartbeat: float):
        self._deployments = app.deployments
        self._run = workers.run
        self._tail = tails.run
        self._hub = hub
        self._heartbeat = heartbeat
        self._streams: dict[int, _Stream] = {}  # the newest of each deployment, by id

    async def Follow(
        self, requests: AsyncIterator[pb.FollowRequest], context: Context
    ) -> AsyncIterator[pb.FollowResponse]:
        try:
            async with asyncio.timeout(HELLO_WITHIN):
                first = await anext(aiter(requests), None)
        except TimeoutError:
            first = None
        if first is None or not first.HasField("hello"):
            raise InvalidArgument("the first message of a follower says hello")
        hello = _hello_from(first.hello)
        with self._hub.subscribe(hello.alias.wire) as moves:
            deployment_id = await self._run(
                self._deployments.enter, hello, _report_from(first.hello.report, hello.name.model)
            )
            stream = _Stream(moves)
            self._supersede(deployment_id, stream)
            reading = asyncio.ensure_future(self._read(requests, deployment_id, hello, stream))
            try:
                async for target in self._targets(hello.alias, stream, reading):
                    yield pb.FollowResponse(target=target)
            finally:
                reading.cancel()
                await asyncio.wait({reading})
                if self._streams.get(deployment_id) is stream:
                    del self._streams[deployment_id]

    def _supersede(self, deployment_id: int, stream: _Stream) -> None:
        older = self._streams.get(deployment_id)
        self._streams[deployment_id] = stream
        if older is not None:
            older.superseded = True
            older.moves.wake()

    async def _targets(
        self, alias: AliasName, stream: _Stream, reading: asyncio.Future[None]
    ) -> AsyncIterator[pb.FollowTarget | None]:
        """What the alias names whenever it has moved, and None as a heartbeat, until the follower goes."""
        known: Target | None = None
        while True:
            if stream.superseded:
                raise Superseded("a newer follower has this deployment's name")
            if reading.done():
                reading.result()  # its error, or the follower has gone
                return
            found = await self._tail(self._deployments.target, alias)
            if found != known:
                known = found
                yield _target_to(found)
            elif not await stream.moves.wait(self._heartbeat) and not reading.done():
                yield None

    async def _read(
        self, requests: AsyncIterator[pb.FollowRequest], deployment_id: int, hello: Hello, stream: _Stream
    ) -> None:
        """Note what the follower reports."""
        try:
            async for request in requests:
                if request.HasField("hello"):
                    raise InvalidArgument("a follower says hello once")
                if request.HasField("report"):
                    told = _report_from(request.report, hello.name.model)
                    await self._run(self._deployments.report, deployment_id, hello.name.model, told)
                else:
                    await self._run(self._deployments.seen, deployment_id)
        finally:
            stream.moves.wake()

    async def ListDeployments(
        self, request: pb.ListDeploymentsRequest, context: Context
    ) -> pb.ListDeploymentsResponse:
        page = await self._run(
            self._deployments.page, _parent_from(request.parent), convert.page_request(request)
        )
        now = self._deployments.now()
        return pb.ListDeploymentsResponse(
            deployments=[_deployment_to(found, now) for found in page.items], next_page_token=page.next_token
        )

    async def DeleteDeployment(
        self, request: pb.DeleteDeploymentRequest, context: Context
    ) -> pb.DeleteDeploymentResponse:
        call = convert.request_of(request, "DeleteDeployment")
        await self._run(self._deployments.forget, refs.deployment_from_wire(request.name), call)
        return pb.DeleteDeploymentResponse()


class _Stream:
    """One follower's stream."""

    def __init__(self, moves: Subscription) -> None:
        self.moves = moves
        self.superseded = False


def _parent_from(name: str) -> str | ModelName | AliasName:
    parts = name.count("/")
    if parts == 1:
        return refs.namespace_from_wire(name)
    return refs.model_from_wire(name) if parts == 3 else refs.alias_from_wire(name)


def _hello_from(message: pb.FollowHello) -> Hello:
    alias = refs.alias_from_wire(message.alias)
    lease = message.lease_seconds or DEFAULT_LEASE
    return Hello(
        DeploymentName(alias.model, refs.check_deployment(message.deployment)),
        alias,
        message.host,
        dict(message.labels),
        lease * 1_000_000,
    )


def _report_from(message: pb.DeploymentReport, model: ModelName) -> Report:
    try:
        state = State(message.state or State.WAITING)
    except ValueError:
        raise InvalidArgument(f"{message.state} is no state of a deployment") from None
    version = refs.version_from_wire(message.version) if message.version else None
    return Report(state, version, message.error)


def _target_to(found: Target) -> pb.FollowTarget:
    return pb.FollowTarget(
        version="" if found.version is None else found.version.wire,
        digest=found.digest.hex(),
        generation=found.generation,
    )


def _deployment_to(found: Deployment, now: int) -> pb.Deployment:
    return pb.Deployment(
        name=found.name.wire,
        alias=found.alias.wire,
        host=found.host,
        version="" if found.version is None else found.version.wire,
        serving_time=None if found.serving_at is None else timestamp(found.serving_at),
        target_version="" if found.target is None else found.target.wire,
        state=f"DEPLOYMENT_STATE_{found.state.name}",
        error=found.error,
        away=found.away(now),
        last_seen_time=timestamp(found.seen_at),
        create_time=timestamp(found.created_at),
        labels=dict(found.labels),
    )
