"""Lineage: what versions, builds and datasets were made from, and what was made from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from regsvc.catalog import builds, datasets, lineage, versions
from regsvc.catalog.database import Catalog, Reader
from regsvc.catalog.lineage import Kind, Link, Named, Thing
from regsvc.errors import InvalidArgument, NotFound
from regsvc.refs import BuildName, DatasetRef, VersionRef

MOST_NODES = 10_000
MOST_BYTES = 3_500_000
"""Of an answer, about, which is one message; clients take 4 MiB unless told otherwise."""
DEFAULT_DEPTH = 20
MOST_DEPTH = 100
_MOST_LINKS = 30_000
"""Read from the catalog at once: what nobody can be shown is not loaded."""
_OVERHEAD = 24
"""Bytes of a node or edge besides its texts, at most."""

Root = VersionRef | BuildName | DatasetRef | str
"""Where a walk begins; text is the URI of a model of elsewhere."""
Step = Callable[[Reader, Sequence[Thing], int], list[Link]]
"""`lineage.above` or `lineage.below`."""


class Direction(IntEnum):
    """As in lineage.proto."""

    BOTH = 0
    UP = 1
    DOWN = 2


@dataclass(frozen=True)
class Node:
    """A version, a build, a dataset or a version of one, or a model of elsewhere."""

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
    nodes: Sequence[Node] = ()
    edges: dict[Edge, None] = field(default_factory=dict)
    truncated: bool = False


class Lineage:
    """What `LineageService` does."""

    def __init__(self, catalog: Catalog):
        self._catalog = catalog

    def walk(self, name: Root, direction: Direction, depth: int, *, all_versions: bool = False) -> Graph:
        """Walk from where `name` says, of a dataset from one or all versions. Errors as GetLineage documents."""
        if depth < 0:
            raise InvalidArgument("depth is negative", depth=depth)
        most = min(depth or DEFAULT_DEPTH, MOST_DEPTH)
        return self._catalog.read(lambda db: _Walk(db, most).graph(_root(db, name, all_versions), direction))


def _root(db: Reader, name: Root, all_versions: bool) -> Thing:
    """Raises `NotFound`."""
    match name:
        case VersionRef():
            return Thing(Kind.VERSION, versions.resolve(db, name))
        case BuildName():
            return Thing(Kind.BUILD, builds.find(db, name).id)
        case DatasetRef():
            return (
                lineage.dataset(db, name)
                if all_versions
                else Thing(Kind.DATASET_VERSION, datasets.find(db, name).id)
            )
    found = Thing(Kind.ELSEWHERE, name)
    if not lineage.below(db, [found], 1):
        raise NotFound(f"no version was made from '{name[:200]}'", uri=name[:200])
    return found


class _Walk:
    def __init__(self, db: Reader, depth: int):
        self._db = db
        self._depth = depth
        self._nodes: dict[Thing, Node] = {}
        self._bytes = 0
        self._graph = Graph("")

    def graph(self, root: Thing, direction: Direction) -> Graph:
        graph = self._graph
        self._nodes[root] = _node(lineage.named(self._db, [root])[root], 0)
        graph.root = self._nodes[root].name
        if direction is not Direction.DOWN:
            self._up([root, *self._published(root)])
        if direction is not Direction.UP:
            self._down([root])
        graph.nodes = sorted(self._nodes.values(), key=lambda node: (abs(node.distance), node.name))
        return graph

    def _published(self, root: Thing) -> list[Thing]:
        """The versions of a build, since it is they who name its parents."""
        if root.kind is not Kind.BUILD:
            return []
        links = self._links(lineage.below, [root], 1)
        return self._take(links, [link.target for link in links], 1)

    def _up(self, level: list[Thing]) -> None:
        seen = set(level)
        for distance in range(1, self._depth + 2):
            links = self._links(lineage.above, level, distance)
            found = self._take(links, [link.source for link in links], -distance)
            # What a build used, the versions that it published say themselves.
            level = [thing for thing in found if thing.kind is Kind.VERSION and thing not in seen]
            seen.update(level)
            if not level:
                return

    def _down(self, level: list[Thing]) -> None:
        seen = set(level)
        for distance in range(1, self._depth + 2):
            links = self._links(lineage.below, level, distance)
            found = self._take(links, [link.target for link in links], distance)
            level = [thing for thing in found if thing not in seen]
            seen.update(level)
            if not level:
                return

    def _links(self, step: Step, level: Sequence[Thing], distance: int) -> Sequence[Link]:
        """One step from this level, as far as it may be shown."""
        if distance > self._depth:
            self._graph.truncated |= bool(step(self._db, level, 1))
            return []
        found = step(self._db, level, _MOST_LINKS + 1)
        self._graph.truncated |= len(found) > _MOST_LINKS
        return found[:_MOST_LINKS]

    def _take(self, links: Sequence[Link], ends: Sequence[Thing], distance: int) -> list[Thing]:
        """Add these links and what they lead to while there is room; gives the ends that are there, each once."""
        new = [thing for thing in dict.fromkeys(ends) if thing not in self._nodes]
        names = lineage.named(self._db, new[: MOST_NODES - len(self._nodes)])
        found: dict[Thing, None] = {}
        for link, end in zip(links, ends, strict=True):
            node = self._nodes.get(end) or (_node(names[end], distance) if end in names else None)
            if node is None or not self._connect(link, end, node):
                self._graph.truncated = True
                continue
            found[end] = None
        return list(found)

    def _connect(self, link: Link, end: Thing, node: Node) -> bool:
        """Add a link and the node that it leads to, or neither when the answer would be too large."""
        source, target = (
            node if thing == end else self._nodes[thing] for thing in (link.source, link.target)
        )
        edge = Edge(source.name, target.name, link.relation)
        if edge in self._graph.edges:
            return True
        size = _size(edge.source, edge.target, edge.relation)
        if end not in self._nodes:
            size += _size(node.name, *node.aliases)
        if self._bytes + size > MOST_BYTES:
            return False
        self._bytes += size
        self._nodes[end] = node
        self._graph.edges[edge] = None
        return True


def _node(named: Named, distance: int) -> Node:
    return Node(named.name, distance, named.created_at, named.aliases)


def _size(*texts: str) -> int:
    """Bytes on the wire, at most."""
    return _OVERHEAD + sum(len(text.encode()) + 4 for text in texts)
