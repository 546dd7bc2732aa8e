"""Writes the golden vectors next to itself; `README.md` explains them. Takes no arguments."""

import json
import struct
from pathlib import Path
from typing import Any

import zstandard
from blake3 import blake3

from regsvc.content import chunking, codec, manifest
from regsvc.content.codec import Codec, Frame
from regsvc.content.frames import raw_frame
from regsvc.content.layout import Layout
from regsvc.content.tensors import TensorSpan

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
        ("GGUF: a gap, small joined, blocks of a quantised type", _gguf()),
        ("GGUF: a tensor of an unknown type: cut as unknown", _gguf(last_type=99)),
        ("NumPy array, and bytes after it", {"parts": [_npy("<f4", 400_000), _xof("after", 300_000)]}),
        ("ZIP of NumPy arrays: large, small joined, one of structures", _npz()),
        ("ZIP as PyTorch writes it: sizes after the members", _checkpoint()),
        ("ONNX: initializers in the model", _onnx()),
    ]
    found = [_cuts(name, spec) for name, spec in cases]
    spans = [[0, 1_500_000, "F32"], [1_503_232, 1_533_232, "F16"], [1_533_232, 1_553_232, "BF16"]]
    found.append(
        _cuts("tensors that an ONNX model says lie in this file", _xof("external", 1_600_000), spans)
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


def _cuts(name: str, spec: dict[str, Any], spans: list[list[Any]] | None = None) -> dict[str, Any]:
    data, offset, cuts = generate(spec), 0, []
    for chunk in cut(data, spans):
        cuts.append([offset, len(chunk.data), int(chunk.layout), blake3(chunk.data).hexdigest()])
        offset += len(chunk.data)
    return {
        "name": name,
        "input": spec,
        **({} if spans is None else {"spans": spans}),
        "size": len(data),
        "blake3": blake3(data).hexdigest(),
        "cuts": cuts,
    }


def cut(data: bytes, spans: list[list[Any]] | None) -> list[chunking.Chunk]:
    """Chunks of a file; `spans` are tensors that another file says lie in it: begin, end, type."""
    known = spans and [TensorSpan("", dtype, (), begin, end) for begin, end, dtype in spans]
    cutter = chunking.Cutter(len(data), known)
    return cutter.feed(data) + cutter.finish()


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


def _xof(name: str, size: int) -> dict[str, Any]:
    return {"xof": name, "size": size}


def _gguf(last_type: int = 12) -> dict[str, Any]:
    """Types: 0 is F32, 1 F16, 12 Q4_K. Each tensor starts at a multiple of 64."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value)) + value.encode()

    tensors = [
        ("embed", 0, [500, 601], 1_202_000), ("a", 1, [10_001], 20_002), ("b", 1, [20_000], 40_000),
        ("quantised", last_type, [1024, 512], 294_912),
    ]  # fmt: skip
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), 3)
    head += text("general.alignment") + struct.pack("<II", 4, 64)
    head += (
        text("tokenizer.ggml.tokens") + struct.pack("<IIQ", 9, 8, 2000) + b"".join(map(text, ["tok"] * 2000))
    )
    head += text("scores") + struct.pack("<IIQ", 9, 6, 1000) + bytes(4000)
    at = 0
    for name, number, shape, size in tensors:
        head += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, number, at)
        at += -(-size // 64) * 64
    return {"parts": [{"hex": (head + bytes(-len(head) % 64)).hex()}, _xof("gguf", at)]}


def _npy(descr: str, count: int) -> dict[str, Any]:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': ({count},), }}\n".encode()
    head = b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text
    return {"parts": [{"hex": head.hex()}, _xof(descr, count * int(descr[2:]))]}


def _npz() -> dict[str, Any]:
    """Every other header states its sizes in a ZIP64 field."""
    structures = b"\x93NUMPY\1\0" + (39).to_bytes(2, "little") + b"{'descr': [('a', '<i4')], 'shape': (9,)}"
    members = [
        ("embed.npy", _npy("<f4", 300_000)), ("a.npy", _npy("<f8", 3_000)), ("b.npy", _npy("<i8", 5_000)),
        ("up.npy", _npy("<f2", 50_000)), ("note.npy", {"parts": [{"hex": structures.hex()}, _xof("note", 90_000)]}),
    ]  # fmt: skip
    parts = []
    for number, (name, data) in enumerate(members):
        size = len(generate(data))
        sizes, extra = struct.pack("<II", size, size), b""
        if number % 2 == 0:
            sizes, extra = b"\xff" * 8, struct.pack("<HHQQ", 1, 16, size, size)
        head = b"PK\3\4" + bytes(14) + sizes + struct.pack("<HH", len(name), len(extra))
        parts += [{"hex": (head + name.encode() + extra).hex()}, *data["parts"]]
    return {"parts": [*parts, {"hex": (b"PK\1\2" + bytes(60)).hex()}]}


def _checkpoint() -> dict[str, Any]:
    """A pickle of persistent ids, and the storages they name; their data start at multiples of 64."""

    def constant(value: str) -> bytes:
        return b"X" + struct.pack("<I", len(value)) + value.encode()

    storages = [
        ("FloatStorage", 4, 300_000),
        ("HalfStorage", 2, 20_000),
        ("HalfStorage", 2, 10_000),
        ("LongStorage", 8, 1),
    ]
    storages += [("BFloat16Storage", 2, 100_000)]
    pickle = b"\x80\x02("
    for key, (kind, _, count) in enumerate(storages):
        pickle += b"(" + constant("storage") + b"ctorch\n" + kind.encode() + b"\n" + constant(str(key))
        pickle += constant("cpu") + b"J" + struct.pack("<i", count) + b"tQ"
    members: list[tuple[str, int, dict[str, Any]]] = [
        ("data.pkl", len(pickle) + 2, {"hex": (pickle + b"l.").hex()}),
        ("byteorder", 6, {"hex": b"little".hex()}),
    ]
    for key, (kind, width, count) in enumerate(storages):
        members.append((f"data/{key}", width * count, _xof(f"{kind} {key}", width * count)))
    parts, at = [], 0
    for name, size, data in members:
        path = f"archive/{name}".encode()
        padding = -(at + 30 + len(path) + 4) % 64
        head = b"PK\3\4" + struct.pack("<HHHIIIIHH", 0, 8, 0, 0, 0, 0, 0, len(path), 4 + padding)
        head += path + b"FB" + struct.pack("<H", padding) + bytes(padding)
        tail = b"PK\7\10" + struct.pack("<III", 0, size, size)
        parts += [{"hex": head.hex()}, data, {"hex": tail.hex()}]
        at += len(head) + size + len(tail)
    return {"parts": [*parts, {"hex": (b"PK\1\2" + bytes(60)).hex()}]}


def _onnx() -> dict[str, Any]:
    """Initializers of `raw_data`: types 1 (F32), 16 (BF16), 1, and without a type."""

    def number(value: int) -> bytes:
        low = bytes((value >> shift & 0x7F) | 0x80 for shift in range(0, max(value.bit_length() - 7, 0), 7))
        return low + bytes([value >> 7 * len(low)])

    parts: list[dict[str, Any]] = []
    for name, kind, size in (
        ("embed", 1, 1_300_000),
        ("a", 16, 30_000),
        ("b", 16, 40_000),
        ("up", 1, 80_000),
        ("?", 0, 90_000),
    ):
        head = b"\x08" + number(size) + (b"\x10" + number(kind) if kind else b"")
        head += b"\x42" + number(len(name)) + name.encode() + b"\x4a" + number(size)
        parts += [{"hex": (b"\x2a" + number(len(head) + size) + head).hex()}, _xof(name, size)]
    node, name = b"\x0a" + number(900) + bytes(900), b"\x12\5graph"
    size = len(node) + len(name) + sum(len(generate(part)) for part in parts)
    first = {"hex": (b"\x08\x0a\x12\4test\x3a" + number(size) + node + name).hex()}
    return {"parts": [first, *parts, {"hex": b"\x42\4\x0a\0\x10\x15".hex()}]}


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
