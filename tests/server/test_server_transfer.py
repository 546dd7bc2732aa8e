"""Transfers at the wire: what is exported in which order, what is taken, and what is refused without a trace."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from blake3 import blake3
from google.protobuf.message import DecodeError
from registries import difference, everything, fill
from server.wire import LIMIT, Wire, lines
from support import Server

from regsvc.v1 import build_pb2 as bld
from regsvc.v1 import event_pb2 as evt
from regsvc.v1 import promotion_pb2 as pro
from regsvc.v1 import transfer_pb2 as pb
from regsvc.v1 import transfer_pb2_grpc

ELSEWHERE = "0123456789abcdef0123456789abcdef"
"""Store id of a registry that is not there."""
NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A registry that has something of everything; only read."""
    server = Server(tmp_path_factory.mktemp("full")).start()
    fill(server.endpoint, tmp_path_factory.mktemp("files"))
    yield server
    server.stop()


def stub(wire: Wire) -> transfer_pb2_grpc.TransferServiceStub:
    return transfer_pb2_grpc.TransferServiceStub(wire.channel)


def export(server: Server, *names: str, **fields: Any) -> list[Any]:
    with Wire(server) as wire:
        responses = stub(wire).Export(pb.ExportRequest(names=names, **fields), timeout=LIMIT)
        return [item for response in responses for item in response.items]


def kinds(items: list[Any]) -> list[str]:
    return [item.WhichOneof("item") for item in items]


def offer(wire: Wire, *items: Any, **fields: Any) -> list[Any]:
    request = pb.ImportRequest(source=ELSEWHERE, items=items, **fields)
    return list(stub(wire).Import(request, timeout=LIMIT).results)


def model_item(name: str) -> Any:
    item = pb.ModelItem(name=name)
    item.create_time.FromSeconds(1_700_000_000)
    item.update_time.FromSeconds(1_700_000_000)
    return pb.TransferItem(model=item)


def version_item(name: str, files: dict[str, bytes]) -> Any:
    text = "".join(f"{blake3(data).hexdigest()}  {path}\n" for path, data in sorted(files.items()))
    item = pb.VersionItem()
    item.version.name = name
    item.version.digest = blake3(text.encode()).hexdigest()
    item.version.file_count = len(files)
    item.version.size = sum(map(len, files.values()))
    item.version.create_time.FromSeconds(1_700_000_000)
    return pb.TransferItem(version=item)


def build_item(name: str) -> Any:
    item = pb.BuildItem()
    item.build.name = name
    item.build.state = bld.BUILD_STATE_SUCCEEDED
    item.build.create_time.FromSeconds(1_700_000_000)
    item.build.end_time.FromSeconds(1_700_000_100)
    return pb.TransferItem(build=item)


def alias_item(name: str, *moves: tuple[int, str], first: int = 0) -> Any:
    item = pb.AliasItem(name=f"{name}/aliases/prod", first=first)
    for number, digest in moves:
        move = item.moves.add(version_digest=digest)
        move.change.version = f"{name}/versions/{number}"
        move.change.time.FromSeconds(1_700_000_000)
    return pb.TransferItem(alias=item)


def fresh() -> str:
    return f"namespaces/team/models/m{next(NUMBERS)}"


def is_refused(result: Any, reason: str) -> None:
    assert (result.outcome, result.reason) == (pb.IMPORT_OUTCOME_REFUSED, reason), result


def test_what_is_pointed_at_comes_first(full: Server) -> None:
    found = kinds(export(full, "namespaces/team/models/fraud"))
    order = [found.index(kind) for kind in ("dataset", "model", "build", "version", "alias")]
    assert order == sorted(order)
    assert not {"manifest", "blob", "points"} & set(found)
    with_contents = kinds(export(full, "namespaces/-", contents=pb.EXPORT_CONTENTS_ALL))
    assert {"manifest", "blob", "points"} <= set(with_contents)


def test_a_version_brings_what_it_points_at_and_alone_does_not(full: Server) -> None:
    name = "namespaces/team/models/fraud/versions/1"
    assert set(kinds(export(full, name))) == {
        "dataset",
        "model",
        "build",
        "version",
        "version_state",
        "notes",
    }
    assert set(kinds(export(full, name, only=True))) == {"version", "version_state", "notes"}


