"""What deleting frees, told beforehand and measured on the disk, by reading the packs."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from blake3 import blake3
from server.lifecycles import Lived
from server.wire import LIMIT, Wire, chunk_message, lines, name_of, recipe, stored_bytes
from support import Server, wait_until

from regsvc.store import FileSystem, Kind, read_footer
from regsvc.v1 import artifact_pb2 as art
from regsvc.v1 import lifecycle_pb2 as pb
from regsvc.v1 import record_pb2, record_pb2_grpc

MIB = 1 << 20


@pytest.fixture
def wire(server: Server) -> Wire:
    """A server of its own: everything in its store counts."""
    with Wire(server) as made:
        yield made


def stats(wire: Wire, *names: str) -> pb.GetStorageStatsResponse:
    return wire.lifecycle.GetStorageStats(pb.GetStorageStatsRequest(names=names), timeout=LIMIT)


def collect(wire: Wire, *, full: bool = True, dry_run: bool = False) -> pb.CollectGarbageResponse:
    request = pb.CollectGarbageRequest(full=full, dry_run=dry_run)
    return wire.lifecycle.CollectGarbage(request, timeout=LIMIT)


def push(wire: Wire, model: str, files: Mapping[str, bytes]) -> str:
    """A version, of which the client tells the server nothing but the bytes."""
    return wire.push(model, files).name


def needed_by(wire: Wire, version: str) -> set[tuple[int, bytes]]:
    """Kind and digest of every record that a version needs: its manifest, recipes and chunks, by its manifest."""
    request = art.ReadManifestRequest(version=version, include_chunks=True)
    chunks: dict[str, list[bytes]] = {}
    digests: dict[str, bytes] = {}
    found = set()
    for message in wire.artifacts.ReadManifest(request, timeout=LIMIT):
        if message.digest:
            found.add((Kind.MANIFEST, bytes.fromhex(message.digest)))
        for file in message.files:
            chunks.setdefault(file.path, []).extend(each.digest for each in file.chunks)
            digests[file.path] = bytes.fromhex(file.digest)
    for path, pieces in chunks.items():
        found |= {(Kind.CHUNK, digest) for digest in pieces}
        if len(pieces) > 1:
            found.add((Kind.RECIPE, digests[path]))
    return found


def freed_by_packs(data: Path, going: set[tuple[int, bytes]]) -> int:
    """By how much the packs would shrink without these records, told by nothing but their footers and sizes."""
    freed = 0
    for path in (data / "packs").rglob("*.pack"):
        records = read_footer(FileSystem(), path)
        gone = [each for each in records if (each.kind, each.digest) in going]
        if len(gone) == len(records):
            freed += path.stat().st_size
        else:
            freed += sum(each.end - each.offset + 48 for each in gone)
    return freed


def shapes(chance: random.Random) -> dict[str, tuple[Mapping[str, bytes], Mapping[str, bytes]]]:
    """Two versions' files that share nothing, something and everything."""
    big, other, small = chance.randbytes(3 * MIB), chance.randbytes(2 * MIB), chance.randbytes(999)
    changed = bytearray(big)
    changed[MIB] ^= 1
    return {
        "nothing": ({"w": big, "s": small}, {"w": other, "s": small[1:]}),
        "a file": ({"w": big, "s": small}, {"w": other, "s": small}),
        "chunks": ({"w": big, "s": small}, {"w": bytes(changed), "s": small}),
        "everything": ({"w": big, "s": small}, {"w": big, "s": small}),
        "everything under other names": ({"w": big, "s": small}, {"v": big, "t": small}),
    }


@pytest.mark.parametrize("shape", shapes(random.Random(0)))
def test_deleting_frees_exactly_what_was_foretold(wire: Wire, shape: str) -> None:
    for first in (1, 2):
        frees_what_was_foretold(wire, shape, first)


