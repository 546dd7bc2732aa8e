"""LineageService."""

from __future__ import annotations

from regsvc import refs
from regsvc.server.context import Context
from regsvc.server.workers import Workers
from regsvc.service.app import RegistryApp
from regsvc.service.lineage import Direction, Node
from regsvc.v1 import lineage_pb2 as pb
from regsvc.v1 import lineage_pb2_grpc
from regsvc.wire.values import timestamp


class LineageServicer(lineage_pb2_grpc.LineageServiceServicer):
    """What was made from what."""

    def __init__(self, app: RegistryApp, control: Workers):
        self._lineage = app.lineage
        self._run = control.run

    async def GetLineage(self, request: pb.GetLineageRequest, context: Context) -> pb.GetLineageResponse:
        wire = request.name.startswith("namespaces/") or not request.name
        name = refs.source_from_wire(request.name) if wire else request.name
        known = request.direction in (pb.LINEAGE_DIRECTION_UP, pb.LINEAGE_DIRECTION_DOWN)
        direction = Direction(request.direction) if known else Direction.BOTH
        graph = await self._run(self._lineage.walk, name, direction, request.depth)
        return pb.GetLineageResponse(
            root=graph.root,
            nodes=map(_node_to, graph.nodes.values()),
            edges=[
                pb.LineageEdge(source=edge.source, target=edge.target, relation=edge.relation)
                for edge in graph.edges
            ],
            truncated=graph.truncated,
        )


def _node_to(node: Node) -> pb.LineageNode:
    message = pb.LineageNode(name=node.name, aliases=node.aliases, distance=node.distance)
    if node.created_at is not None:
        message.create_time.CopyFrom(timestamp(node.created_at))
    return message
