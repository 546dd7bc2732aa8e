"""RunnerService."""

from __future__ import annotations

from regsvc import refs
from regsvc.errors import InvalidArgument
from regsvc.server import convert
from regsvc.server.context import Context
from regsvc.server.runs import template_to
from regsvc.server.workers import Workers
from regsvc.service.app import RegistryApp
from regsvc.v1 import runner_pb2 as pb
from regsvc.v1 import runner_pb2_grpc

MAX_SESSION = 64


class RunnerServicer(runner_pb2_grpc.RunnerServiceServicer):
    """Runners, and what they take."""

    def __init__(self, app: RegistryApp, workers: Workers):
        self._queue = app.queue
        self._run = workers.run

    async def ClaimBuild(self, request: pb.ClaimBuildRequest, context: Context) -> pb.ClaimBuildResponse:
        view, revision = await self._run(
            self._queue.claim,
            refs.build_from_wire(request.build),
            refs.check_runner(request.runner),
            check_session(request.session),
        )
        return pb.ClaimBuildResponse(build=convert.build_to(view), template=template_to(revision))


def check_session(text: str) -> str:
    """Raises `InvalidArgument`."""
    if not 0 < len(text) <= MAX_SESSION or not text.isprintable():
        raise InvalidArgument(f"a session has 1 to {MAX_SESSION} printable characters", limit=MAX_SESSION)
    return text