def frees_what_was_foretold(wire: Wire, shape: str, first: int) -> None:
    """Delete the first of two versions, then the other."""
    one, two = shapes(random.Random(0))[shape]
    model = Lived(wire)
    for files in (one, two):
        push(wire, model.short, files)
    data = wire.server.data
    need = {number: needed_by(wire, model.version(number)) for number in (1, 2)}
    for number, others in ((first, need[3 - first]), (3 - first, set())):
        expected = freed_by_packs(data, need[number] - others)
        before = stored_bytes(data)
        foretold = model.delete(number, keep=0, dry_run=True).freed_size
        usage = stats(wire, model.version(number)).usage
        assert foretold == usage.freed_size == expected
        assert usage.unique_size + usage.shared_size == usage.stored_size
        assert (usage.unique_size == 0) == (shape.startswith("everything") and bool(others))
        assert model.delete(number, keep=0).freed_size == expected
        assert stored_bytes(data) == before  # until it is collected
        dry, done = collect(wire, dry_run=True), collect(wire)
        assert dry == done
        assert (done.versions, done.freed_size, done.dead_size) == (1, expected, 0)
        assert before - stored_bytes(data) == expected
        if others:
            assert wire.read_version(model.version(3 - first)) == dict((one, two)[2 - first])
    assert stored_bytes(data) == 0
    assert stats(wire).packs == 0


def test_versions_together_free_what_they_share_with_each_other(wire: Wire) -> None:
    chance = random.Random(1)
    shared = chance.randbytes(2 * MIB)
    model = Lived(wire)
    for number in range(3):
        push(wire, model.short, {"shared": shared, "own": chance.randbytes(MIB), "n": bytes([number])})
    alone = [stats(wire, model.version(number)).usage for number in (1, 2, 3)]
    together = stats(wire, model.version(1), model.version(2)).usage
    assert together.freed_size == alone[0].freed_size + alone[1].freed_size
    whole = stats(wire, model.name).usage
    assert whole == stats(wire).usage
    assert (whole.versions, whole.files) == (3, 9)
    assert whole.logical_size == 3 * (3 * MIB + 1)
    assert whole.unique_size == whole.stored_size
    assert whole.freed_size == stored_bytes(wire.server.data) == stats(wire).pack_size
    assert whole.freed_size > sum(each.freed_size for each in alone) + 2 * MIB


def test_a_deleted_version_holds_its_bytes_until_it_is_purged(wire: Wire) -> None:
    model = Lived(wire)
    content = random.Random(2).randbytes(MIB)
    for name in ("a", "b"):
        push(wire, model.short, {name: content})
    model.delete(1, keep=3600)
    found = stats(wire)
    assert (found.usage.versions, found.deleted.versions) == (1, 1)
    assert found.deleted.shared_size == found.usage.shared_size == MIB
    assert model.delete(2, dry_run=True).freed_size < MIB
    assert collect(wire).freed_size == 0
    assert wire.read_version(model.version(2)) == {"b": content}
    model.undelete(1)
    assert wire.read_version(model.version(1)) == {"a": content}
    model.delete(1, keep=0)
    collect(wire)
    for call in (lambda: model.get("versions/1", include_deleted=True), lambda: model.undelete(1)):
        with wire.refused("NOT_FOUND", "VERSION_DELETED") as metadata:
            call()
        assert "purge_time" not in metadata
    assert model.listed(include_deleted=True) == [2]
    assert "version.purged" in [kind for kind, _, _ in model.events()]


def test_a_pack_of_which_little_is_dead_is_left_until_asked(start_server: Callable[..., Server]) -> None:
    chance = random.Random(3)
    with Wire(start_server("--collect-dead", "0.5")) as wire:
        model = Lived(wire)
        large, small = chance.randbytes(3 * MIB), chance.randbytes(MIB)
        push(wire, model.short, {"large": large, "small": small})
        push(wire, model.short, {"large": large})
        dead = model.delete(1, keep=0).freed_size
        before = stored_bytes(wire.server.data)
        kept = collect(wire, full=False)
        assert (kept.freed_size, kept.dead_size, kept.packs_rewritten) == (0, dead, 0)
        assert stored_bytes(wire.server.data) == before
        # What is dead and still there is found by a push, and is then no longer dead.
        upload = wire.start(model.short)
        assert wire.missing(upload, [blake3(b"nowhere").digest()]) == [0]
        push(wire, model.short, {"small": small})
        assert collect(wire, full=False).dead_size < dead - MIB
        done = collect(wire)
        assert done.dead_size == 0
        assert done.packs_rewritten >= 1
        assert wire.read_version(model.version(2)) == {"large": large}
        assert wire.read_version(model.version(3)) == {"small": small}


