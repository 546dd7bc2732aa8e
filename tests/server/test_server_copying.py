"""Copying versions and renaming models at the wire: all that is sealed goes with them, and no byte moves."""

from __future__ import annotations

import itertools
import random

import pytest
from server.lifecycles import Lived
from server.wire import LIMIT, Wire, chunk_message, name_of, stored_bytes

from regsvc.v1 import build_pb2 as bld
from regsvc.v1 import deployment_pb2 as dep
from regsvc.v1 import lifecycle_pb2 as pb
from regsvc.v1 import (
    lineage_pb2,
    lineage_pb2_grpc,
    record_pb2,
    record_pb2_grpc,
    search_pb2,
    search_pb2_grpc,
)
from regsvc.v1 import registry_pb2 as reg

_NUMBERS = itertools.count()
CONTENT = random.Random(1).randbytes(3 << 20)


def copy(wire: Wire, version: str, to: str, **fields: object) -> pb.CopyVersionResponse:
    request = pb.CopyVersionRequest(name=version, parent=name_of(to), **fields)  # type: ignore[arg-type]
    return wire.lifecycle.CopyVersion(request, timeout=LIMIT)


def rename(wire: Wire, model: str, new: str, **fields: object) -> reg.Model:
    request = pb.RenameModelRequest(name=name_of(model), new_name=name_of(new), **fields)  # type: ignore[arg-type]
    return wire.lifecycle.RenameModel(request, timeout=LIMIT).model


def found(wire: Wire, text: str) -> list[str]:
    request = search_pb2.SearchRequest(filter=text, page_size=1000)
    answer = search_pb2_grpc.SearchServiceStub(wire.channel).Search(request, timeout=LIMIT)
    return sorted(version.name for version in answer.versions)


def record(wire: Wire, version: str) -> record_pb2.GetRecordResponse:
    stub = record_pb2_grpc.RecordServiceStub(wire.channel)
    return stub.GetRecord(record_pb2.GetRecordRequest(name=version), timeout=LIMIT)


@pytest.fixture
def source(wire: Wire) -> Lived:
    """A version with all that can be sealed."""
    model = Lived(wire)
    upload = wire.start(model.short)
    wire.write_file(upload, "w", CONTENT)
    wire.write_file(upload, "dir/s", model.name.encode())
    parent = record_pb2.Parent(relation=record_pb2.PARENT_RELATION_FINE_TUNED, uri="hf://a/b")
    card = f"# Card of {model.short.replace('/', ' ').replace('-', ' ')} zebra"
    made = record_pb2.Record(labels=["golden", "eu"], parents=[parent], card=card, framework="torch")
    metadata = reg.VersionMetadata(
        description="a description",
        params={"lr": reg.ParamValue(double_value=0.1)},
        metrics={"f1": 0.9},
        tags={"team": "risk"},
    )
    wire.commit(upload, record=made, metadata=metadata, author="alice")
    return model


def test_a_copy_has_all_that_is_sealed_and_takes_no_room(wire: Wire, source: Lived) -> None:
    before, original = stored_bytes(wire.server.data), source.get("versions/1")
    target = f"{source.short}-copy"
    done = copy(wire, f"{source.name}/versions/latest", target, author="dana", aliases=["candidate"])
    made = done.version
    assert done.source == source.version(1)
    assert (made.name, made.number) == (f"{name_of(target)}/versions/1", 1)
    assert stored_bytes(wire.server.data) == before
    for field in ("digest", "record_digest", "metadata", "author", "size", "file_count", "stored_size"):
        assert getattr(made, field) == getattr(original, field), field
    assert list(made.aliases) == ["candidate"]
    assert wire.read_version(made.name) == wire.read_version(source.version(1))
    assert record(wire, made.name) == record(wire, source.version(1))
    assert made.name in found(
        wire, "metrics.f1 == 0.9 && 'golden' in labels && params.lr == 0.1 && text('zebra')"
    )
    [event] = [
        attributes for kind, _, attributes in _named(wire, target).events() if kind == "version.created"
    ]
    assert (event["copied_from"], event["author"]) == (source.version(1), "dana")
    stub = lineage_pb2_grpc.LineageServiceStub(wire.channel)
    lineage = stub.GetLineage(lineage_pb2.GetLineageRequest(name=made.name), timeout=LIMIT)
    assert source.version(1) in {node.name for node in lineage.nodes}
    assert "copied" in {edge.relation for edge in lineage.edges}


def _named(wire: Wire, short: str) -> Lived:
    model = Lived(wire)
    model.short, model.name = short, name_of(short)
    model.prod = f"{model.name}/aliases/prod"
    return model


