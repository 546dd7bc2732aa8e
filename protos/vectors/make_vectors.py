"""Writes the golden vectors next to itself; `README.md` explains them. Takes no arguments."""

import json
from pathlib import Path
from typing import Any

import zstandard
from blake3 import blake3

from regsvc.content import chunking, codec, manifest
from regsvc.content.codec import Codec, Frame
from regsvc.content.frames import raw_frame
from regsvc.content.layout import Layout

HERE = Path(__file__).parent


def generate(spec: dict[str, Any]) -> bytes:
    """Bytes from their description in a vector file."""
    if "hex" in spec:
        return bytes.fromhex(spec["hex"])
    if "parts" in spec:
        return b"".join(generate(part) for part in spec["parts"])
    if "safetensors" in spec:
        header = spec["safetensors"].encode()
        return len(header).to_bytes(8, "little") + header + generate(spec["data"])
    size = spec["size"]
    if "zeros" in spec:
        return bytes(size)
    if "bits" in spec:
        # Low byte as it comes, high byte 60 + the number of ones in the three low bits: like BF16 weights.
        stream = bytearray(blake3(spec["bits"].encode()).digest(length=size))
        stream[1::2] = bytes(60 + (byte & 7).bit_count() for byte in stream[1::2])
        return bytes(stream)
    return blake3(spec["xof"].encode()).digest(length=size)


def chunking_vectors() -> dict[str, Any]:
    """Cuts of whole files."""
    kib = 1024
    cases: list[tuple[str, dict[str, Any]]] = [
        ("empty", {"zeros": True, "size": 0}),
        ("one byte", {"xof": "one byte", "size": 1}),
        ("as long as the shortest chunk", {"xof": "shortest", "size": 128 * kib}),
        ("random", {"xof": "random", "size": 6 * kib * kib + 13}),
        ("zeros: every cut at the longest chunk", {"zeros": True, "size": 5 * kib * kib}),
        ("tensors: large, small joined, another width, without elements", _tensors()),
        ("tensors: the same after an edit of the header", _tensors(note="every offset moves")),
        ("tensors: a gap, and bytes after the last", _gapped()),
        ("tensors too short a file: one chunk", _single(1000, 4000)),
        ("header that lies about its tensor: cut as unknown", _single(300_000, 1_200_004)),
        *FORMATS.items(),
    ]
    found = []
    for name, spec in cases:
        data, offset, cuts = generate(spec), 0, []
        for chunk in chunking.cut(data):
            cuts.append([offset, len(chunk.data), int(chunk.layout), blake3(chunk.data).hexdigest()])
            offset += len(chunk.data)
        found.append(
            {"name": name, "input": spec, "size": len(data), "blake3": blake3(data).hexdigest(), "cuts": cuts}
        )
    return {
        "parameters": {
            "fastcdc": {"min": 131072, "average": 524288, "max": 2097152, "normalization": 2, "seed": 0},
            "slice": chunking.SLICE,
            "small_tensor": chunking.SMALL_TENSOR,
        },
        "fields of a cut": ["offset", "length", "element width, 0 if unknown", "BLAKE3"],
        "files": found,
    }


