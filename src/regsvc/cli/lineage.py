"""`regsvc lineage`: what a version was made from, and what was made from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict

import click

from regsvc import refs
from regsvc.cli.output import connect_from_context, emit_json, json_option, json_time
from regsvc.cli.safe_console import harmless
from regsvc.client.lineage import LineageGraph

_Links = dict[str, dict[tuple[str, str], None]]
"""(other, relation) by name, in order."""
_Homes = dict[str, tuple[str, str]]
"""Where a name stands with all that is below it: (name, relation) of the first link to it.

Links come in the order of the walk, so that is where it is closest to the root. In the order of the tree a chain of a
thousand versions, each made from the one before and from one base, would be a thousand levels deep.
"""


@click.command()
@click.argument("ref", required=False)
@click.option("--dataset", metavar="DATASET", help="Of a dataset, or one version of it, instead of REF.")
@click.option("--up", "direction", flag_value="up", help="Only what it was made from.")
@click.option("--down", "direction", flag_value="down", help="Only what was made from it.")
@click.option(
    "--depth", type=click.IntRange(0, 100), default=0, metavar="N", help="Steps to go.  [default: 20]"
)
@click.option("--dot", is_flag=True, help="Print a graph for Graphviz.")
@json_option
@click.pass_context
def lineage(
    ctx: click.Context,
    ref: str | None,
    dataset: str | None,
    direction: str | None,
    depth: int,
    dot: bool,
    as_json: bool,
) -> None:
    """Show what REF was made from, and what was made from it, as two trees.

    REF is a version, a build, or the URI of a model of elsewhere: regsvc lineage hf:org/model --down tells what is
    affected by it, and regsvc lineage --dataset team/transactions:1 what is affected by a dataset.
    """
    if (ref is None) == (dataset is None):
        raise click.UsageError("give a REF or a --dataset")
    here = ref is not None and not refs.is_elsewhere(ref)
    client = connect_from_context(ctx, refs.parse_source(ref)[0] if here and ref else None)
    graph = client.lineage(ref or "", dataset=dataset or "", direction=direction or "both", depth=depth)
    if as_json:
        nodes = [
            {**asdict(node), "reference": node.reference, "created": json_time(node.created)}
            for node in graph.nodes.values()
        ]
        edges = [asdict(edge) for edge in graph.edges]
        emit_json({"root": graph.root, "nodes": nodes, "edges": edges, "truncated": graph.truncated})
    elif dot:
        click.echo("\n".join(_dot(graph)))
    else:
        click.echo(harmless("\n".join(_trees(graph))))


def _trees(graph: LineageGraph) -> Iterator[str]:
    yield _label(graph, graph.root)
    up = [edge for edge in graph.edges if graph.nodes[edge.source].distance < 0]
    down = [edge for edge in graph.edges if graph.nodes[edge.source].distance >= 0]
    above: _Links = {}
    below: _Links = {}
    for edge in up:
        # What the versions of a build were made from stands below the build.
        target = graph.root if graph.nodes[edge.target].distance > 0 else edge.target
        above.setdefault(target, {})[edge.source, edge.relation] = None
    for edge in down:
        below.setdefault(edge.source, {})[edge.target, edge.relation] = None
    if graph.root in above:
        yield "made from"
        yield from _branches(graph, above, _homes(above, graph.root), graph.root, "")
    if graph.root in below:
        yield "made into"
        yield from _branches(graph, below, _homes(below, graph.root), graph.root, "")
    if graph.truncated:
        yield "... and more"


def _homes(links: _Links, root: str) -> _Homes:
    homes: _Homes = {root: ("", "")}
    for name, following in links.items():
        for other, relation in following:
            homes.setdefault(other, (name, relation))
    return homes


def _branches(graph: LineageGraph, links: _Links, homes: _Homes, name: str, indent: str) -> Iterator[str]:
    """The tree below a node; what stands elsewhere is named, not repeated."""
    following = links.get(name, {})
    for place, (other, relation) in enumerate(following):
        last = place == len(following) - 1
        here = homes[other] == (name, relation)
        again = " ..." if not here and other in links else ""
        word = f"{relation} " if relation else ""
        yield f"{indent}{'└─ ' if last else '├─ '}{word}{_label(graph, other)}{again}"
        if here:
            yield from _branches(graph, links, homes, other, indent + ("   " if last else "│  "))


def _label(graph: LineageGraph, name: str) -> str:
    aliases = graph.nodes[name].aliases
    return f"{name} ({', '.join(aliases)})" if aliases else name


def _dot(graph: LineageGraph) -> Iterator[str]:
    yield "digraph lineage {"
    yield "  rankdir=LR; node [shape=box];"
    for name, node in graph.nodes.items():
        style = ", style=bold" if not node.distance else ""
        style += ", shape=cylinder" if node.kind == "dataset" else ""
        yield f"  {_quoted(name)} [label={_quoted(_label(graph, name))}{style}];"
    for edge in graph.edges:
        yield f"  {_quoted(edge.source)} -> {_quoted(edge.target)} [label={_quoted(edge.relation)}];"
    if graph.truncated:
        yield "  // and more"
    yield "}"


def _quoted(text: str) -> str:
    """A string of Graphviz, which knows no \\u: what JSON would write so stays as it is."""
    return json.dumps(harmless(text), ensure_ascii=False)
