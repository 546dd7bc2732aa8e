"""`lineage` of what is deep, wide or oddly named: trees that end, graphs that Graphviz reads."""

from __future__ import annotations

import itertools

import pytest
from click.testing import CliRunner

from regsvc.cli import lineage as command
from regsvc.client.client import Client
from regsvc.client.lineage import LineageEdge, LineageGraph, LineageNode
from regsvc.client.lineage import _node as node_of
from regsvc.v1 import lineage_pb2 as pb

CHAIN = 2_000


def shown(monkeypatch: pytest.MonkeyPatch, graph: LineageGraph, *options: str) -> str:
    """What the command prints of a graph."""
    monkeypatch.setattr(Client, "lineage", lambda *_, **__: graph)
    done = CliRunner().invoke(command.lineage, ["a/root:1", *options], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def node(name: str, distance: int) -> LineageNode:
    """A version."""
    return LineageNode(name, "version", distance, None, ())


def test_a_chain_that_all_comes_from_one_base_is_as_deep_as_the_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every version was made from the one before, and from the base: two ways to each."""
    names = [f"a/m:{number}" for number in range(CHAIN)]
    nodes = {each.name: each for each in (node("a/root:1", 0), *(node(name, 1) for name in names))}
    edges = [LineageEdge("a/root:1", name, "fine-tuned") for name in names]
    edges += [LineageEdge(one, other, "merged") for one, other in itertools.pairwise(names)]

    lines = shown(monkeypatch, LineageGraph("a/root:1", nodes, edges, True)).splitlines()

    assert lines[:4] == ["a/root:1", "made into", "├─ fine-tuned a/m:0", "│  └─ merged a/m:1 ..."]
    assert len(lines) == 2 + CHAIN + CHAIN - 1 + 1
    assert lines[-1] == "... and more"


def test_what_stands_twice_is_told_once_with_what_is_below_it(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = {name: node(name, at) for name, at in (("a/root:1", 0), ("a/x:1", 1), ("a/y:1", 2))}
    edges = [
        LineageEdge("a/root:1", "a/x:1", "merged"),
        LineageEdge("a/root:1", "a/x:1", "distilled"),
        LineageEdge("a/x:1", "a/y:1", ""),
    ]
    assert shown(monkeypatch, LineageGraph("a/root:1", nodes, edges, False)).splitlines() == [
        "a/root:1",
        "made into",
        "├─ merged a/x:1",
        "│  └─ a/y:1",
        "└─ distilled a/x:1 ...",
    ]


def test_a_graph_for_graphviz_has_names_that_cannot_break_out(monkeypatch: pytest.MonkeyPatch) -> None:
    odd = 'hf:"]; x -> y [label="ü\\N\x1b[31m\u202e'
    nodes = {"a/root:1": node("a/root:1", 0), odd: LineageNode(odd, "elsewhere", -1, None, ())}
    graph = LineageGraph("a/root:1", nodes, [LineageEdge(odd, "a/root:1", "merged")], True)
    text = shown(monkeypatch, graph, "--dot")
    assert r'  "hf:\"]; x -> y [label=\"ü\\N�[31m�" -> "a/root:1" [label="merged"];' in text.splitlines()
    assert "  // and more" in text.splitlines()


@pytest.mark.parametrize(
    "name", ["namespaces/x", "namespaces/", "namespaces/a/datasets/b/c", "namespaces/a/models/b"]
)
def test_a_name_that_is_no_resource_is_of_elsewhere(name: str) -> None:
    found = node_of(pb.LineageNode(name=name, distance=-1))
    assert (found.name, found.kind) == (name, "elsewhere")