def codec_vectors() -> dict[str, Any]:
    """Payloads that decode, and payloads that must be refused."""
    bf16 = generate({"bits": "bf16", "size": 4096})
    text = b"".join(b'{"id": %d, "token": "##%d"},\n' % (i, i * i) for i in range(40))
    noise = generate({"xof": "noise", "size": 600})
    quads = b"".join(bytes((noise[i], i & 3, 60, 0)) for i in range(600))
    octets = b"".join((i * 3).to_bytes(8, "little") for i in range(200))
    decodes = [
        ("empty", b"", codec.encode(b"", Layout.OPAQUE)),
        ("raw", noise, codec.encode(noise, Layout.OPAQUE)),
        ("zstd", text, codec.encode(text, Layout.OPAQUE)),
        ("planes of 2, the first in raw blocks", bf16, codec.encode(bf16, Layout.WIDTH2)),
        ("planes of 4", quads, codec.encode(quads, Layout.WIDTH4)),
        ("planes of 8", octets, codec.encode(octets, Layout.WIDTH8)),
        ("zstd, no content size, checksum", text, Frame(Codec.ZSTD, _foreign(text))),
        (
            "planes of 2, streamed: neither states its content size",
            bf16,
            Frame(Codec.PLANES2_ZSTD, _foreign(bf16[::2]) + _foreign(bf16[1::2])),
        ),
        ("raw blocks of 100 bytes", noise, Frame(Codec.ZSTD, _small_blocks(noise))),
    ]
    good = zstandard.ZstdCompressor(level=1).compress(text)
    plane = raw_frame(b"ab")
    bomb = zstandard.ZstdCompressor(level=1).compress(bytes(64 << 20))
    refused = [
        ("codec 0 is unspecified", 0, b"abcd", 4),
        ("codec 9 is unknown", 9, b"abcd", 4),
        ("raw of another size", Codec.RAW, b"abcd", 5),
        ("raw size over 2 MiB", Codec.ZSTD, good, (2 << 20) + 1),
        ("no frame", Codec.ZSTD, b"", 0),
        ("not zstd", Codec.ZSTD, b"not a zstd frame", 16),
        ("truncated", Codec.ZSTD, good[:-1], len(text)),
        ("bytes after the frame", Codec.ZSTD, good + b"\0", len(text)),
        ("two frames where one belongs", Codec.ZSTD, good + good, 2 * len(text)),
        ("content size is not the raw size", Codec.ZSTD, good, len(text) + 1),
        ("streamed frame holds more than the raw size", Codec.ZSTD, _foreign(text), len(text) - 1),
        ("streamed frame holds less than the raw size", Codec.ZSTD, _foreign(text), len(text) + 1),
        ("states 64 MiB in few bytes", Codec.ZSTD, bomb, 1 << 20),
        ("block of the reserved type", Codec.ZSTD, bytes.fromhex("28b52ffd2004270000") + b"abcd", 4),
        ("needs a dictionary", Codec.ZSTD, bytes.fromhex("28b52ffd210704210000") + b"abcd", 4),
        ("skippable frame", Codec.ZSTD, bytes.fromhex("502a4d1804000000") + b"abcd", 4),
        ("one plane of two", Codec.PLANES2_ZSTD, plane, 4),
        ("three planes of two", Codec.PLANES2_ZSTD, plane * 3, 4),
        ("planes of unequal length", Codec.PLANES2_ZSTD, plane + raw_frame(b"abc"), 4),
        ("size is no multiple of the width", Codec.PLANES2_ZSTD, plane + raw_frame(b"a"), 3),
    ]
    return {
        "codecs": {item.name: int(item) for item in Codec},
        "decodes": [
            {"name": name, "codec": int(frame.codec), "raw": raw.hex(), "payload": bytes(frame.payload).hex()}
            for name, raw, frame in decodes
        ],
        "refused": [
            {"why": why, "codec": int(number), "payload": payload.hex(), "raw_size": size}
            for why, number, payload, size in refused
        ],
    }


