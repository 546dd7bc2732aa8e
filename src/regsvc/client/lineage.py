"""Lineage over the wire."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from regsvc import refs
from regsvc.client.connection import Connection
from regsvc.client.records import time_from
from regsvc.errors import InvalidArgument, NameInvalid
from regsvc.v1 import lineage_pb2

DIRECTIONS = {
    "both": lineage_pb2.LINEAGE_DIRECTION_UNSPECIFIED,
    "up": lineage_pb2.LINEAGE_DIRECTION_UP,
    "down": lineage_pb2.LINEAGE_DIRECTION_DOWN,
}


_DATASET = " (dataset)"
"""Behind the name of a dataset, which may be that of a model too."""


@dataclass(frozen=True)
class LineageNode:
    """A version, a build, a dataset or a version of one, or a model of elsewhere."""

    name: str
    """`team/fraud:3`, `team/fraud/builds/7`, `team/tx:1 (dataset)`, or a URI."""
    kind: str
    """`version`, `build`, `dataset` or `elsewhere`."""
    distance: int
    """Steps from the root: negative is what it was made from, positive what was made from it."""
    created: datetime | None
    """None for models of elsewhere."""
    aliases: tuple[str, ...]

    @property
    def reference(self) -> str:
        """What other calls take: `team/tx:1` of a dataset."""
        return self.name.removesuffix(_DATASET) if self.kind == "dataset" else self.name


@dataclass(frozen=True)
class LineageEdge:
    """`target` was made from, or built by, `source`, or with it if that is a dataset."""

    source: str
    target: str
    relation: str
    """`fine-tuned`, `quantised`, `merged`, `distilled`, `converted`, `built`; of a dataset its split; or empty."""


@dataclass(frozen=True)
class LineageGraph:
    """What something was made from, and what was made from it."""

    root: str
    nodes: Mapping[str, LineageNode]
    """By name, the root first."""
    edges: Sequence[LineageEdge]
    truncated: bool
    """There are more than the depth, 10,000 nodes, or the size of one answer allowed."""


def get_lineage(
    connection: Connection,
    source: refs.VersionRef | refs.BuildName | refs.DatasetRef | str,
    direction: str,
    depth: int,
) -> LineageGraph:
    """Of a dataset without a number that of all its versions. Raises as `Client.lineage` says."""
    if direction not in DIRECTIONS:
        raise InvalidArgument(f"{direction!r} is no direction; known are {', '.join(DIRECTIONS)}")
    request = lineage_pb2.GetLineageRequest(
        name=_wire(source),
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


def _wire(source: refs.VersionRef | refs.BuildName | refs.DatasetRef | str) -> str:
    if isinstance(source, str):
        return source
    return source.parent if isinstance(source, refs.DatasetRef) and source.number is None else source.wire


def _node(message: Any) -> LineageNode:
    created = time_from(message.create_time) if message.HasField("create_time") else None
    kind, name = _kind_and_name(message.name)
    return LineageNode(name, kind, message.distance, created, tuple(message.aliases))


def _kind_and_name(wire: str) -> tuple[str, str]:
    """What a name is of, and how people write it. One that is no resource name is of elsewhere."""
    if wire.startswith("namespaces/"):
        with contextlib.suppress(NameInvalid):
            if wire.split("/")[2:3] == ["datasets"]:
                return "dataset", f"{refs.dataset_from_wire(wire)}{_DATASET}"
            source = refs.source_from_wire(wire)
            return "build" if isinstance(source, refs.BuildName) else "version", str(source)
    return "elsewhere", wire


def _shown(wire: str) -> str:
    return _kind_and_name(wire)[1]
