"""RunnerService."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

from regsvc import refs
from regsvc.catalog import builds
from regsvc.catalog.database import now_us
from regsvc.errors import InvalidArgument, Stalled, Superseded
from regsvc.refs import BuildName
from regsvc.server import convert
from regsvc.server.context import Context
from regsvc.server.hub import Hub, Subscription
from regsvc.server.offers import Offers
from regsvc.server.runs import template_to
from regsvc.server.workers import Workers
from regsvc.service.app import RegistryApp
from regsvc.service.checks import check_key, check_text
from regsvc.service.limits import Limits
from regsvc.v1 import runner_pb2 as pb
from regsvc.v1 import runner_pb2_grpc
from regsvc.wire.values import timestamp

HELLO_WITHIN = 30.0
"""Seconds after which a stream whose runner says nothing is ended."""
QUIET = 30.0
"""Seconds of silence, or three heartbeats if those are longer, after which a stream is ended."""
MAX_SESSION = 64
MAX_LABELS = 50
MAX_SLOTS = 1_000
MAX_TEXT_BYTES = 200
"""Of host and version."""
MAX_RUNNERS = 10_000

_Key = tuple[str, str]
"""(name, session)"""


class RunnerServicer(runner_pb2_grpc.RunnerServiceServicer):
    """Runners, and what they take."""

    def __init__(self, app: RegistryApp, workers: Workers, tails: Workers, hub: Hub, heartbeat: float):
        self._queue = app.queue
        self._limits = app.limits
        self._run = workers.run
        self._tail = tails.run
        self._hub = hub
        self._heartbeat = heartbeat
        self._quiet = max(QUIET, 3 * heartbeat)
        self._offers = Offers()
        self._streams: dict[_Key, _Stream] = {}  # the newest of each runner

    async def Work(
        self, requests: AsyncIterator[pb.WorkRequest], context: Context
    ) -> AsyncIterator[pb.WorkResponse]:
        try:
            async with asyncio.timeout(HELLO_WITHIN):
                first = await anext(aiter(requests), None)
        except TimeoutError:
            first = None
        if first is None or not first.HasField("runner"):
            raise InvalidArgument("the first message of a runner says who it is")
        _check_runner(first.runner, self._limits)
        with self._hub.subscribe(builds.QUEUE) as changes:
            stream = _Stream(first, changes)
            older = self._streams.get(stream.key)
            self._streams[stream.key] = stream
            if older is not None:
                older.superseded = True
                older.changes.wake()
            reading = asyncio.ensure_future(_read(requests, stream))
            try:
                async for response in self._told(stream, reading):
                    yield response
            finally:
                reading.cancel()
                await asyncio.wait({reading})
                self._offers.withdraw(stream)
                if self._streams.get(stream.key) is stream:
                    del self._streams[stream.key]

    async def _told(self, stream: _Stream, reading: asyncio.Future[None]) -> AsyncIterator[pb.WorkResponse]:
        """What the runner hears, until it goes: something at once, and at least every heartbeat.

        Its own messages wake us as often, so it is not enough to speak when nothing has woken us for so long.
        """
        clock = asyncio.get_running_loop().time
        spoken = clock() - self._heartbeat
        while True:
            if stream.superseded:
                raise Superseded("a newer stream of this runner has begun")
            if reading.done():
                reading.result()  # its error, or the runner has gone
                return
            if stream.silence() > self._quiet:
                raise Stalled(f"the runner said nothing for {self._quiet:g} s")
            taken = self._offers.of_others(stream)
            found = await self._tail(
                self._queue.work,
                *stream.key,
                stream.labels,
                stream.free_slots,
                stream.free_slots + len(taken),
            )
            for build in found.cancelled:
                if build not in stream.cancelled:
                    stream.cancelled.add(build)
                    yield pb.WorkResponse(cancel=build.wire)
                    spoken = clock()
            for build in self._offers.made(stream, found.builds, stream.free_slots):
                yield pb.WorkResponse(offer=build.wire)
                spoken = clock()
            if clock() - spoken >= self._heartbeat:
                yield pb.WorkResponse()
                spoken = clock()
            wait = spoken + self._heartbeat - clock()
            if found.due is not None:
                wait = min(wait, max(0.0, (found.due - now_us()) / 1_000_000))
            wait = min(wait, self._offers.held(stream, found.builds))
            await stream.changes.wait(max(0.0, wait))

    async def ClaimBuild(self, request: pb.ClaimBuildRequest, context: Context) -> pb.ClaimBuildResponse:
        self._hub.check()
        view, revision = await self._run(
            self._queue.claim,
            refs.build_from_wire(request.build),
            refs.check_runner(request.runner),
            _check_session(request.session),
        )
        return pb.ClaimBuildResponse(build=convert.build_to(view), template=template_to(revision))

    async def ListRunners(self, request: pb.ListRunnersRequest, context: Context) -> pb.ListRunnersResponse:
        has: dict[_Key, list[str]] = {}
        for runner, session, build in await self._run(self._queue.running):
            has.setdefault((runner, session), []).append(build.wire)
        keys = sorted({*has, *self._streams})[:MAX_RUNNERS]
        return pb.ListRunnersResponse(runners=[_runner_to(key, self._streams.get(key), has) for key in keys])


class _Stream:
    """One runner's stream. Belongs to the event loop."""

    def __init__(self, first: pb.WorkRequest, changes: Subscription) -> None:
        self.runner = first.runner
        self.key: _Key = (first.runner.name, first.runner.session)
        self.labels = frozenset(first.runner.labels)
        self.changes = changes
        self.superseded = False
        self.connected_at = now_us()
        self.cancelled: set[BuildName] = set()
        """What it was told to stop."""
        self.offered: set[BuildName] = set()
        """What it was offered since it last said how many it would take."""
        self.heard(first)

    def heard(self, message: pb.WorkRequest) -> None:
        """It says how many more builds it would take."""
        self.free_slots = min(message.free_slots, self.runner.slots)
        self.offered.clear()
        self._last = asyncio.get_running_loop().time()

    def silence(self) -> float:
        """Seconds since it was heard from."""
        return asyncio.get_running_loop().time() - self._last


