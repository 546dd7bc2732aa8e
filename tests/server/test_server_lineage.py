"""Lineage on the wire: a graph of versions, builds, datasets and models of elsewhere."""

from __future__ import annotations

import itertools

import pytest
from blake3 import blake3
from server.wire import LIMIT, Wire

from regsvc.v1 import dataset_pb2 as data
from regsvc.v1 import dataset_pb2_grpc, lineage_pb2_grpc, record_pb2_grpc
from regsvc.v1 import lineage_pb2 as pb
from regsvc.v1 import record_pb2 as rec
from regsvc.v1 import registry_pb2 as reg

_COUNT = itertools.count()
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


def register(wire: Wire, dataset: str) -> str:
    """A version of the dataset `line/{dataset}`; gives its name."""
    stub = dataset_pb2_grpc.DatasetServiceStub(wire.channel)
    digest = blake3(f"{dataset}{next(_COUNT)}".encode()).hexdigest()
    request = data.RegisterDatasetRequest(parent=f"namespaces/line/datasets/{dataset}", digest=digest)
    return str(stub.RegisterDataset(request, timeout=LIMIT).dataset.name)


def using(**datasets: str) -> rec.Record:
    """A record of datasets by split."""
    return rec.Record(
        datasets=[rec.DatasetUse(dataset=name, split=split) for split, name in datasets.items()]
    )


def log(wire: Wire, build: str, record: rec.Record) -> None:
    """LogRecord."""
    stub = record_pb2_grpc.RecordServiceStub(wire.channel)
    stub.LogRecord(rec.LogRecordRequest(build=build, record=record), timeout=LIMIT)


def test_what_is_affected_by_a_dataset_is_one_call(wire: Wire) -> None:
    first, second = register(wire, "affected"), register(wire, "affected")
    unused = register(wire, "affected")
    made = wire.push("line/with", {"a": b"1"}, record=using(train=first, test=first)).name
    tuned = push(wire, "line/tuned", (TUNED, made)).name
    publisher, lost = wire.create_build("line/builds"), wire.create_build("line/builds")
    for build in (publisher, lost):
        log(wire, build, using(train=second))
    published = push(wire, "line/builds", build=publisher).name

    of_first = {(first, made, "train"), (first, made, "test"), (made, tuned, "fine-tuned")}
    of_second = {
        (second, publisher, "train"),
        (second, published, "train"),
        (publisher, published, "built"),
        (second, lost, "train"),
    }
    one = walk(wire, first)
    assert one.root == first
    assert edges(one) == of_first
    assert {node.name: node.distance for node in one.nodes} == {first: 0, made: 1, tuned: 2}
    assert all(node.create_time.seconds for node in one.nodes)
    assert edges(walk(wire, second)) == of_second
    whole = "namespaces/line/datasets/affected"
    found = walk(wire, whole, direction=pb.LINEAGE_DIRECTION_DOWN)
    assert found.root == whole
    assert edges(found) == of_first | of_second | {(whole, first, ""), (whole, second, "")}
    assert [node.name for node in found.nodes if node.distance == 1] == [first, second]
    alone = walk(wire, unused)
    assert ([node.name for node in alone.nodes], len(alone.edges)) == ([unused], 0)
    assert walk(wire, f"{whole}/versions/latest").root == unused
    assert edges(walk(wire, whole, direction=pb.LINEAGE_DIRECTION_UP)) == set()
    for name in (f"{whole}/versions/9", "namespaces/line/datasets/nowhere"):
        with wire.refused("NOT_FOUND", "NOT_FOUND"):
            walk(wire, name)
    with wire.refused("INVALID_ARGUMENT", "NAME_INVALID"):
        walk(wire, f"{whole}/versions/x")


def test_datasets_stand_above_versions_and_builds(wire: Wire) -> None:
    table, held_out = register(wire, "above"), register(wire, "above")
    base = wire.push("line/base-of", {"a": b"1"}, record=using(train=table)).name
    build = wire.create_build("line/user")
    log(wire, build, using(test=held_out))
    child = push(wire, "line/user", (TUNED, base), build=build).name
    up = walk(wire, child, direction=pb.LINEAGE_DIRECTION_UP)
    expected = {
        (build, child, "built"),
        (base, child, "fine-tuned"),
        (held_out, child, "test"),
        (table, base, "train"),
    }
    assert edges(up) == expected
    assert {node.name: node.distance for node in up.nodes} == {
        child: 0,
        base: -1,
        build: -1,
        held_out: -1,
        table: -2,
    }
    of_build = walk(wire, build, direction=pb.LINEAGE_DIRECTION_UP)
    assert edges(of_build) == {*expected, (held_out, build, "test")}
    assert {node.name: node.distance for node in of_build.nodes} == {
        build: 0,
        child: 1,
        base: -1,
        held_out: -1,
        table: -2,
    }
    assert [node.name for node in of_build.nodes] == [build, held_out, base, child, table]
    idle = wire.create_build("line/user")
    log(wire, idle, using(train=table))
    assert edges(walk(wire, idle)) == {(table, idle, "train")}


def test_the_root_comes_first_then_nodes_by_distance_and_name(wire: Wire) -> None:
    base = push(wire, "line/order").name
    for model in ("line/order-b", "line/order-a"):
        push(wire, model, (TUNED, base))
    found = walk(wire, base)
    names = [node.name for node in found.nodes]
    assert names == [base, *sorted(names[1:])]
    assert len(names) == 3
