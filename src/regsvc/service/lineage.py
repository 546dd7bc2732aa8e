"""Lineage: what a version was made from, and what was made from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from regsvc.catalog import builds, lineage, versions
from regsvc.catalog.database import Catalog, Reader
from regsvc.content.record import Relation
from regsvc.errors import InvalidArgument, NotFound
from regsvc.refs import BuildName, VersionRef

MOST_NODES = 10_000
DEFAULT_DEPTH = 20
MOST_DEPTH = 100


class Direction(IntEnum):
    """As in lineage.proto."""

    BOTH = 0
    UP = 1
    DOWN = 2


@dataclass(frozen=True)
class Node:
    """A version, a build, or a model of elsewhere."""

    name: str
    distance: int
    created_at: int | None = None
    aliases: Sequence[str] = ()


@dataclass(frozen=True)
class Edge:
    """`target` was made from, or by, `source`."""

    source: str
    target: str
    relation: str


@dataclass
class Graph:
    """What a walk has found."""

    root: str
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: dict[Edge, None] = field(default_factory=dict)
    truncated: bool = False


class Lineage:
    """What `LineageService` does."""

    def __init__(self, catalog: Catalog):
        self._catalog = catalog

    def walk(self, name: VersionRef | BuildName | str, direction: Direction, depth: int) -> Graph:
        """Walk from a version, a build, or the URI of a model of elsewhere. Errors as GetLineage documents."""
        if depth < 0:
            raise InvalidArgument("depth is negative", depth=depth)
        most = min(depth or DEFAULT_DEPTH, MOST_DEPTH)
        return self._catalog.read(lambda db: _Walk(db, most).graph(name, direction))


class _Walk:
    def __init__(self, db: Reader, depth: int):
        self._db = db
        self._depth = depth
        self._names: dict[int, str] = {}
        self._graph = Graph("")

    def graph(self, name: VersionRef | BuildName | str, direction: Direction) -> Graph:
        starts = list(self._start(name))
        if direction is not Direction.DOWN:
            self._up(starts)
        if direction is not Direction.UP:
            self._down(starts, 1 if isinstance(name, VersionRef) else 2)
        return self._graph

    def _start(self, name: VersionRef | BuildName | str) -> Iterator[int]:
        """The versions to walk from; the root becomes a node."""
        graph = self._graph
        if isinstance(name, VersionRef):
            version_id = versions.resolve(self._db, name)
            self._add(version_id, 0)
            graph.root = self._names[version_id]
            yield version_id
        elif isinstance(name, BuildName):
            build = builds.find(self._db, name)
            graph.root = build.name.wire
            graph.nodes[graph.root] = Node(graph.root, 0, build.created_at)
            for version_id in lineage.published(self._db, build.id):
                self._add(version_id, 1)
                graph.edges[Edge(graph.root, self._names[version_id], "built")] = None
                yield version_id
        else:
            graph.root = name
            links = lineage.children_of_uri(self._db, name)
            if not links:
                raise NotFound(f"no version was made from '{name[:200]}'", uri=name[:200])
            graph.nodes[name] = Node(name, 0)
            for link in links:
                if self._add(link.child_id, 1):
                    yield link.child_id
                graph.edges[Edge(name, self._names[link.child_id], _word(link.relation))] = None

    def _up(self, level: Sequence[int]) -> None:
        for distance in range(1, self._depth + 2):
            links = lineage.parents(self._db, level)
            made = lineage.built(self._db, level)
            if (links or made) and distance > self._depth:
                self._graph.truncated = True
                return
            following: list[int] = []
            for build_id, version_id in made:
                build = builds.get(self._db, build_id)
                self._named(Node(build.name.wire, -distance, build.created_at))
                self._edge(build.name.wire, self._names[version_id], "built")
            for link in links:
                if link.parent_id is None:
                    self._named(Node(link.name, -distance))
                elif self._add(link.parent_id, -distance):
                    following.append(link.parent_id)
                source = link.name if link.parent_id is None else self._names[link.parent_id]
                self._edge(source, self._names[link.child_id], _word(link.relation))
            level = following
            if not level:
                return

    def _down(self, level: Sequence[int], first: int) -> None:
        for distance in range(first, self._depth + 2):
            links = lineage.children(self._db, level)
            if links and distance > self._depth:
                self._graph.truncated = True
                return
            following: list[int] = []
            for link in links:
                assert link.parent_id is not None
                if self._add(link.child_id, distance):
                    following.append(link.child_id)
                self._edge(self._names[link.parent_id], self._names[link.child_id], _word(link.relation))
            level = following
            if not level:
                return

    def _add(self, version_id: int, distance: int) -> bool:
        """Whether the version is new to the graph."""
        if version_id in self._names:
            return False
        version = versions.get(self._db, version_id)
        self._names[version_id] = version.ref.wire
        return self._named(Node(version.ref.wire, distance, version.created_at, version.aliases))

    def _named(self, node: Node) -> bool:
        if node.name in self._graph.nodes:
            return False
        if len(self._graph.nodes) >= MOST_NODES:
            self._graph.truncated = True
            return False
        self._graph.nodes[node.name] = node
        return True

    def _edge(self, source: str, target: str, relation: str) -> None:
        if source in self._graph.nodes and target in self._graph.nodes:
            self._graph.edges[Edge(source, target, relation)] = None


def _word(relation: int) -> str:
    return Relation(relation).name.lower().replace("_", "-") if relation else ""