def test_a_chunk_that_an_upload_was_told_is_there_stays(wire: Wire) -> None:
    model = Lived(wire)
    content = random.Random(4).randbytes(100_000)
    push(wire, model.short, {"w": content})
    upload = wire.start(model.short)
    digest = blake3(content).digest()
    assert wire.missing(upload, [digest]) == []
    model.delete(1, keep=0)
    collect(wire)
    part = art.RecipePart(
        path="again",
        chunks=[art.ChunkRef(digest=digest, size=len(content))],
        finish=True,
        digest=digest.hex(),
    )
    wire.write_chunks(art.WriteChunksRequest(upload=upload, recipes=[part]))
    collect(wire)
    wire.commit(upload)
    collect(wire)
    assert wire.read_version(model.version(2)) == {"again": content}
    model.delete(2, keep=0)
    collect(wire)
    assert stored_bytes(wire.server.data) == 0
    assert wire.missing(wire.start(model.short), [digest]) == [0]


def test_what_arrived_in_an_upload_stays_before_any_file_names_it(wire: Wire) -> None:
    chance = random.Random(5)
    model = Lived(wire)
    pieces = [chance.randbytes(2 * MIB) for _ in range(34)]  # more than a pack
    upload = wire.start(model.short)
    for piece in pieces:
        wire.write_chunks(chunk_message(upload, piece))
    collect(wire)
    whole = b"".join(pieces)
    wire.write_chunks(
        art.WriteChunksRequest(
            upload=upload, recipes=[recipe("w", *pieces, digest=blake3(whole).hexdigest())]
        )
    )
    collect(wire)
    wire.commit(upload)
    collect(wire)
    assert wire.read_version(model.version(1)) == {"w": whole}


def test_logs_and_attachments_of_builds_stay(wire: Wire) -> None:
    build = wire.create_build("logs/m")
    text = [b"line %d" % number for number in range(1000)]
    wire.append(build, lines(1, *text))
    upload = wire.start("logs/m", build)
    wire.write_file(upload, "w", b"weights")
    version = wire.commit(upload).name
    wire.finish(build)
    wait_until(lambda: wire.build(build).log_digest, what="the sealed log")
    request = pb.DeleteVersionRequest(name=version, keep={"seconds": 0})
    wire.lifecycle.DeleteVersion(request, timeout=LIMIT)
    assert collect(wire).versions == 1
    assert [line.text for line in wire.log(build)] == text
    assert list(wire.build(build).versions) == []


def test_names_of_statistics_are_checked(wire: Wire) -> None:
    with wire.refused("NOT_FOUND", "NOT_FOUND"):
        stats(wire, name_of("no/model"))
    with wire.refused("INVALID_ARGUMENT", "NAME_INVALID"):
        stats(wire, "nonsense")
    with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
        stats(wire, *[name_of("no/model")] * 101)
    assert stats(wire).usage == pb.StorageUsage()


def attach(wire: Wire, owner: str, name: str, data: bytes) -> None:
    stub = record_pb2_grpc.RecordServiceStub(wire.channel)
    stub.WriteAttachment(
        iter([record_pb2.WriteAttachmentRequest(owner=owner, name=name, data=data)]), timeout=LIMIT
    )


def test_attachments_are_counted_and_freed_but_those_of_the_build(wire: Wire) -> None:
    chance = random.Random(6)
    own, built, weights = (chance.randbytes(size) for size in (300_000, 200_000, MIB))
    build = wire.create_build("attached/m")
    attach(wire, build, "of-the-build", built)
    upload = wire.start("attached/m", build)
    attach(wire, upload, "own", own)
    wire.write_file(upload, "w", weights)
    version = wire.commit(upload).name
    wire.finish(build)
    usage = stats(wire, version).usage
    assert usage.stored_size == len(own) + len(built) + len(weights)
    assert usage.shared_size == len(built)
    going = needed_by(wire, version) | {(Kind.CHUNK, blake3(own).digest())}
    assert usage.freed_size == freed_by_packs(wire.server.data, going)
    before = stored_bytes(wire.server.data)
    request = pb.DeleteVersionRequest(name=version, keep={"seconds": 0})
    assert wire.lifecycle.DeleteVersion(request, timeout=LIMIT).freed_size == usage.freed_size
    assert collect(wire).freed_size == before - stored_bytes(wire.server.data) == usage.freed_size
    stub = record_pb2_grpc.RecordServiceStub(wire.channel)
    read = stub.ReadAttachment(
        record_pb2.ReadAttachmentRequest(owner=build, name="of-the-build"), timeout=LIMIT
    )
    assert b"".join(part.data for part in read) == built