def test_a_copy_outlives_what_it_was_copied_from(wire: Wire, source: Lived) -> None:
    target = f"{source.short}-copy"
    made = copy(wire, source.version(1), target).version
    files = wire.read_version(made.name)
    assert source.delete(1, keep=0).freed_size == 0
    wire.lifecycle.CollectGarbage(pb.CollectGarbageRequest(full=True), timeout=LIMIT)
    assert wire.read_version(made.name) == files
    assert record(wire, made.name).sealed_text
    assert source.version(1) not in found(wire, "text('zebra')")
    assert made.name in found(wire, "text('zebra')")
    with wire.refused("NOT_FOUND", "VERSION_DELETED"):
        copy(wire, source.version(1), target)


def test_a_bad_version_stays_bad_and_asks_the_rules(wire: Wire, source: Lived) -> None:
    source.mark(1, "leaks data")
    target = f"{source.short}-copy"
    with wire.refused("FAILED_PRECONDITION", "VERSION_BAD"):
        copy(wire, source.version(1), target, aliases=["prod"])
    made = copy(wire, source.version(1), target).version
    assert (made.bad, made.bad_reason, made.number) == (True, "leaks data", 1)


def test_a_copy_is_made_once_for_a_request_id(wire: Wire, source: Lived) -> None:
    target = f"{source.short}-copy"
    first = copy(wire, source.version(1), target, request_id=f"copy-{source.short}"[:64])
    assert copy(wire, source.version(1), target, request_id=f"copy-{source.short}"[:64]) == first
    assert wire.versions(target) == [1]
    assert copy(wire, source.version(1), source.short).version.number == 2  # within a model, too


def test_a_renamed_model_keeps_all_it_has(wire: Wire, source: Lived) -> None:
    source.set(1)
    source.rules(gate="version.metrics.f1 > 0.5")
    build = wire.create_build(source.short)
    wire.finish(build)
    before = stored_bytes(wire.server.data)
    new = f"other/{source.short.rpartition('/')[2]}-renamed"
    renamed = rename(wire, source.short, new, author="dana")
    assert (renamed.name, renamed.version_count) == (name_of(new), 1)
    assert [alias.name for alias in renamed.aliases] == [f"{name_of(new)}/aliases/prod"]
    assert stored_bytes(wire.server.data) == before
    model = _named(wire, new)
    assert wire.read_version(model.version(1))["w"] == CONTENT
    assert record(wire, model.version(1)).sealed_text
    assert len(model.history()) == 1
    assert wire.build(f"{name_of(new)}/builds/1").number == 1
    for text in ("text('zebra')", f"model == '{new}'", f"text('{new.rpartition('/')[2].replace('-', ' ')}')"):
        assert model.version(1) in found(wire, text), text
    with wire.refused("NOT_FOUND", "NOT_FOUND") as metadata:
        source.model()
    assert metadata["renamed"] == name_of(new)
    assert wire.push(source.short, {"a": b"a new model of the old name"}).number == 1
    assert source.model().version_count == 1
    assert wire.push(new, {"a": b"x"}).number == 2
    assert rename(wire, new, f"{new}-again").version_count == 2


@pytest.fixture
def taken(wire: Wire) -> str:
    name = f"taken/m-{next(_NUMBERS)}"
    wire.push(name, {"a": b"a"})
    return name


def test_a_model_in_use_is_not_renamed(wire: Wire, taken: str) -> None:
    new = f"{taken}-new"
    build = wire.create_build(taken)
    upload = wire.start(taken)
    with wire.refused("FAILED_PRECONDITION", "MODEL_IN_USE") as metadata:
        rename(wire, taken, new)
    assert (metadata["running_builds"], metadata["open_uploads"], metadata["deployments"]) == ("1", "1", "0")
    wire.finish(build, bld.BUILD_STATE_FAILED)
    wire.write_chunks(chunk_message(upload, b"x" * 100))
    wire.write_file(upload, "a", b"b")
    wire.commit(upload)
    hello = dep.FollowHello(alias=f"{name_of(taken)}/aliases/prod", deployment="eu", host="gpu-7")
    call = wire.deployments.Follow(iter([dep.FollowRequest(hello=hello)]), timeout=LIMIT)
    next(call)
    with wire.refused("FAILED_PRECONDITION", "MODEL_IN_USE") as metadata:
        rename(wire, taken, new)
    assert metadata["deployments"] == "1"


def test_a_name_that_is_taken_is_refused(wire: Wire, taken: str, source: Lived) -> None:
    with wire.refused("ALREADY_EXISTS", "ALREADY_EXISTS"):
        rename(wire, source.short, taken)
    assert rename(wire, source.short, source.short).name == source.name
    with wire.refused("NOT_FOUND", "NOT_FOUND"):
        rename(wire, f"{taken}-absent", "x/y")
    with wire.refused("INVALID_ARGUMENT", "NAME_INVALID"):
        rename(wire, source.short, "x/Y")
    assert source.listed() == [1]
