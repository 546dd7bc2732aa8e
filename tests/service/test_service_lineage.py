"""A walk stays bounded, whatever there is: nodes, bytes of the answer, and what is read from the catalog."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from regsvc.catalog.database import Catalog, Transaction
from regsvc.refs import DatasetRef, ModelName, VersionRef
from regsvc.service.lineage import MOST_BYTES, MOST_NODES, Direction, Graph, Lineage

MANY = 100_000
LONG = "n" * 63
MODEL = f"namespaces/{LONG}/models/{'m' * 63}"


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    """A dataset of two versions: 100,000 model versions used the first for training and testing, and two builds
    the second; version 2 of the model was made from version 1, and version 1 is the parent of all others."""
    made = Catalog(Path(tmp_path_factory.mktemp("lineage")) / "catalog.sqlite")

    def fill(tx: Transaction) -> None:
        tx.run("INSERT INTO namespaces (id, name, created_at) VALUES (1, ?, 1)", [LONG])
        tx.run(
            "INSERT INTO models (id, namespace_id, name, created_at, updated_at) VALUES (1, 1, ?, 1, 1)",
            ["m" * 63],
        )
        tx.run(
            "INSERT INTO datasets (id, namespace_id, name, created_at, last_version) VALUES (1, 1, 'd', 1, 2)"
        )
        for number in (1, 2):
            tx.run(
                "INSERT INTO dataset_versions (id, dataset_id, number, digest, created_at) VALUES (?, 1, ?, x'00', 1)",
                [number, number],
            )
        tx.run_many(
            "INSERT INTO versions (id, model_id, number, digest, file_count, size, stored_size, description,"
            " created_at) VALUES (?, 1, ?, x'00', 0, 0, 0, '', ?)",
            [(number, number, number) for number in range(1, MANY + 1)],
        )
        for split in ("test", "train"):
            tx.run(
                "INSERT INTO version_datasets (version_id, dataset_version_id, split) SELECT id, 1, ? FROM versions",
                [split],
            )
        tx.run(
            "INSERT INTO version_parents (version_id, position, relation, name, parent_id)"
            " SELECT id, 0, 1, ?, 1 FROM versions WHERE id > 1",
            [f"{MODEL}/versions/1"],
        )
        tx.run_many(
            "INSERT INTO builds (id, model_id, number, state, created_at, lease_until) VALUES (?, 1, ?, 1, 1, 0)",
            [(1, 1), (2, 2)],
        )
        tx.run(
            "INSERT INTO build_datasets (build_id, dataset_version_id, split) SELECT id, 2, '' FROM builds"
        )

    made.write(fill)
    yield made
    made.close()


def size(graph: Graph) -> int:
    """Bytes of its texts."""
    nodes = sum(len(node.name) for node in graph.nodes)
    return nodes + sum(len(edge.source + edge.target + edge.relation) for edge in graph.edges)


@pytest.mark.parametrize(
    "root",
    [DatasetRef(LONG, "d", 1), VersionRef(ModelName(LONG, "m" * 63), number=1)],
    ids=["dataset", "version"],
)
def test_what_affects_a_hundred_thousand_versions_is_cut_and_says_so(
    catalog: Catalog, root: DatasetRef | VersionRef
) -> None:
    tracemalloc.start()
    try:
        graph = Lineage(catalog).walk(root, Direction.DOWN, 0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert graph.truncated
    assert 4_000 < len(graph.nodes) <= MOST_NODES
    assert 0.7 * MOST_BYTES < size(graph) < MOST_BYTES
    assert peak < 60e6, "not all are loaded"
    reached = {edge.target for edge in graph.edges} | {graph.root}
    assert {node.name for node in graph.nodes} == reached, "no node stands alone"


def test_the_newest_users_of_a_dataset_are_those_that_are_shown(catalog: Catalog) -> None:
    graph = Lineage(catalog).walk(DatasetRef(LONG, "d", 1), Direction.DOWN, 1)
    shown = {node.created_at for node in graph.nodes[1:]}
    assert shown == set(range(MANY + 1 - len(shown), MANY + 1))


def test_all_versions_of_a_dataset_find_the_builds_too(catalog: Catalog) -> None:
    graph = Lineage(catalog).walk(DatasetRef(LONG, "d"), Direction.DOWN, 0, all_versions=True)
    builds = [node.name for node in graph.nodes if "/builds/" in node.name]
    assert builds == [f"{MODEL}/builds/{number}" for number in (1, 2)]
    assert graph.truncated
