"""CompareService."""

from __future__ import annotations

from regsvc import refs
from regsvc.server.context import Context
from regsvc.server.workers import Workers
from regsvc.service.app import RegistryApp
from regsvc.v1 import compare_pb2 as pb
from regsvc.v1 import compare_pb2_grpc
from regsvc.wire import comparison as wire


class CompareServicer(compare_pb2_grpc.CompareServiceServicer):
    """What differs between versions and builds."""

    def __init__(self, app: RegistryApp, bulk: Workers):
        self._comparer = app.comparer
        self._run = bulk.run

    async def Compare(self, request: pb.CompareRequest, context: Context) -> pb.CompareResponse:
        found = await self._run(
            self._comparer.compare,
            [refs.source_from_wire(name) for name in request.names],
            include_same=request.include_same,
            skip_tensors=request.skip_tensors,
            series_points=request.series_points,
        )
        return wire.comparison_to(found)
