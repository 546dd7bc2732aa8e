"""Lineage over the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from regsvc import refs
from regsvc.client.connection import Connection
from regsvc.client.records import time_from
from regsvc.errors import InvalidArgument
from regsvc.v1 import lineage_pb2

DIRECTIONS = {
    "both": lineage_pb2.LINEAGE_DIRECTION_UNSPECIFIED,
    "up": lineage_pb2.LINEAGE_DIRECTION_UP,
    "down": lineage_pb2.LINEAGE_DIRECTION_DOWN,
}


@dataclass(frozen=True)
class LineageNode:
    """A version, a build, or a model of elsewhere."""

    name: str
    """`team/fraud:3`, `team/fraud/builds/7`, or a URI."""
    distance: int
    """Steps from the root: negative is what it was made from, positive what was made from it."""
    created: datetime | None
    """None for models of elsewhere."""
    aliases: tuple[str, ...]


@dataclass(frozen=True)
class LineageEdge:
    """`target` was made from, or built by, `source`."""

    source: str
    target: str
    relation: str
    """`fine-tuned`, `quantised`, `merged`, `distilled`, `converted`, `built`, or empty."""


@dataclass(frozen=True)
class LineageGraph:
    """What a version was made from, and what was made from it."""

    root: str
    nodes: Mapping[str, LineageNode]
    """By name, the root first."""
    edges: Sequence[LineageEdge]
    truncated: bool
    """There are more than the depth, or 10,000 nodes, allowed."""


def get_lineage(
    connection: Connection, source: refs.VersionRef | refs.BuildName | str, direction: str, depth: int
) -> LineageGraph:
    """Raises as `Client.lineage` says."""
    if direction not in DIRECTIONS:
        raise InvalidArgument(f"{direction!r} is no direction; known are {', '.join(DIRECTIONS)}")
    request = lineage_pb2.GetLineageRequest(
        name=source if isinstance(source, str) else source.wire,
        direction=DIRECTIONS[direction],
        depth=depth,
    )
    answer = connection.call(connection.lineage.GetLineage, request)
    nodes = [_node(message) for message in answer.nodes]
    return LineageGraph(
        _shown(answer.root),
        {node.name: node for node in nodes},
        [LineageEdge(_shown(each.source), _shown(each.target), each.relation) for each in answer.edges],
        answer.truncated,
    )


def _node(message: Any) -> LineageNode:
    created = time_from(message.create_time) if message.HasField("create_time") else None
    return LineageNode(_shown(message.name), message.distance, created, tuple(message.aliases))


def _shown(name: str) -> str:
    return str(refs.source_from_wire(name)) if name.startswith("namespaces/") else name