def manifest_vectors() -> dict[str, Any]:
    """Manifests of small files, and paths."""
    trees = [
        {},
        {"model.safetensors": b"weights", "config.json": b"{}", "tokenizer/vocab.txt": b"[PAD]\n"},
        {"a/b": b"1", "a-b": b"2", "a.b": b"", "B": b"4", "ä": b"5", "\U0001f600": b"6", "\uffee": b"7"},
    ]
    manifests = []
    for tree in trees:
        entries = [manifest.Entry(path, len(data), blake3(data).digest()) for path, data in tree.items()]
        manifests.append(
            {
                "files": {path: data.hex() for path, data in tree.items()},
                "text": manifest.text(entries).decode(),
                "version_digest": manifest.version_digest(entries).hex(),
            }
        )
    return {
        "manifests": manifests,
        "valid_paths": [
            "a", "a/b/c", ".hidden", "...", "a..b", "..a/b..", "with space", "-dash", "~", "a:b", "a*?\"<>|",
            "é", "e\u0301", "日本語/モデル", "\U0001f600", "x" * 1024,
        ],
        "invalid_paths": [
            {"why": why, "path": path}
            for why, path in [
                ("empty", ""), ("absolute", "/a"), ("parent", "../a"), ("parent inside", "a/../b"),
                ("parent last", "a/.."), ("dot", "./a"), ("dot inside", "a/./b"), ("empty component", "a//b"),
                ("ends with a slash", "a/"), ("backslash", "a\\b"), ("line feed", "a\nb"), ("NUL", "a\0b"),
                ("DEL", "a\x7fb"), ("C1", "a\x85b"), ("1,025 bytes", "x" * 1025),
                ("1,026 bytes of UTF-8", "é" * 513), ("lone surrogate", "a\ud800"),
            ]
        ],
        "invalid_trees": [["a", "a"], ["a", "a-b", "a/b"], ["a/b/c", "a/b"]],
    }  # fmt: skip


def _tensors(note: str | None = None) -> dict[str, Any]:
    sizes = [
        ("embed", "BF16", 1_300_000), ("norm.0", "F16", 5_000), ("norm.1", "BF16", 30_000),
        ("none", "F32", 0), ("bias", "F32", 9_000), *((f"b.{i}", "F32", 16_000) for i in range(17)),
        ("edge", "F32", 16_384), ("ids", "I64", 512),
    ]  # fmt: skip
    header: dict[str, Any] = {"__metadata__": {"note": note}} if note else {}
    at = 0
    for name, dtype, count in sizes:
        size = count * {"BF16": 2, "F16": 2, "F32": 4, "I64": 8}[dtype]
        header[name] = {"dtype": dtype, "shape": [count], "data_offsets": [at, at + size]}
        at += size
    return {"safetensors": json.dumps(header), "data": {"xof": "tensors", "size": at}}


def _gapped() -> dict[str, Any]:
    header = {
        "a": {"dtype": "F32", "shape": [50_000], "data_offsets": [0, 200_000]},
        "b": {"dtype": "F32", "shape": [10, 5_000], "data_offsets": [200_100, 400_100]},
    }
    return {"safetensors": json.dumps(header), "data": {"xof": "gapped", "size": 700_000}}


def _single(count: int, size: int) -> dict[str, Any]:
    header = {"a": {"dtype": "F32", "shape": [count], "data_offsets": [0, size]}}
    return {"safetensors": json.dumps(header), "data": {"xof": "single", "size": size}}


def _foreign(data: bytes) -> bytes:
    """A frame as a streaming encoder writes it: no content size, a large window, a checksum."""
    parameters = zstandard.ZstdCompressionParameters(
        compression_level=5, window_log=21, write_content_size=False, write_checksum=True
    )
    encoder = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return encoder.compress(data) + encoder.flush()


def _small_blocks(data: bytes) -> bytes:
    blocks = [data[i : i + 100] for i in range(0, len(data), 100)]
    frame = b"\x28\xb5\x2f\xfd\xa0" + len(data).to_bytes(4, "little")
    for number, block in enumerate(blocks, 1):
        frame += (len(block) << 3 | (number == len(blocks))).to_bytes(3, "little") + block
    return frame


def render() -> dict[str, str]:
    """Text of every vector file by its name."""
    files = {"chunking": chunking_vectors(), "codecs": codec_vectors(), "manifest": manifest_vectors()}
    return {f"{name}.json": json.dumps(content, indent=1) + "\n" for name, content in files.items()}


if __name__ == "__main__":
    for name, content in render().items():
        (HERE / name).write_text(content)
