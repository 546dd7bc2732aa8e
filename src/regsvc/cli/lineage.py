"""`regsvc lineage`: what a version was made from, and what was made from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict

import click

from regsvc import refs
from regsvc.cli.output import connect_from_context, emit_json, json_option, json_time
from regsvc.client.lineage import LineageGraph


@click.command()
@click.argument("ref")
@click.option("--up", "direction", flag_value="up", help="Only what it was made from.")
@click.option("--down", "direction", flag_value="down", help="Only what was made from it.")
@click.option(
    "--depth", type=click.IntRange(0, 100), default=0, metavar="N", help="Steps to go.  [default: 20]"
)
@click.option("--dot", is_flag=True, help="Print a graph for Graphviz.")
@json_option
@click.pass_context
def lineage(
    ctx: click.Context, ref: str, direction: str | None, depth: int, dot: bool, as_json: bool
) -> None:
    """Show what REF was made from, and what was made from it, as two trees.

    REF is a version, a build, or the URI of a model of elsewhere: regsvc lineage hf:org/model --down tells what is
    affected by it.
    """
    elsewhere = refs.is_elsewhere(ref)
    client = connect_from_context(ctx, None if elsewhere else refs.parse_source(ref)[0])
    graph = client.lineage(ref, direction=direction or "both", depth=depth)
    if as_json:
        nodes = [
            {**asdict(node), "created": json_time(node.created) if node.created else None}
            for node in graph.nodes.values()
        ]
        edges = [asdict(edge) for edge in graph.edges]
        emit_json({"root": graph.root, "nodes": nodes, "edges": edges, "truncated": graph.truncated})
    elif dot:
        click.echo("\n".join(_dot(graph)))
    else:
        click.echo("\n".join(_trees(graph)))


def _trees(graph: LineageGraph) -> Iterator[str]:
    yield _label(graph, graph.root)
    up = [edge for edge in graph.edges if graph.nodes[edge.source].distance < 0]
    down = [edge for edge in graph.edges if graph.nodes[edge.source].distance >= 0]
    above: dict[str, list[tuple[str, str]]] = {}
    below: dict[str, list[tuple[str, str]]] = {}
    for edge in up:
        above.setdefault(edge.target, []).append((edge.source, edge.relation))
    for edge in down:
        below.setdefault(edge.source, []).append((edge.target, edge.relation))
    if graph.root in above:
        yield "made from"
        yield from _branches(graph, above, graph.root, "", {graph.root})
    if graph.root in below:
        yield "made into"
        yield from _branches(graph, below, graph.root, "", {graph.root})
    if graph.truncated:
        yield "... and more"


def _branches(
    graph: LineageGraph, links: dict[str, list[tuple[str, str]]], name: str, indent: str, seen: set[str]
) -> Iterator[str]:
    """The tree below a node; what stands there already is named, not repeated."""
    following = links.get(name, [])
    for place, (other, relation) in enumerate(following):
        last = place == len(following) - 1
        again = " ..." if other in seen and other in links else ""
        word = f"{relation} " if relation else ""
        yield f"{indent}{'└─ ' if last else '├─ '}{word}{_label(graph, other)}{again}"
        if other not in seen:
            seen.add(other)
            yield from _branches(graph, links, other, indent + ("   " if last else "│  "), seen)


def _label(graph: LineageGraph, name: str) -> str:
    aliases = graph.nodes[name].aliases
    return f"{name} ({', '.join(aliases)})" if aliases else name


def _dot(graph: LineageGraph) -> Iterator[str]:
    yield "digraph lineage {"
    yield "  rankdir=LR; node [shape=box];"
    for name, node in graph.nodes.items():
        style = ", style=bold" if not node.distance else ""
        yield f"  {json.dumps(name)} [label={json.dumps(_label(graph, name))}{style}];"
    for edge in graph.edges:
        yield f"  {json.dumps(edge.source)} -> {json.dumps(edge.target)} [label={json.dumps(edge.relation)}];"
    yield "}"