def test_an_export_goes_on_behind_any_cursor(full: Server) -> None:
    request = pb.ExportRequest(
        names=["namespaces/team", "namespaces/team/models/fraud"], contents=pb.EXPORT_CONTENTS_ALL
    )
    with Wire(full) as wire:
        responses = list(stub(wire).Export(request, timeout=LIMIT))
        whole = [item for response in responses for item in response.items]
        behind = 0
        for response in responses:
            behind += len(response.items)
            if response.cursor:
                request.cursor = response.cursor
                rest = [i for r in stub(wire).Export(request, timeout=LIMIT) for i in r.items]
                assert rest == whole[behind:]


def test_a_filter_leaves_models_out_and_their_datasets_with_them(full: Server) -> None:
    found = export(full, "namespaces/-", filter='model == "team/base"')
    assert set(kinds(found)) == {"model", "version", "version_state"}
    found = export(full, "namespaces/-", filter='model == "team/fraud"')
    assert {"dataset", "build", "alias"} <= set(kinds(found))
    assert not any("models/base" in item.model.name for item in found)


def test_an_alias_names_only_versions_that_came_before_it(wire: Wire) -> None:
    """A version that is pushed while an export is under way may be too late for it: then so is what names it."""
    name = fresh()
    short = name.replace("namespaces/", "").replace("/models", "")
    first = wire.push(short, {"a": b"1"}, aliases=["prod"]).name
    for number in range(
        900
    ):  # rules stand between versions and aliases: more than a stream sends that nobody reads
        rules = pro.AliasRules(name=f"{name}/aliases/r{number}", gate=f'version.framework != "{"x" * 4000}"')
        wire.promotions.SetAliasRules(pro.SetAliasRulesRequest(rules=rules), timeout=LIMIT)
    narrow = [("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 1 << 16)]
    with grpc.insecure_channel(wire.server.endpoint, options=narrow) as channel:
        export = transfer_pb2_grpc.TransferServiceStub(channel).Export
        responses = export(pb.ExportRequest(names=[name]), timeout=LIMIT)
        items = list(next(responses).items)
        wire.push(short, {"a": b"2"}, aliases=["prod", "new"])
        items += [item for response in responses for item in response.items]
    exported = [item.version.version.name for item in items if item.HasField("version")]
    named = [move.change.version for item in items for move in item.alias.moves]
    assert first in exported
    assert set(named) <= set(exported)
    assert first in named


@pytest.mark.parametrize(
    ("fields", "code", "reason"),
    [
        ({"names": []}, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        ({"names": ["namespaces/-"] * 1_001}, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        ({"names": ["fraud"]}, "INVALID_ARGUMENT", "NAME_INVALID"),
        ({"names": ["namespaces/x/models/none"]}, "NOT_FOUND", "NOT_FOUND"),
        ({"names": ["namespaces/x/models/none/versions/1"]}, "NOT_FOUND", "NOT_FOUND"),
        ({"names": ["namespaces/x/datasets/none"]}, "NOT_FOUND", "NOT_FOUND"),
        ({"names": ["namespaces/-"], "cursor": "[1,2"}, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        ({"names": ["namespaces/-"], "cursor": "[" * 900}, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        ({"names": ["namespaces/-"], "cursor": '["a",2,"","",0,0,""]'}, "INVALID_ARGUMENT", None),
        ({"names": ["namespaces/-"], "filter": "model =="}, "INVALID_ARGUMENT", "FILTER_INVALID"),
    ],
)
def test_what_cannot_be_exported(wire: Wire, fields: dict[str, Any], code: str, reason: str | None) -> None:
    with wire.refused(code, reason):
        list(stub(wire).Export(pb.ExportRequest(**fields), timeout=LIMIT))


def test_blobs_are_read_of_their_owner_only(wire: Wire) -> None:
    name, data = fresh(), b"x" * 1000
    version = wire.push(name.split("/", 1)[1].replace("models/", ""), {"a": data}).name
    digest = blake3(data).hexdigest()
    ranges = [pb.BlobRange(digest=digest)]
    [answer] = stub(wire).ReadBlobs(pb.ReadBlobsRequest(name=version, ranges=ranges), timeout=LIMIT)
    assert [frame.digest.hex() for frame in answer.frames] == [digest]
    assert answer.data == data  # nothing is accepted, so it comes as it is
    other = wire.push("team/other", {"b": b"other"}).name
    with wire.refused("NOT_FOUND"):
        list(stub(wire).ReadBlobs(pb.ReadBlobsRequest(name=other, ranges=ranges), timeout=LIMIT))
    ranges = [pb.BlobRange(digest=digest, offset=1001)]
    with wire.refused("OUT_OF_RANGE"):
        list(stub(wire).ReadBlobs(pb.ReadBlobsRequest(name=version, ranges=ranges), timeout=LIMIT))
    with wire.refused("INVALID_ARGUMENT"):
        list(stub(wire).ReadBlobs(pb.ReadBlobsRequest(name=version), timeout=LIMIT))
    with wire.refused("INVALID_ARGUMENT"):
        bad = [pb.BlobRange(digest="zz")]
        list(stub(wire).ReadBlobs(pb.ReadBlobsRequest(name=version, ranges=bad), timeout=LIMIT))


def test_a_version_is_wanted_then_made_then_present(wire: Wire) -> None:
    name, files = fresh(), {"a": b"aa", "dir/b": b""}
    item = version_item(f"{name}/versions/5", files)
    assert [each.outcome for each in offer(wire, model_item(name), item)] == [
        pb.IMPORT_OUTCOME_CREATED,
        pb.IMPORT_OUTCOME_WANTED,
    ]
    upload = wire.start(name.replace("namespaces/", "").replace("/models", ""))
    for path, data in files.items():
        wire.write_file(upload, path, data)
    assert offer(wire, item, upload=upload)[0].outcome == pb.IMPORT_OUTCOME_CREATED
    assert offer(wire, item, upload=upload)[0].outcome == pb.IMPORT_OUTCOME_PRESENT
    assert offer(wire, item)[0].outcome == pb.IMPORT_OUTCOME_PRESENT
    other = version_item(f"{name}/versions/5", {"a": b"other"})
    [result] = offer(wire, other)
    assert (result.outcome, result.reason) == (pb.IMPORT_OUTCOME_CONFLICT, "IMPORT_CONFLICT")
    assert wire.read_version(f"{name}/versions/5") == files


def test_other_files_than_were_said_make_no_version(wire: Wire) -> None:
    name = fresh()
    item = version_item(f"{name}/versions/1", {"a": b"said"})
    upload = wire.start(name.replace("namespaces/", "").replace("/models", ""))
    wire.write_file(upload, "a", b"other")
    is_refused(offer(wire, item, upload=upload)[0], "DIGEST_MISMATCH")
    with wire.refused("NOT_FOUND"):
        wire.versions(name.replace("namespaces/", "").replace("/models", ""))


def test_a_record_that_is_not_what_was_sealed_is_refused(full: Server, wire: Wire) -> None:
    item = next(
        each for each in export(full, "namespaces/team/models/fraud/versions/2") if each.HasField("version")
    )
    item.version.version.metadata.metrics["f1"] = 0.99
    is_refused(offer(wire, item)[0], "DIGEST_MISMATCH")
    item.version.version.metadata.metrics["f1"] = 0.9
    item.version.record.attachments[0].size += 1
    is_refused(offer(wire, item)[0], "DIGEST_MISMATCH")


def test_what_points_at_nothing_is_refused(wire: Wire) -> None:
    name = fresh()
    is_refused(offer(wire, alias_item(name, (1, "0" * 64)))[0], "NOT_FOUND")
    offer(wire, model_item(name))
    is_refused(offer(wire, alias_item(name, (1, "0" * 64)))[0], "NOT_FOUND")
    is_refused(offer(wire, alias_item(name, (1, "0" * 64), first=3))[0], "OUT_OF_RANGE")
    notes = pb.TransferItem(notes=pb.NotesItem(name=f"{name}/versions/1"))
    is_refused(offer(wire, notes)[0], "NOT_FOUND")


def test_an_alias_comes_as_far_as_its_versions_are_here(wire: Wire) -> None:
    short = f"team/some{next(NUMBERS)}"
    version = wire.push(short, {"a": b"one"})
    model = version.name.partition("/versions")[0]
    item = alias_item(model, (1, version.digest), (2, "0" * 64))
    assert offer(wire, item)[0].outcome == pb.IMPORT_OUTCOME_CREATED
    is_refused(offer(wire, item)[0], "NOT_FOUND")
    second = wire.push(short, {"a": b"two"})
    [result] = offer(wire, item)
    assert result.outcome == pb.IMPORT_OUTCOME_CONFLICT  # that is another one
    item = alias_item(model, (1, version.digest), (2, second.digest))
    assert offer(wire, item)[0].outcome == pb.IMPORT_OUTCOME_CREATED


def test_what_is_said_of_another_version_does_not_come_to_this_one(wire: Wire) -> None:
    """A version of that number is here, and nobody has shown that it is the same one."""
    short = f"team/own{next(NUMBERS)}"
    version = wire.push(short, {"a": b"own"})
    state = pb.TransferItem(version_state=pb.VersionStateItem(name=version.name, bad=True, bad_reason="bad"))
    [result] = offer(wire, state)
    assert result.outcome == pb.IMPORT_OUTCOME_CONFLICT
    model = version.name.partition("/versions")[0]
    [result] = offer(wire, alias_item(model, (1, "0" * 64)))
    assert result.outcome == pb.IMPORT_OUTCOME_CONFLICT
    assert offer(wire, alias_item(model, (1, version.digest)))[0].outcome == pb.IMPORT_OUTCOME_CREATED


def test_builds_come_whole_or_not_at_all(wire: Wire) -> None:
    name = fresh()
    short = name.replace("namespaces/", "").replace("/models", "")
    offer(wire, model_item(name))
    item = build_item(f"{name}/builds/3")
    item.build.point_count = 2
    item.build.build.metadata.metrics["f1"] = 0.5
    assert offer(wire, item)[0].outcome == pb.IMPORT_OUTCOME_WANTED
    upload = wire.start(short)
    is_refused(offer(wire, item, blobs=upload)[0], "FILES_INCOMPLETE")
    points = pb.PointsItem(name=f"{name}/builds/3")
    for value in (0.1, 0.5):
        points.points.add(key="f1", value=value).time.FromSeconds(1_700_000_050)
    for _ in range(2):  # the same points twice are there once
        offer(wire, pb.TransferItem(points=points), blobs=upload)
    lying = build_item(f"{name}/builds/3")
    lying.CopyFrom(item)
    lying.build.build.metadata.metrics["f1"] = 0.9
    is_refused(offer(wire, lying, blobs=upload)[0], "DIGEST_MISMATCH")
    with wire.refused("NOT_FOUND"):
        wire.build(f"{name}/builds/3")
    assert offer(wire, item, blobs=upload)[0].outcome == pb.IMPORT_OUTCOME_CREATED
    assert wire.build(f"{name}/builds/3").metadata.metrics["f1"] == 0.5
    assert offer(wire, item)[0].outcome == pb.IMPORT_OUTCOME_PRESENT
    item.build.build.reason = "another"
    assert offer(wire, item)[0].outcome == pb.IMPORT_OUTCOME_CONFLICT


def test_a_log_that_is_none_makes_no_build(wire: Wire) -> None:
    name = fresh()
    short = name.replace("namespaces/", "").replace("/models", "")
    good = b'{"seq":1,"time":"2026-01-02T03:04:05.678901Z","step":"","stream":"stdout","text":"hi"}\n'
    for data, seq, size in (
        (b"not json\n", 1, 8),
        (good + good, 2, 4),
        (good[:-1], 1, 2),
        (good, 2, 2),
        (good, 1, 3),
        (b"\n" * 10, 1, 0),
        (b"x" * (4 << 20), 1, 0),
    ):
        item = build_item(f"{name}/builds/1")
        digest = blake3(data).hexdigest()
        item.build.build.log_seq, item.build.build.log_bytes = seq, size
        item.build.build.log_digest = digest
        upload = wire.start(short)
        wire.write_file(upload, digest, data)
        is_refused(offer(wire, item, blobs=upload)[0], "INVALID_ARGUMENT")
    item = build_item(f"{name}/builds/1")
    digest = blake3(good).hexdigest()
    item.build.build.log_seq, item.build.build.log_bytes, item.build.build.log_digest = 1, 2, digest
    upload = wire.start(short)
    wire.write_file(upload, digest, good)
    assert offer(wire, item, blobs=upload)[0].outcome == pb.IMPORT_OUTCOME_CREATED
    assert [line.text for line in wire.log(f"{name}/builds/1")] == [b"hi"]


def test_a_running_build_is_left_out_and_refused(wire: Wire) -> None:
    build = wire.create_build("team/running")
    wire.append(build, lines(1, b"hello"))
    [left_out] = [each for each in export(wire.server, build) if each.HasField("left_out")]
    assert left_out.left_out.reason == "it is running"
    item = build_item(f"{fresh()}/builds/1")
    item.build.build.state = bld.BUILD_STATE_RUNNING
    is_refused(offer(wire, item)[0], "INVALID_ARGUMENT")


def test_bounds_of_items(wire: Wire) -> None:
    name = fresh()
    for change in (
        lambda item: item.version.version.create_time.FromSeconds(-5),
        lambda item: item.version.version.ClearField("create_time"),
        lambda item: item.version.version.metadata.metrics.update({"x": float("nan")}),
        lambda item: setattr(item.version.version, "author", "a" * 300),
        lambda item: setattr(item.version.version, "digest", "ab"),
        lambda item: setattr(item.version.version, "name", f"{name}/versions/latest"),
        lambda item: setattr(item.version.version, "build", "namespaces/a/models/b/builds/1"),
        lambda item: item.version.record.attachments.add(name="../x", digest="0" * 64),
    ):
        item = version_item(f"{name}/versions/1", {"a": b"a"})
        change(item)
        [result] = offer(wire, item)
        assert result.outcome == pb.IMPORT_OUTCOME_REFUSED, item
    rules = pb.TransferItem()
    rules.rules.name, rules.rules.gate = f"{name}/aliases/prod", "version.nonsense("
    offer(wire, model_item(name))
    is_refused(offer(wire, rules)[0], "FILTER_INVALID")
    [result] = offer(wire, pb.TransferItem())
    assert (result.outcome, "newer" in result.message) == (pb.IMPORT_OUTCOME_REFUSED, True)


def test_bounds_of_calls(wire: Wire) -> None:
    with wire.refused("INVALID_ARGUMENT"):
        stub(wire).Import(pb.ImportRequest(items=[model_item(fresh())]), timeout=LIMIT)
    with wire.refused("RESOURCE_EXHAUSTED"):
        offer(wire, *[model_item(fresh())] * 1_001)
    for into in ("team", "namespaces/-", "namespaces/A"):
        with wire.refused("INVALID_ARGUMENT", "NAME_INVALID"):
            offer(wire, model_item(fresh()), into=into)


def test_how_far_a_mirror_is(wire: Wire) -> None:
    service = stub(wire)
    source = "f" * 32
    with wire.refused("NOT_FOUND"):
        service.GetMirror(pb.GetMirrorRequest(source=source), timeout=LIMIT)
    first = pb.SetMirrorRequest(mirror=pb.Mirror(source=source, seq=7))
    for _ in range(2):
        assert service.SetMirror(first, timeout=LIMIT).mirror.seq == 7
    assert service.GetMirror(pb.GetMirrorRequest(source=source), timeout=LIMIT).mirror.seq == 7
    with wire.refused("NOT_FOUND"):
        service.GetMirror(pb.GetMirrorRequest(source=source, filter='model == "a/b"'), timeout=LIMIT)
    for bad in (pb.Mirror(seq=1), pb.Mirror(source="a/b", seq=1), pb.Mirror(source=source, seq=1 << 63)):
        with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
            service.SetMirror(pb.SetMirrorRequest(mirror=bad), timeout=LIMIT)
    with wire.refused("INVALID_ARGUMENT", "FILTER_INVALID"):
        bad = pb.Mirror(source=source, seq=1, filter="=")
        service.SetMirror(pb.SetMirrorRequest(mirror=bad), timeout=LIMIT)


def test_events_of_the_target_say_from_where(full: Server, wire: Wire) -> None:
    name = fresh()
    files = {"a": b"aa"}
    watching = wire.events.WatchEvents(evt.WatchEventsRequest(), timeout=LIMIT)
    next(watching)
    offer(wire, model_item(name))
    item = version_item(f"{name}/versions/1", files)
    upload = wire.start(name.replace("namespaces/", "").replace("/models", ""))
    wire.write_file(upload, "a", b"aa")
    offer(wire, item, upload=upload)
    offer(wire, alias_item(name, (1, item.version.version.digest)))
    told = []
    while "alias.set" not in [event.kind for event in told]:
        told += next(watching).events
    watching.cancel()
    assert [event.kind for event in told] == ["model.created", "version.created", "alias.set"]
    assert all(event.attributes["imported_from"] == ELSEWHERE for event in told[1:])


def test_items_that_anybody_made_up_are_taken_or_refused_and_change_nothing_else(
    full: Server, server: Server, tmp_path: Path
) -> None:
    """Bits of real items flipped: whatever comes of it, the server has no defect, and what was there stays."""
    fill(server.endpoint, tmp_path, "own/model")
    before = everything(server.endpoint)
    chance = random.Random(3)
    items = [
        item.SerializeToString() for item in export(full, "namespaces/-", contents=pb.EXPORT_CONTENTS_ALL)
    ]
    with Wire(server) as wire:
        tried = 0
        while tried < 600:
            data = bytearray(chance.choice(items)[:60_000])
            for _ in range(chance.randrange(1, 4)):
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            try:
                item = pb.TransferItem.FromString(bytes(data))
            except DecodeError:
                continue
            tried += 1
            [result] = offer(wire, item, into="namespaces/elsewhere")
            assert result.reason != "INTERNAL"
    after = {name: value for name, value in everything(server.endpoint).items() if "/elsewhere/" not in name}
    assert difference(before, after) == {}
