"""Lineage on the wire: a graph of versions, builds and models of elsewhere."""

from __future__ import annotations

import pytest
from server.wire import LIMIT, Wire

from regsvc.v1 import lineage_pb2 as pb
from regsvc.v1 import lineage_pb2_grpc
from regsvc.v1 import record_pb2 as rec
from regsvc.v1 import registry_pb2 as reg

TUNED, MERGED = rec.PARENT_RELATION_FINE_TUNED, rec.PARENT_RELATION_MERGED


def walk(wire: Wire, name: str, **fields: object) -> pb.GetLineageResponse:
    """GetLineage."""
    stub = lineage_pb2_grpc.LineageServiceStub(wire.channel)
    return stub.GetLineage(pb.GetLineageRequest(name=name, **fields), timeout=LIMIT)  # type: ignore[arg-type]


def push(wire: Wire, model: str, *parents: tuple[int, str], build: str = "") -> reg.Version:
    """A version of these parents: (relation, version or URI)."""
    made = [
        rec.Parent(
            relation=relation, **({"version": name} if name.startswith("namespaces") else {"uri": name})
        )  # type: ignore[arg-type]
        for relation, name in parents
    ]
    return wire.push(model, {"a": model.encode()}, build=build, record=rec.Record(parents=made))


def edges(answer: pb.GetLineageResponse) -> set[tuple[str, str, str]]:
    """(source, target, relation)"""
    return {(edge.source, edge.target, edge.relation) for edge in answer.edges}


def test_a_diamond_stands_there_once_with_all_its_edges(wire: Wire) -> None:
    build = wire.create_build("line/left")
    base = push(wire, "line/base", (TUNED, "hf:org/base@1")).name
    left = push(wire, "line/left", (TUNED, base), build=build).name
    right = push(wire, "line/right", (rec.PARENT_RELATION_QUANTISED, base)).name
    merged = push(wire, "line/merged", (MERGED, left), (MERGED, right)).name

    up = walk(wire, merged)
    expected = {
        ("hf:org/base@1", base, "fine-tuned"),
        (base, left, "fine-tuned"),
        (base, right, "quantised"),
        (left, merged, "merged"),
        (right, merged, "merged"),
        (build, left, "built"),
    }
    assert up.root == merged
    assert edges(up) == expected
    assert {node.name: node.distance for node in up.nodes} == {
        merged: 0,
        left: -1,
        right: -1,
        base: -2,
        build: -2,
        "hf:org/base@1": -3,
    }
    assert not up.truncated

    down = walk(wire, base, direction=pb.LINEAGE_DIRECTION_DOWN)
    assert edges(down) == {edge for edge in expected if edge[2] in ("merged", "quantised") or edge[0] == base}
    assert {node.name: node.distance for node in down.nodes} == {base: 0, left: 1, right: 1, merged: 2}


def test_what_is_affected_by_a_model_of_elsewhere_is_one_call(wire: Wire) -> None:
    uri = "hf:org/affected"
    first = push(wire, "line/affected", (TUNED, uri)).name
    second = push(wire, "line/affected", (TUNED, uri), (MERGED, first)).name
    third = push(wire, "line/affected", (TUNED, second)).name

    found = walk(wire, uri, direction=pb.LINEAGE_DIRECTION_DOWN)

    assert found.root == uri
    assert found.nodes[0].name == uri
    assert {node.name for node in found.nodes} == {uri, first, second, third}
    assert (second, third, "fine-tuned") in edges(found)
    assert (first, second, "merged") in edges(found)
    with wire.refused("NOT_FOUND", "NOT_FOUND"):
        walk(wire, "hf:org/nobody")


def test_a_build_leads_to_its_versions_and_what_was_made_of_them(wire: Wire) -> None:
    build = wire.create_build("line/of-build")
    made = push(wire, "line/of-build", build=build).name
    child = push(wire, "line/child", (TUNED, made)).name
    found = walk(wire, build)
    assert edges(found) == {(build, made, "built"), (made, child, "fine-tuned")}
    assert {node.name: node.distance for node in found.nodes} == {build: 0, made: 1, child: 2}


def test_the_depth_ends_a_walk_and_that_is_said(wire: Wire) -> None:
    chain = [push(wire, "line/chain").name]
    for _ in range(5):
        chain.append(push(wire, "line/chain", (TUNED, chain[-1])).name)
    short = walk(wire, chain[-1], depth=2)
    assert {node.name for node in short.nodes} == set(chain[-3:])
    assert short.truncated
    whole = walk(wire, chain[2])
    assert {node.name for node in whole.nodes} == set(chain)
    assert not whole.truncated
    exact = walk(wire, chain[-1], depth=5)
    assert len(exact.nodes) == 6
    assert not exact.truncated


@pytest.mark.parametrize(
    ("name", "depth", "code"),
    [
        ("", 0, "INVALID_ARGUMENT"),
        ("namespaces/line", 0, "INVALID_ARGUMENT"),
        ("namespaces/line/models/chain/versions/99", 0, "NOT_FOUND"),
        ("namespaces/line/models/chain/versions/1", -1, "INVALID_ARGUMENT"),
    ],
)
def test_what_has_no_lineage_is_refused(wire: Wire, name: str, depth: int, code: str) -> None:
    with wire.refused(code):
        walk(wire, name, depth=depth)
