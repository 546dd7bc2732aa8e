"""Datasets on the wire: registered once, paged, linked by records, refused when they are none."""

from __future__ import annotations

import json

import pytest
from server.wire import LIMIT, Wire

from regsvc.v1 import dataset_pb2 as pb
from regsvc.v1 import dataset_pb2_grpc, record_pb2_grpc
from regsvc.v1 import record_pb2 as rec

DIGEST = "ab" * 32


def stub(wire: Wire) -> dataset_pb2_grpc.DatasetServiceStub:
    """DatasetService."""
    return dataset_pb2_grpc.DatasetServiceStub(wire.channel)


def profile(rows: int = 1, **column: object) -> str:
    """A profile of one column."""
    columns = [{"name": "a", "type": "Int64", "count": rows, **column}]
    return json.dumps({"version": 1, "rows": rows, "columns": columns})


def register(wire: Wire, name: str, **fields: object) -> pb.Dataset:
    """RegisterDataset of `ns/name`."""
    namespace, _, short = name.partition("/")
    parent = f"namespaces/{namespace}/datasets/{short}"
    request = pb.RegisterDatasetRequest(**{"parent": parent, "digest": DIGEST, **fields})  # type: ignore[arg-type]
    return stub(wire).RegisterDataset(request, timeout=LIMIT).dataset


def test_versions_are_numbered_and_the_same_is_registered_once(wire: Wire) -> None:
    first = register(wire, "sets/one", profile=profile(5), uri="s3://x")
    assert (first.name, first.row_count, first.column_count) == (
        "namespaces/sets/datasets/one/versions/1",
        5,
        1,
    )
    assert register(wire, "sets/one", profile=profile(5), uri="s3://x").name == first.name
    assert register(wire, "sets/one", profile=profile(6), request_id="r").name.endswith("/2")
    assert register(wire, "sets/one", profile=profile(7)).name.endswith("/3")
    assert register(wire, "sets/one", profile=profile(6), request_id="r").name.endswith("/2"), "a retry"
    found = stub(wire).GetDataset(pb.GetDatasetRequest(name=first.name), timeout=LIMIT).dataset
    assert json.loads(found.profile)["rows"] == 5
    latest = pb.GetDatasetRequest(name="namespaces/sets/datasets/one/versions/latest")
    assert stub(wire).GetDataset(latest, timeout=LIMIT).dataset.name.endswith("/3")


def test_datasets_are_paged_by_name(wire: Wire) -> None:
    for name in ("b", "a", "c"):
        register(wire, f"paged/{name}")
    names, token = [], ""
    while True:
        request = pb.ListDatasetsRequest(parent="namespaces/paged", page_size=1, page_token=token)
        page = stub(wire).ListDatasets(request, timeout=LIMIT)
        names += [each.name.split("/")[3] for each in page.datasets]
        token = page.next_page_token
        if not token:
            break
    assert names == ["a", "b", "c"]


def test_builds_and_versions_name_what_they_used_by_number(wire: Wire) -> None:
    used = register(wire, "sets/used")
    records = record_pb2_grpc.RecordServiceStub(wire.channel)
    build = wire.create_build("sets/model")
    use = rec.DatasetUse(
        dataset="namespaces/sets/datasets/used/versions/latest", split="train", filter="a > 1"
    )
    records.LogRecord(pb_log(build, use), timeout=LIMIT)
    version = wire.push("sets/model", {"a": b"1"}, build=build)
    register(wire, "sets/used", digest="cd" * 32)

    kept = records.GetRecord(rec.GetRecordRequest(name=version.name), timeout=LIMIT).record.datasets
    assert [(each.dataset, each.split, each.filter, each.digest) for each in kept] == [
        (used.name, "train", "a > 1", DIGEST)
    ]

    def users(name: str) -> list[str]:
        request = pb.ListDatasetUsesRequest(name=name)
        return [each.name for each in stub(wire).ListDatasetUses(request, timeout=LIMIT).users]

    assert users(used.name) == [version.name, build]
    assert users("namespaces/sets/datasets/used") == [version.name, build]
    assert users("namespaces/sets/datasets/used/versions/2") == []


def pb_log(build: str, use: rec.DatasetUse) -> rec.LogRecordRequest:
    """LogRecord of one dataset."""
    return rec.LogRecordRequest(build=build, record=rec.Record(datasets=[use]))


@pytest.mark.parametrize(
    ("fields", "code", "reason"),
    [
        ({"digest": ""}, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        ({"digest": "zz"}, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        ({"parent": "namespaces/sets/models/x"}, "INVALID_ARGUMENT", "NAME_INVALID"),
        ({"parent": "namespaces/sets/datasets/x/versions/1"}, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        ({"profile": "{"}, "INVALID_ARGUMENT", "PROFILE_INVALID"),
        ({"profile": '{"version": 9}'}, "INVALID_ARGUMENT", "PROFILE_INVALID"),
        ({"profile": profile(bins=[1], edges=[1])}, "INVALID_ARGUMENT", "PROFILE_INVALID"),
        ({"profile": " " * ((3 << 20) + 1)}, "INVALID_ARGUMENT", "PROFILE_INVALID"),
        ({"uri": "x" * 3000}, "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"),
    ],
)
def test_what_is_no_dataset_is_refused(wire: Wire, fields: dict[str, str], code: str, reason: str) -> None:
    with wire.refused(code, reason):
        register(wire, "sets/refused", **fields)
    with wire.refused("NOT_FOUND", "NOT_FOUND"):
        stub(wire).GetDataset(
            pb.GetDatasetRequest(name="namespaces/sets/datasets/refused/versions/latest"), timeout=LIMIT
        )


def test_datasets_without_profiles_or_the_same_one_are_not_compared(wire: Wire) -> None:
    bare = register(wire, "sets/bare").name
    whole = register(wire, "sets/bare", profile=profile()).name
    with wire.refused("FAILED_PRECONDITION", "FAILED_PRECONDITION"):
        stub(wire).CompareDatasets(pb.CompareDatasetsRequest(before=bare, after=whole), timeout=LIMIT)
    with wire.refused("INVALID_ARGUMENT", "SAME_TWICE"):
        latest = "namespaces/sets/datasets/bare/versions/latest"
        stub(wire).CompareDatasets(pb.CompareDatasetsRequest(before=latest, after=whole), timeout=LIMIT)
