"""Records on the wire: merged from builds, sealed with versions, checked, noted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import grpc
import pytest
import rfc8785
from blake3 import blake3
from server.wire import LIMIT, Wire, expect_error
from support import Server

from regsvc.v1 import build_pb2 as bld
from regsvc.v1 import record_pb2 as pb
from regsvc.v1 import record_pb2_grpc
from regsvc.v1 import registry_pb2 as reg


@pytest.fixture
def records(wire: Wire) -> record_pb2_grpc.RecordServiceStub:
    """The stub under test."""
    return record_pb2_grpc.RecordServiceStub(wire.channel)


def attach(
    records: record_pb2_grpc.RecordServiceStub, owner: str, name: str, data: bytes, digest: str = ""
) -> pb.Attachment:
    """WriteAttachment in pieces of 1 MiB."""

    def messages() -> Iterator[pb.WriteAttachmentRequest]:
        yield pb.WriteAttachmentRequest(owner=owner, name=name, digest=digest)
        for start in range(0, len(data), 1 << 20):
            yield pb.WriteAttachmentRequest(data=data[start : start + (1 << 20)])

    return records.WriteAttachment(messages(), timeout=LIMIT).attachment


def get(records: record_pb2_grpc.RecordServiceStub, name: str) -> pb.GetRecordResponse:
    """GetRecord."""
    return records.GetRecord(pb.GetRecordRequest(name=name), timeout=LIMIT)


FULL = pb.Record(
    code=pb.Code(remote="https://example.com/x.git", commit="a" * 40, branch="main", dirty=True),
    environment=pb.Environment(
        python="3.12.4",
        platform="Linux",
        cpu="EPYC",
        cores=2,
        memory_bytes=1 << 34,
        accelerators=[pb.Accelerator(name="H100", memory_bytes=80 << 30, driver="550.1")],
        packages=[pb.Package(name="torch", version="2.5.0"), pb.Package(name="numpy", version="2.2.0")],
        variables={"CUDA_VISIBLE_DEVICES": "0"},
    ),
    image=pb.ContainerImage(reference="reg/train:1", digest="sha256:" + "0" * 64),
    signature=pb.Signature(
        inputs=[pb.TensorSpec(name="ids", dtype="int64", shape=[-1, 512])],
        outputs=[pb.TensorSpec(name="score", dtype="float32")],
        json_schema='{"type": "object"}',
    ),
    card="# A card\n\nWith **text**.",
    labels=["fraud", "credit card"],
    parents=[pb.Parent(relation=pb.PARENT_RELATION_DISTILLED, uri="hf:org/teacher@abc")],
    framework="pytorch",
    format="safetensors",
    gaps=["code: 2 untracked files"],
)


def test_a_version_has_the_record_it_was_committed_with(
    wire: Wire, records: record_pb2_grpc.RecordServiceStub
) -> None:
    version = wire.push("record/whole", {"a": b"1"}, record=FULL)

    answer = get(records, version.name)

    expected = pb.Record()
    expected.CopyFrom(FULL)
    expected.environment.ClearField("packages")
    expected.environment.packages.add(name="numpy", version="2.2.0")
    expected.environment.packages.add(name="torch", version="2.5.0")
    assert answer.record == expected


def test_the_record_digest_is_of_the_canonical_text_of_everything_sealed(
    wire: Wire, records: record_pb2_grpc.RecordServiceStub
) -> None:
    metadata = reg.VersionMetadata(
        description="d",
        params={"n": reg.ParamValue(int_value=(1 << 60) + 1), "lr": reg.ParamValue(double_value=1e-7)},
        metrics={"f1": 0.75},
        tags={"stage": "eval"},
    )
    version = wire.push("record/digest", {"a": b"1"}, record=FULL, metadata=metadata)

    answer = get(records, version.name)

    assert blake3(answer.sealed_text.encode()).hexdigest() == answer.digest == version.record_digest
    sealed = json.loads(answer.sealed_text)
    assert rfc8785.dumps(sealed).decode() == answer.sealed_text
    assert sealed["version_digest"] == version.digest
    assert sealed["params"] == {"n": {"int": str((1 << 60) + 1)}, "lr": {"double": 1e-7}}
    assert sealed["metrics"] == {"f1": 0.75}
    assert sealed["tags"] == {"stage": "eval"}
    assert sealed["record"]["environment"]["packages"] == {"torch": "2.5.0", "numpy": "2.2.0"}
    assert sealed["record"]["parents"] == [{"relation": "DISTILLED", "uri": "hf:org/teacher@abc"}]


def test_versions_made_alike_have_one_record_digest(wire: Wire) -> None:
    first = wire.push("record/alike", {"a": b"1"}, record=FULL)
    second = wire.push("record/alike", {"a": b"1"}, record=FULL)
    other = wire.push("record/alike", {"a": b"1"}, record=pb.Record(framework="onnx"))

    assert first.record_digest == second.record_digest != other.record_digest


def test_a_record_that_was_changed_in_the_store_is_told(
    wire: Wire, start_server: Callable[..., Server]
) -> None:
    server = start_server()
    with Wire(server) as own:
        name = own.push("record/damaged", {"a": b"1"}, record=FULL).name
    server.stop()
    from pysqlite3 import dbapi2 as sqlite

    with sqlite.connect(server.data / "catalog.sqlite") as db:
        db.execute("UPDATE version_metrics SET value = 1")
        db.execute("UPDATE version_records SET body = replace(body, 'fraud', 'sound')")
    db.close()
    server.start()
    with Wire(server) as own, expect_error("DATA_LOSS", "RECORD_DAMAGED", server.data):
        get(record_pb2_grpc.RecordServiceStub(own.channel), name)


def test_a_builds_record_is_merged_and_goes_to_its_version(
    wire: Wire, records: record_pb2_grpc.RecordServiceStub
) -> None:
    build = wire.create_build("record/built")
    records.LogRecord(pb.LogRecordRequest(build=build, record=FULL), timeout=LIMIT)
    more = pb.Record(framework="jax", labels=["fraud", "new"], code=pb.Code(commit="b" * 40, diff="d"))
    records.LogRecord(pb.LogRecordRequest(build=build, record=more), timeout=LIMIT)
    attach(records, build, "d", b"diff of the build")
    attach(records, build, "lock", b"lock of the build")

    upload = wire.start("record/built", build)
    attach(records, upload, "d", b"diff of the upload")
    wire.write_file(upload, "a", b"1")
    version = wire.commit(upload, record=pb.Record(card="of the commit"))

    found = get(records, version.name).record
    assert get(records, build).record.framework == "jax"
    assert (found.framework, found.card, found.format) == ("jax", "of the commit", "safetensors")
    assert list(found.labels) == ["fraud", "credit card", "new"]
    assert (found.code.commit, found.code.remote) == ("b" * 40, "")
    assert len(found.environment.packages) == 2
    assert [each.name for each in found.attachments] == ["d", "lock"]
    assert read(records, version.name, "d") == b"diff of the upload"
    assert read(records, version.name, "lock") == b"lock of the build"
    assert read(records, build, "d") == b"diff of the build"


def read(records: record_pb2_grpc.RecordServiceStub, owner: str, name: str) -> bytes:
    """ReadAttachment, checked against what its first message says."""
    request = pb.ReadAttachmentRequest(owner=owner, name=name)
    messages = list(records.ReadAttachment(request, timeout=LIMIT))
    data = b"".join(message.data for message in messages)
    assert messages[0].attachment.digest == blake3(data).hexdigest()
    assert messages[0].attachment.size == len(data)
    return data


def test_large_and_empty_attachments_come_back_as_they_went(
    wire: Wire, records: record_pb2_grpc.RecordServiceStub
) -> None:
    upload = wire.start("record/attached")
    large = b"".join(blake3(str(i).encode()).digest() for i in range(200_000))
    assert attach(records, upload, "large", large, blake3(large).hexdigest()).size == len(large)
    attach(records, upload, "empty", b"")
    wire.write_file(upload, "a", b"1")
    version = wire.commit(upload)

    assert read(records, version.name, "large") == large
    assert read(records, version.name, "empty") == b""
    assert wire.read_version(version.name) == {"a": b"1"}, "attachments are no files of the version"


def test_parents_are_kept_by_number(wire: Wire, records: record_pb2_grpc.RecordServiceStub) -> None:
    base = wire.push("record/base", {"a": b"1"}, aliases=["prod"])
    alias = "namespaces/record/models/base/aliases/prod"
    parents = [pb.Parent(relation=pb.PARENT_RELATION_FINE_TUNED, version=alias)]
    child = wire.push("record/child", {"a": b"2"}, record=pb.Record(parents=parents))

    assert [each.version for each in get(records, child.name).record.parents] == [base.name]


@pytest.mark.parametrize("name", ["versions/latest", "versions/2", "aliases/prod", "digest"])
def test_no_version_is_its_own_parent(
    wire: Wire, records: record_pb2_grpc.RecordServiceStub, name: str
) -> None:
    """What names the new version once it is there, names the one before while it is made, or nothing."""
    model = f"record/self-{name.rpartition('/')[2]}"
    parent = f"namespaces/record/models/{model.partition('/')[2]}"
    upload = wire.start(model)
    wire.write_file(upload, "a", b"1")
    itself = pb.Record(parents=[pb.Parent(version=f"{parent}/versions/latest")])
    with wire.refused("NOT_FOUND", "NOT_FOUND"):
        wire.commit(upload, record=itself)
    first = wire.commit(upload, aliases=["prod"])

    if name == "digest":
        name = f"versions/b3:{first.digest}"
    upload = wire.start(model)
    wire.write_file(upload, "a", b"1")
    record = pb.Record(parents=[pb.Parent(version=f"{parent}/{name}")])
    if name == "versions/2":
        with wire.refused("NOT_FOUND", "NOT_FOUND"):
            wire.commit(upload, record=record)
        return
    second = wire.commit(upload, record=record, aliases=["prod"])

    assert second.number == 2
    assert [each.version for each in get(records, second.name).record.parents] == [first.name]


@pytest.mark.parametrize(
    ("record", "code", "reason"),
    [
        (pb.Record(labels=[""]), "INVALID_ARGUMENT", "RECORD_INVALID"),
        (pb.Record(labels=["a\nb"]), "INVALID_ARGUMENT", "RECORD_INVALID"),
        (pb.Record(labels=["twice", "twice"]), "INVALID_ARGUMENT", "RECORD_INVALID"),
        (pb.Record(labels=[str(i) for i in range(101)]), "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"),
        (pb.Record(card="x" * (257 << 10)), "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"),
        (pb.Record(parents=[pb.Parent()]), "INVALID_ARGUMENT", "RECORD_INVALID"),
        (
            pb.Record(
                environment=pb.Environment(
                    packages=[
                        pb.Package(name="torch", version="2.5"),
                        pb.Package(name="torch", version="2.4"),
                    ]
                )
            ),
            "INVALID_ARGUMENT",
            "RECORD_INVALID",
        ),
        (pb.Record(image=pb.ContainerImage(digest="md5:1")), "INVALID_ARGUMENT", "RECORD_INVALID"),
        (pb.Record(signature=pb.Signature(json_schema="[1]")), "INVALID_ARGUMENT", "RECORD_INVALID"),
        (pb.Record(signature=pb.Signature(json_schema="[" * 100_000)), "INVALID_ARGUMENT", "RECORD_INVALID"),
        (
            pb.Record(signature=pb.Signature(inputs=[pb.TensorSpec(name="a", shape=[-2])])),
            "INVALID_ARGUMENT",
            "RECORD_INVALID",
        ),
        (pb.Record(code=pb.Code(diff="not-there")), "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        (
            pb.Record(environment=pb.Environment(packages=[pb.Package(version="1")])),
            "INVALID_ARGUMENT",
            "RECORD_INVALID",
        ),
        (
            pb.Record(environment=pb.Environment(packages=[pb.Package(name=f"p{i}") for i in range(5_001)])),
            "RESOURCE_EXHAUSTED",
            "RESOURCE_EXHAUSTED",
        ),
        (
            pb.Record(parents=[pb.Parent(version="namespaces/record/models/nowhere/versions/1")]),
            "NOT_FOUND",
            "NOT_FOUND",
        ),
        (pb.Record(parents=[pb.Parent(version="nonsense")]), "INVALID_ARGUMENT", "NAME_INVALID"),
        *(
            (pb.Record(parents=[pb.Parent(uri=uri)]), "INVALID_ARGUMENT", "RECORD_INVALID")
            for uri in ("namespaces/x", "namespaces/a/models/b/versions/1", "hf:a\nb", " ", "x" * 2_049)
        ),
        (pb.Record(parents=[pb.Parent(version="x", uri="hf:a")]), "INVALID_ARGUMENT", None),
        (pb.Record(environment=pb.Environment(memory_bytes=1 << 53)), "INVALID_ARGUMENT", "RECORD_INVALID"),
        (
            pb.Record(
                environment=pb.Environment(
                    accelerators=[pb.Accelerator(name="a", memory_bytes=(1 << 64) - 1)]
                )
            ),
            "INVALID_ARGUMENT",
            "RECORD_INVALID",
        ),
        (pb.Record(gaps=["x" * (1 << 20)]), "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"),
        (pb.Record(gaps=["x"] * 101), "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"),
    ],
)
def test_a_record_that_cannot_be_is_refused_and_makes_no_version(
    wire: Wire, record: pb.Record, code: str, reason: str | None
) -> None:
    wire.push("record/refused", {"a": b"1"})
    before = wire.versions("record/refused")
    upload = wire.start("record/refused")
    wire.write_file(upload, "a", b"1")

    with wire.refused(code, reason):
        wire.commit(upload, record=record)

    assert wire.versions("record/refused") == before
    assert wire.commit(upload).number == before[0] + 1, "the upload is still there"


def test_attachments_are_refused_that_are_wrong_or_too_large(
    wire: Wire, records: record_pb2_grpc.RecordServiceStub
) -> None:
    upload = wire.start("record/limits")
    with wire.refused("INVALID_ARGUMENT", "DIGEST_MISMATCH"):
        attach(records, upload, "a", b"1", "0" * 64)
    with wire.refused("INVALID_ARGUMENT", "NAME_INVALID"):
        attach(records, upload, "../a", b"1")
    with wire.refused("RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"):
        attach(records, upload, "large", bytes(65 << 20))
    with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
        records.WriteAttachment(iter(()), timeout=LIMIT)
    with wire.refused("NOT_FOUND", "NOT_FOUND"):
        attach(records, "uploads/" + "0" * 32, "a", b"1")
    for number in range(64):
        attach(records, upload, f"a{number}", b"1")
    with wire.refused("RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"):
        attach(records, upload, "one-more", b"1")
    attach(records, upload, "a0", b"replaced")


def test_an_ended_build_takes_no_record(wire: Wire, records: record_pb2_grpc.RecordServiceStub) -> None:
    build = wire.create_build("record/ended")
    wire.finish(build)
    with wire.refused("FAILED_PRECONDITION", "BUILD_ENDED"):
        records.LogRecord(pb.LogRecordRequest(build=build, record=FULL), timeout=LIMIT)
    with wire.refused("FAILED_PRECONDITION", "BUILD_ENDED"):
        attach(records, build, "a", b"1")


def test_a_recorded_build_is_watched(wire: Wire, records: record_pb2_grpc.RecordServiceStub) -> None:
    build = wire.create_build("record/watched")
    watch = wire.builds.WatchBuild(bld.WatchBuildRequest(build=build), timeout=LIMIT)
    before = next(watch).seq
    records.LogRecord(pb.LogRecordRequest(build=build, record=FULL), timeout=LIMIT)
    assert next(message for message in watch if message.HasField("build")).seq > before
    watch.cancel()


def test_notes_are_kept_in_order_and_change_nothing_that_was_sealed(
    wire: Wire, records: record_pb2_grpc.RecordServiceStub
) -> None:
    version = wire.push("record/noted", {"a": b"1"}, record=FULL)
    for number in range(5):
        request = pb.AddNoteRequest(
            version=version.name, author="ann", text=f"note {number}", request_id=f"n{number}"
        )
        first = records.AddNote(request, timeout=LIMIT).note
        assert records.AddNote(request, timeout=LIMIT).note == first, "the same request is one note"

    found, token = [], ""
    while True:
        request = pb.ListNotesRequest(version=version.name, page_size=2, page_token=token)
        page = records.ListNotes(request, timeout=LIMIT)
        found += [note.text for note in page.notes]
        token = page.next_page_token
        if not token:
            break

    assert found == [f"note {number}" for number in range(5)]
    assert get(records, version.name).digest == version.record_digest


@pytest.mark.parametrize(
    ("author", "text", "code"),
    [
        ("", "x", "INVALID_ARGUMENT"),
        ("a", " \n", "INVALID_ARGUMENT"),
        ("a\nb", "x", "INVALID_ARGUMENT"),
        ("a" * 201, "x", "RESOURCE_EXHAUSTED"),
        ("a", "x" * (65 << 10), "RESOURCE_EXHAUSTED"),
    ],
)
def test_a_note_without_author_or_text_is_refused(
    wire: Wire, records: record_pb2_grpc.RecordServiceStub, author: str, text: str, code: str
) -> None:
    version = wire.push("record/unnoted", {"a": b"1"})
    with wire.refused(code):
        records.AddNote(pb.AddNoteRequest(version=version.name, author=author, text=text), timeout=LIMIT)


def test_a_version_without_a_record_has_an_empty_one(
    wire: Wire, records: record_pb2_grpc.RecordServiceStub
) -> None:
    version = wire.push("record/bare", {"a": b"1"})
    answer = get(records, version.name)
    assert answer.record == pb.Record()
    assert json.loads(answer.sealed_text) == {"version_digest": version.digest}
    with pytest.raises(grpc.RpcError):
        read(records, version.name, "nothing")
