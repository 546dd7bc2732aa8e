"""LineageService."""

from __future__ import annotations

from regsvc import refs
from regsvc.server.context import Context
from regsvc.server.workers import Workers
from regsvc.service.app import RegistryApp
from regsvc.service.lineage import Direction, Node, Root
from regsvc.v1 import lineage_pb2 as pb
from regsvc.v1 import lineage_pb2_grpc
from regsvc.wire.values import timestamp


class LineageServicer(lineage_pb2_grpc.LineageServiceServicer):
    """What was made from what."""

    def __init__(self, app: RegistryApp, control: Workers):
        self._lineage = app.lineage
        self._run = control.run

    async def GetLineage(self, request: pb.GetLineageRequest, context: Context) -> pb.GetLineageResponse:
        name = _root_from(request.name)
        whole = "/versions/" not in request.name  # which matters for a dataset only
        known = request.direction in (pb.LINEAGE_DIRECTION_UP, pb.LINEAGE_DIRECTION_DOWN)
        direction = Direction(request.direction) if known else Direction.BOTH
        graph = await self._run(self._lineage.walk, name, direction, request.depth, all_versions=whole)
        return pb.GetLineageResponse(
            root=graph.root,
            nodes=map(_node_to, graph.nodes),
            edges=[
                pb.LineageEdge(source=edge.source, target=edge.target, relation=edge.relation)
                for edge in graph.edges
            ],
            truncated=graph.truncated,
        )


def _root_from(name: str) -> Root:
    """Raises `NameInvalid`."""
    if name and not name.startswith("namespaces/"):
        return name
    return refs.dataset_from_wire(name) if "datasets" in name.split("/")[2:3] else refs.source_from_wire(name)


def _node_to(node: Node) -> pb.LineageNode:
    message = pb.LineageNode(name=node.name, aliases=node.aliases, distance=node.distance)
    if node.created_at is not None:
        message.create_time.CopyFrom(timestamp(node.created_at))
    return message
