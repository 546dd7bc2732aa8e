"""What may not be written: each gets its code, nothing is stored half, and the server's memory stays bounded."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Iterator

import pytest
import zstandard
from blake3 import blake3
from server.wire import LIMIT, Wire, chunk_message, file_messages, peak_memory, raw_frame, recipe
from support import Server

from regsvc.v1 import artifact_pb2 as art
from regsvc.v1 import registry_pb2 as reg

BOUND = 512 << 20
PATHS = {
    "parent": "../evil",
    "inner parent": "a/../../evil",
    "absolute": "/etc/passwd",
    "dot": "./a",
    "empty component": "a//b",
    "trailing slash": "a/",
    "empty": "",
    "line feed": "a\nb",
    "zero": "a\x00b",
    "escape": "a\x1b[31mb",
    "c1": "a\x85b",
    "backslash": "..\\evil",
    "long": "a/" * 600 + "b",
    "all control": "\x01" * 1024,
}


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS.keys())
def test_write_file_refuses_paths_that_leave_the_tree(wire: Wire, path: str) -> None:
    upload = wire.start("bad/paths")
    with wire.refused("INVALID_ARGUMENT", "PATH_INVALID"):
        wire.write_file(upload, path, b"x")
    assert not wire.upload(upload).files
    with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
        wire.commit(upload)


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS.keys())
def test_recipes_refuse_paths_that_leave_the_tree(wire: Wire, path: str) -> None:
    upload = wire.start("bad/paths")
    with wire.refused("INVALID_ARGUMENT", "PATH_INVALID"):
        wire.write_chunks(chunk_message(upload, b"x", recipes=[recipe(path, b"x")]))
    assert not wire.upload(upload).files


@pytest.mark.parametrize(
    "path", ["ü/ß 漢字.bin", " lead", "a'b\"c", "-rf", "~", "a" * 1024, "CON", "a:b", "..."]
)
def test_odd_but_lawful_paths_are_kept_exactly(wire: Wire, path: str) -> None:
    version = wire.push("odd/paths", {path: path.encode()})
    assert wire.read_version(version.name) == {path: path.encode()}


def test_commit_refuses_a_file_that_is_anothers_directory(wire: Wire) -> None:
    upload = wire.start("bad/tree")
    wire.write_file(upload, "a", b"1")
    wire.write_file(upload, "a/b", b"2")
    with wire.refused("INVALID_ARGUMENT", "PATH_INVALID"):
        wire.commit(upload)
    with wire.refused("NOT_FOUND", "NOT_FOUND"):
        wire.versions("bad/tree")


def test_commit_refuses_an_upload_without_files(wire: Wire) -> None:
    with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
        wire.commit(wire.start("bad/empty"))


def test_a_stream_that_names_nothing_is_refused(wire: Wire) -> None:
    with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
        wire.artifacts.WriteFile(iter(()), timeout=LIMIT)
    with wire.refused("INVALID_ARGUMENT", "NAME_INVALID"):
        wire.write_file("", "a", b"1")
    with wire.refused("INVALID_ARGUMENT", "NAME_INVALID"):
        wire.write_chunks(art.WriteChunksRequest(upload="uploads/../x"))


@pytest.mark.parametrize("digest", ["x", "0" * 63, "g" * 64, "0" * 65, "ü" * 32, " " * 64])
def test_a_malformed_digest_is_refused(wire: Wire, digest: str) -> None:
    upload = wire.start("bad/digest")
    with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
        wire.write_file(upload, "a", b"1", digest=digest)
    wire.write_file(upload, "a", b"1")
    with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
        wire.commit(upload, digest=digest)


def test_a_wrong_file_digest_drops_the_bytes_and_the_file_starts_anew(wire: Wire) -> None:
    upload, data = wire.start("bad/digest"), random.Random(1).randbytes(3 << 20)
    with wire.refused("INVALID_ARGUMENT", "DIGEST_MISMATCH"):
        wire.write_file(upload, "a", data, digest=blake3(b"other").hexdigest())
    assert [(f.committed_size, f.complete) for f in wire.upload(upload).files] in ([], [(0, False)])
    done = wire.write_file(upload, "a", data, digest=blake3(data).hexdigest())
    assert (done.committed_size, done.complete, done.digest) == (len(data), True, blake3(data).hexdigest())
    assert wire.read_version(wire.commit(upload).name) == {"a": data}


def test_a_wrong_recipe_digest_starts_the_file_anew(wire: Wire) -> None:
    upload = wire.start("bad/digest")
    with wire.refused("INVALID_ARGUMENT", "DIGEST_MISMATCH"):
        wire.write_chunks(chunk_message(upload, b"ab", recipes=[recipe("a", b"ab", digest="0" * 64)]))
    wire.write_chunks(chunk_message(upload, b"ab", recipes=[recipe("a", b"ab")]))
    assert wire.read_version(wire.commit(upload).name) == {"a": b"ab"}


def test_a_wrong_version_digest_makes_no_version(wire: Wire) -> None:
    upload = wire.start("bad/version")
    wire.write_file(upload, "a", b"1")
    with wire.refused("INVALID_ARGUMENT", "DIGEST_MISMATCH"):
        wire.commit(upload, digest="0" * 64)
    with wire.refused("NOT_FOUND", "NOT_FOUND"):
        wire.versions("bad/version")
    assert wire.commit(upload).number == 1


def test_a_chunk_with_a_wrong_digest_is_dropped(wire: Wire) -> None:
    upload, raw = wire.start("bad/chunks"), b"not what it says"
    message = chunk_message(upload, raw)
    message.frames[0].digest = blake3(b"something else").digest()
    with wire.refused("INVALID_ARGUMENT", "DIGEST_MISMATCH"):
        wire.write_chunks(message)
    assert wire.missing(upload, [blake3(raw).digest(), blake3(b"something else").digest()]) == [0, 1]


def bad_frames() -> Iterator[tuple[str, art.ChunkFrame, bytes]]:
    raw = bytes(1000)
    packed = zstandard.ZstdCompressor().compress(raw)
    digest = blake3(raw).digest()

    def frame(
        codec: int, raw_size: int, payload: bytes, stored: int | None = None
    ) -> tuple[art.ChunkFrame, bytes]:
        size = len(payload) if stored is None else stored
        made = art.ChunkFrame(digest=digest, codec=codec, raw_size=raw_size, stored_size=size)  # type: ignore[arg-type]
        return made, payload

    zeros = zstandard.ZstdCompressor().compress(bytes(3 << 20))
    giant = zstandard.ZstdCompressor(level=1, write_content_size=False).compressobj()
    block, bomb = bytes(16 << 20), b""
    for _ in range(64):
        bomb += giant.compress(block)
    bomb += giant.flush()
    yield "no codec", *frame(art.CODEC_UNSPECIFIED, 1000, raw)
    yield "unknown codec", *frame(99, 1000, raw)
    yield "negative codec", *frame(-1, 1000, raw)
    yield "truncated", *frame(art.CODEC_ZSTD, 1000, packed[:-1])
    yield "garbage", *frame(art.CODEC_ZSTD, 1000, b"garbage")
    yield "followed by something", *frame(art.CODEC_ZSTD, 1000, packed + b"x")
    yield "decodes to more", *frame(art.CODEC_ZSTD, 999, packed)
    yield "decodes to less", *frame(art.CODEC_ZSTD, 1001, packed)
    yield "oversized", *frame(art.CODEC_ZSTD, 3 << 20, zeros)
    yield "4 GiB by name", *frame(art.CODEC_ZSTD, 2**32 - 1, packed)
    yield "bomb of 1 GiB", *frame(art.CODEC_ZSTD, 2 << 20, bomb)
    yield "bomb of 1 GiB in planes", *frame(art.CODEC_PLANES8_ZSTD, 2 << 20, bomb * 8)
    yield "empty", *frame(art.CODEC_RAW, 0, b"")
    yield "raw of another size", *frame(art.CODEC_RAW, 999, raw)
    yield "odd planes", *frame(art.CODEC_PLANES2_ZSTD, 999, packed)
    yield "too few planes", *frame(art.CODEC_PLANES4_ZSTD, 1000, packed)
    yield "more than the data", *frame(art.CODEC_RAW, 1000, raw, stored=1001)
    yield "less than the data", *frame(art.CODEC_RAW, 1000, raw + b"x", stored=1000)
    yield "stored 4 GiB", *frame(art.CODEC_RAW, 1000, raw, stored=2**32 - 1)


def test_frames_that_lie_are_refused_and_memory_stays_bounded(shared_server: Server, wire: Wire) -> None:
    upload = wire.start("bad/frames")
    for name, frame, payload in bad_frames():
        with wire.refused("INVALID_ARGUMENT", "FRAME_INVALID"):
            print(name)
            wire.write_chunks(art.WriteChunksRequest(upload=upload, frames=[frame], data=payload))
    assert wire.missing(upload, [blake3(bytes(1000)).digest()]) == [0]
    assert peak_memory(shared_server) < BOUND


def test_frames_and_data_must_match_in_number(wire: Wire) -> None:
    upload = wire.start("bad/frames")
    with wire.refused("INVALID_ARGUMENT", "FRAME_INVALID"):
        wire.write_chunks(
            art.WriteChunksRequest(upload=upload, frames=[raw_frame(b"a"), raw_frame(b"b")], data=b"a")
        )
    with wire.refused("INVALID_ARGUMENT", "FRAME_INVALID"):
        wire.write_chunks(art.WriteChunksRequest(upload=upload, data=b"a"))
    short = art.ChunkFrame(digest=b"short", codec=art.CODEC_RAW, raw_size=1, stored_size=1)
    with wire.refused("INVALID_ARGUMENT", "DIGEST_MISMATCH"):
        wire.write_chunks(art.WriteChunksRequest(upload=upload, frames=[short], data=b"a"))


def test_messages_over_the_limits_are_refused(shared_server: Server, wire: Wire) -> None:
    upload = wire.start("bad/sizes")
    over = bytes((3 << 20) + 1)
    with wire.refused("RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"):
        wire.artifacts.WriteFile(
            iter([art.WriteFileRequest(upload=upload, path="a", data=over)]), timeout=LIMIT
        )
    with wire.refused("RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"):
        wire.write_chunks(art.WriteChunksRequest(upload=upload, data=over))
    with wire.refused("RESOURCE_EXHAUSTED"):  # past gRPC's own limit
        wire.artifacts.WriteFile(
            iter([art.WriteFileRequest(upload=upload, path="a", data=bytes(5 << 20))]), timeout=LIMIT
        )
    full = bytes(3 << 20)
    wire.artifacts.WriteFile(
        iter([art.WriteFileRequest(upload=upload, path="a", data=full, finish=True)]), timeout=LIMIT
    )
    assert wire.read_version(wire.commit(upload).name) == {"a": full}
    assert peak_memory(shared_server) < BOUND


def safetensors(header: object, body: bytes, length: int | None = None) -> bytes:
    text = json.dumps(header).encode() if not isinstance(header, bytes) else header
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def tensor(begin: int, end: int, count: int = 0, dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": [count or (end - begin) // 4], "data_offsets": [begin, end]}


BODY = random.Random(2).randbytes(1 << 20)
LIARS = {
    "length past the file": safetensors({"a": tensor(0, 1 << 20)}, BODY, length=1 << 40),
    "length of 2^64-1": safetensors({"a": tensor(0, 1 << 20)}, BODY, length=2**64 - 1),
    "length too short": safetensors({"a": tensor(0, 1 << 20)}, BODY, length=10),
    "length 0": safetensors({"a": tensor(0, 1 << 20)}, BODY, length=0),
    "claims 200 MB of JSON": safetensors(b'{"' + b"a" * 200_000, BODY, length=200_000_000),
    "claims 15 MB of JSON": safetensors(b'{"' + b"a" * 200_000, BODY, length=15_000_000),
    "offsets past the file": safetensors({"a": tensor(0, 1 << 40)}, BODY),
    "offsets backwards": safetensors({"a": tensor(4096, 0, 1024)}, BODY),
    "negative offsets": safetensors({"a": tensor(-8, 8, 4)}, BODY),
    "overlap": safetensors({"a": tensor(0, 1 << 19), "b": tensor(1 << 18, 1 << 20)}, BODY),
    "shape of another size": safetensors({"a": tensor(0, 1 << 20, 7)}, BODY),
    "unknown dtype": safetensors({"a": tensor(0, 1 << 20, 1, "F99")}, BODY),
    "a list": safetensors([1, 2], BODY),
    "nested": safetensors(b"[" * 100_000, BODY),
    "nested objects": safetensors(b'{"a":' * 100_000, BODY),
    "not UTF-8": safetensors(b'{"\xff\xfe": 1}', BODY),
    "digits": safetensors(b'{"a": ' + b"9" * 10_000 + b"}", BODY),
    "cut in the length": b"\x10\x00\x00",
}


@pytest.mark.parametrize("size", ["true", "none", "lie"])
def test_a_lying_safetensors_header_is_stored_byte_exact(
    shared_server: Server, wire: Wire, size: str
) -> None:
    upload = wire.start("liars/tensors")
    for name, data in LIARS.items():
        said = {"true": len(data), "none": -1, "lie": 1 << 50}[size]
        wire.write_file(upload, f"{name}.safetensors", data, size=said)
    version = wire.commit(upload)
    assert wire.read_version(version.name) == {f"{name}.safetensors": data for name, data in LIARS.items()}
    assert peak_memory(shared_server) < BOUND


def test_an_offset_gap_names_the_committed_size(wire: Wire) -> None:
    upload, data = wire.start("bad/gaps"), random.Random(3).randbytes(2 << 20)
    wire.artifacts.WriteFile(file_messages(upload, "a", data, finish=False), timeout=LIMIT)
    for offset in (len(data) + 1, 2**63, 2**64 - 1):
        with wire.refused("OUT_OF_RANGE", "OFFSET_GAP") as metadata:
            request = art.WriteFileRequest(upload=upload, path="a", offset=offset, data=b"x")
            wire.artifacts.WriteFile(iter([request]), timeout=LIMIT)
        assert metadata["committed_size"] == str(len(data))
        with wire.refused("OUT_OF_RANGE", "OFFSET_GAP"):
            request = art.WriteFileRequest(upload=upload, path="a", offset=offset, finish=True)
            wire.artifacts.WriteFile(iter([request]), timeout=LIMIT)
    [file] = wire.upload(upload).files
    assert (file.committed_size, file.complete) == (len(data), False)


def test_an_overlap_is_skipped(wire: Wire) -> None:
    upload, data = wire.start("bad/overlaps"), random.Random(4).randbytes(3_000_000)
    wire.artifacts.WriteFile(file_messages(upload, "a", data[:1_500_000], finish=False), timeout=LIMIT)
    wire.artifacts.WriteFile(
        file_messages(upload, "a", data[:2_000_000], 700_000, finish=False), timeout=LIMIT
    )
    whole = file_messages(upload, "a", data, digest=blake3(data).hexdigest())
    assert wire.artifacts.WriteFile(whole, timeout=LIMIT).file.complete
    again = file_messages(upload, "a", data, digest=blake3(data).hexdigest())
    assert wire.artifacts.WriteFile(again, timeout=LIMIT).file.complete
    assert wire.read_version(wire.commit(upload).name) == {"a": data}


def test_recipe_gaps_and_overlaps(wire: Wire) -> None:
    upload = wire.start("bad/recipes")
    wire.write_chunks(
        chunk_message(upload, b"abc", b"def", b"ghi", recipes=[recipe("f", b"abc", b"def", finish=False)])
    )
    with wire.refused("OUT_OF_RANGE", "OFFSET_GAP") as metadata:
        gap = recipe("f", b"ghi", offset=7)
        wire.write_chunks(art.WriteChunksRequest(upload=upload, recipes=[gap]))
    assert metadata["committed_size"] == "6"
    overlap = recipe("f", b"def", b"ghi", offset=3)
    wire.write_chunks(art.WriteChunksRequest(upload=upload, recipes=[overlap]))
    wire.write_chunks(art.WriteChunksRequest(upload=upload, recipes=[overlap]))
    assert wire.read_version(wire.commit(upload).name) == {"f": b"abcdefghi"}


def test_a_recipe_of_chunks_that_are_not_there_is_refused_with_their_count(wire: Wire) -> None:
    upload = wire.start("bad/missing")
    with wire.refused("FAILED_PRECONDITION", "CHUNKS_MISSING") as metadata:
        part = recipe("f", b"never sent 1", b"here", b"never sent 2")
        wire.write_chunks(chunk_message(upload, b"here", recipes=[part]))
    assert metadata["missing"] == "2"
    with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
        lie = recipe("f", b"here")
        lie.chunks[0].size = 5
        wire.write_chunks(art.WriteChunksRequest(upload=upload, recipes=[lie]))
    wire.write_chunks(art.WriteChunksRequest(upload=upload, recipes=[recipe("f", b"here")]))
    assert wire.read_version(wire.commit(upload).name) == {"f": b"here"}


def test_commit_refuses_an_incomplete_file_and_names_it(wire: Wire) -> None:
    upload = wire.start("bad/incomplete")
    wire.write_file(upload, "whole", b"1")
    wire.artifacts.WriteFile(file_messages(upload, "half", b"2", finish=False), timeout=LIMIT)
    with wire.refused("FAILED_PRECONDITION", "FILES_INCOMPLETE") as metadata:
        wire.commit(upload)
    assert metadata["path"] == "half"
    with wire.refused("NOT_FOUND", "NOT_FOUND"):
        wire.versions("bad/incomplete")


def test_find_missing_refuses_what_is_no_digest_and_too_many(wire: Wire) -> None:
    upload = wire.start("bad/find")
    with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
        wire.missing(upload, [b"short"])
    with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
        wire.missing(upload, [bytes(32)] * 16_385)
    assert wire.missing(upload, [bytes(32)] * 16_384) == [0]


def test_a_closed_upload_takes_nothing(wire: Wire) -> None:
    upload = wire.start("bad/closed")
    wire.artifacts.AbortUpload(art.AbortUploadRequest(name=upload), timeout=LIMIT)
    wire.artifacts.AbortUpload(art.AbortUploadRequest(name=upload), timeout=LIMIT)
    assert wire.upload(upload).state == art.UPLOAD_STATE_ABORTED
    for call in (
        lambda: wire.write_file(upload, "a", b"1"),
        lambda: wire.write_chunks(chunk_message(upload, b"1")),
        lambda: wire.missing(upload, [bytes(32)]),
        lambda: wire.commit(upload),
    ):
        with wire.refused("FAILED_PRECONDITION", "UPLOAD_CLOSED"):
            call()


def test_a_committed_upload_answers_with_its_version_again_and_cannot_be_aborted(wire: Wire) -> None:
    upload = wire.start("good/again")
    wire.write_file(upload, "a", b"1")
    version = wire.commit(upload)
    assert wire.commit(upload) == version
    assert wire.versions("good/again") == [1]
    with wire.refused("FAILED_PRECONDITION", "UPLOAD_COMMITTED"):
        wire.artifacts.AbortUpload(art.AbortUploadRequest(name=upload), timeout=LIMIT)
    assert wire.upload(upload).version == version.name


def test_reads_outside_of_a_file_are_refused(wire: Wire) -> None:
    version = wire.push("reads/range", {"a": b"0123456789", "empty": b""}).name
    assert wire.read_file(version, "a", 3, 4) == b"3456"
    assert wire.read_file(version, "a", 10) == b""
    assert wire.read_file(version, "a", 0, 2**64 - 1) == b"0123456789"
    assert wire.read_file(version, "empty") == b""
    for offset in (11, 2**63, 2**64 - 1):
        with wire.refused("OUT_OF_RANGE", "OUT_OF_RANGE"):
            wire.read_file(version, "a", offset)
        with wire.refused("OUT_OF_RANGE", "OUT_OF_RANGE"):
            ranges = [art.FileRange(path="a", offset=offset)]
            list(
                wire.artifacts.ReadChunks(
                    art.ReadChunksRequest(version=version, ranges=ranges), timeout=LIMIT
                )
            )
    for path in ("b", "../a", "", "a/" * 100_000, "\n" * 60_000):
        with wire.refused("NOT_FOUND", "NOT_FOUND"):
            wire.read_file(version, path)
        with wire.refused("NOT_FOUND", "NOT_FOUND"):
            ranges = [art.FileRange(path=path)]
            list(
                wire.artifacts.ReadChunks(
                    art.ReadChunksRequest(version=version, ranges=ranges), timeout=LIMIT
                )
            )


@pytest.mark.parametrize("count", [0, 16_385])
def test_read_chunks_refuses_no_and_too_many_ranges(wire: Wire, count: int) -> None:
    version = wire.push("reads/many", {"a": b"0"}).name
    request = art.ReadChunksRequest(version=version, ranges=[art.FileRange(path="a")] * count)
    with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
        list(wire.artifacts.ReadChunks(request, timeout=LIMIT))


def test_chunks_come_as_stored_only_to_those_who_accept_them(wire: Wire) -> None:
    data = b"compressible " * 100_000
    version = wire.push("reads/accept", {"a": data})
    assert version.stored_size < len(data) // 2
    for accept, codecs in ([], {art.CODEC_RAW}), ([art.CODEC_ZSTD, 77], {art.CODEC_ZSTD}):
        request = art.ReadChunksRequest(version=version.name, ranges=[art.FileRange(path="a")], accept=accept)
        whole = b""
        for message in wire.artifacts.ReadChunks(request, timeout=LIMIT):
            position = 0
            for frame in message.frames:
                payload = message.data[position : position + frame.stored_size]
                position += frame.stored_size
                assert frame.codec in codecs
                raw = payload
                if frame.codec == art.CODEC_ZSTD:
                    raw = zstandard.ZstdDecompressor().decompress(payload, max_output_size=frame.raw_size)
                assert blake3(raw).digest() == frame.digest
                whole += raw
            assert position == len(message.data)
        assert whole == data


def test_ten_thousand_aliases_are_refused_and_nothing_of_them_stays(wire: Wire) -> None:
    upload = wire.start("bad/aliases")
    wire.write_file(upload, "a", b"1")
    with wire.refused("RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"):
        wire.commit(upload, aliases=[f"a{i}" for i in range(10_000)])
    for start in range(0, 1000, 100):
        wire.push("full/aliases", {"a": b"1"}, aliases=[f"a{i}" for i in range(start, start + 100)])
    with wire.refused("RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"):
        wire.push("full/aliases", {"a": b"1"}, aliases=["one-more"])
    version = reg.SetAliasRequest(
        name="namespaces/full/models/aliases/aliases/one-more",
        version="namespaces/full/models/aliases/versions/1",
    )
    with wire.refused("RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"):
        wire.registry.SetAlias(version, timeout=LIMIT)
    model = wire.registry.GetModel(
        reg.GetModelRequest(name="namespaces/full/models/aliases"), timeout=LIMIT
    ).model
    assert (len(model.aliases), model.latest_version) == (1000, 10)