async def _read(requests: AsyncIterator[pb.WorkRequest], stream: _Stream) -> None:
    try:
        async for request in requests:
            if request.HasField("runner") and request.runner != stream.runner:
                raise InvalidArgument("a runner says who it is once")
            stream.heard(request)
            stream.changes.wake()
    finally:
        stream.changes.wake()


def _check_runner(runner: pb.Runner, limits: Limits) -> None:
    """Raises what Work documents."""
    refs.check_runner(runner.name)
    _check_session(runner.session)
    convert.check_count(len(runner.labels), MAX_LABELS, "labels")
    for label in runner.labels:
        check_key(label, limits)
    if not 1 <= runner.slots <= MAX_SLOTS:
        raise InvalidArgument(f"a runner has 1 to {MAX_SLOTS} slots", limit=MAX_SLOTS)
    check_text(runner.host, "host", MAX_TEXT_BYTES)
    check_text(runner.version, "version", MAX_TEXT_BYTES)


def _check_session(text: str) -> str:
    if not 0 < len(text) <= MAX_SESSION or not text.isprintable():
        raise InvalidArgument(f"a session has 1 to {MAX_SESSION} printable characters", limit=MAX_SESSION)
    return text


def _runner_to(key: _Key, stream: _Stream | None, has: Mapping[_Key, Sequence[str]]) -> pb.Runner:
    """As it said itself, with what the server knows; without a stream only the latter."""
    message = pb.Runner(name=key[0], session=key[1])
    if stream is not None:
        message.CopyFrom(stream.runner)
        message.connected = True
        message.connect_time.CopyFrom(timestamp(stream.connected_at))
    message.ClearField("builds")
    message.builds.extend(has.get(key, ()))
    return message
