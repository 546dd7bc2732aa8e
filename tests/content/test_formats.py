"""What holds for every format that is cut along its tensors, on files that the formats' own libraries wrote."""

import io
import json
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from regsvc.content.chunking import MAX_CHUNK, SLICE, SMALL_TENSOR, Chunk, Cutter, cut
from regsvc.content.layout import Layout
from regsvc.content.onnx import external_tensors
from regsvc.content.tensors import TensorSpan

TORCH = Path(__file__).parents[1] / "fixtures" / "torch"

Arrays = dict[str, npt.NDArray[Any]]


def arrays(*, seed: int = 0) -> Arrays:
    """Three large tensors, of them one in several slices, and small ones between."""
    rng = np.random.default_rng(seed)
    return {
        "embed": rng.normal(size=(700, 900)).astype("f4"),
        "norm.0": rng.normal(size=300).astype("f4"),
        "norm.1": rng.normal(size=4000).astype("f4"),
        "up": rng.normal(size=(400, 300)).astype("f2"),
        "ids": rng.integers(0, 1 << 40, 9_000),
        "down": rng.normal(size=(50, 400)).astype("f8"),
        "bias": rng.normal(size=40).astype("f4"),
    }


def gguf_file(tensors: Arrays) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.gguf")
        writer = gguf.GGUFWriter(path, "llama")
        writer.add_name("n" * len(tensors))
        writer.add_token_list([f"token {i}" for i in range(3000)])
        writer.add_array("test.scores", [0.5] * 1000)
        for name, array in tensors.items():
            writer.add_tensor(name, array)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path.read_bytes()


def npz_file(tensors: Arrays) -> bytes:
    file = io.BytesIO()
    np.savez(file, allow_pickle=True, **tensors)
    return file.getvalue()


def onnx_model(tensors: Arrays) -> onnx.ModelProto:
    node = helper.make_node("MatMul", ["x", "embed"], ["y"])
    x, y = (helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 700]) for name in "xy")
    initializers = [numpy_helper.from_array(array, name) for name, array in tensors.items()]
    return helper.make_model(helper.make_graph([node], "graph", [x], [y], initializers), producer_name="test")


def onnx_file(tensors: Arrays) -> bytes:
    return onnx_model(tensors).SerializeToString()


def external_file(tensors: Arrays) -> tuple[bytes, list[TensorSpan]]:
    """The data file of a model, and what the model says of it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        onnx.save_model(
            onnx_model(tensors), path, save_as_external_data=True, location="weights.bin", size_threshold=100
        )
        found = external_tensors(path.read_bytes())
        assert list(found) == ["weights.bin"]
        return Path(folder, "weights.bin").read_bytes(), found["weights.bin"]


def cut_external(file: tuple[bytes, list[TensorSpan]]) -> list[Chunk]:
    data, spans = file
    cutter = Cutter(len(data), spans)
    return cutter.feed(data) + cutter.finish()


CUTS: dict[str, Callable[[Arrays], list[Chunk]]] = {
    "gguf": lambda tensors: cut(gguf_file(tensors)),
    "npz": lambda tensors: cut(npz_file(tensors)),
    "onnx": lambda tensors: cut(onnx_file(tensors)),
    "onnx, external data": lambda tensors: cut_external(external_file(tensors)),
}

every_format = pytest.mark.parametrize("chunks_of", CUTS.values(), ids=CUTS.keys())


def joined(chunks: list[Chunk]) -> bytes:
    return b"".join(chunk.data for chunk in chunks)


def ranges(chunks: list[Chunk]) -> list[tuple[int, Layout]]:
    return [(len(chunk.data), chunk.layout) for chunk in chunks]


def contents(chunks: list[Chunk]) -> set[bytes]:
    return {bytes(chunk.data) for chunk in chunks}


def slices(array: npt.NDArray[Any]) -> set[bytes]:
    raw = array.tobytes()
    return {raw[begin : begin + SLICE] for begin in range(0, len(raw), SLICE)}


def large(tensors: Arrays) -> Arrays:
    return {name: array for name, array in tensors.items() if array.nbytes >= SMALL_TENSOR}


@every_format
def test_large_tensors_are_cut_from_their_own_start(chunks_of: Callable[[Arrays], list[Chunk]]) -> None:
    tensors = arrays()
    chunks = chunks_of(tensors)
    widths = {bytes(chunk.data): chunk.layout for chunk in chunks}
    for array in large(tensors).values():
        # The last slice may have padding after it; in GGUF it has.
        whole = {part for part in slices(array) if len(part) == SLICE}
        (last,) = slices(array) - whole
        (ending,) = (chunk for chunk in widths if chunk.startswith(last))
        assert len(ending) < len(last) + 4096
        assert {widths[part] for part in {*whole, ending}} == {Layout(array.itemsize)}


@every_format
def test_changed_tensor_changes_only_its_chunks(chunks_of: Callable[[Arrays], list[Chunk]]) -> None:
    tensors = arrays()
    before = chunks_of(tensors)
    after = chunks_of(tensors | {"up": tensors["up"] + 1})
    fresh = contents(after) - contents(before)
    # Archives keep a checksum before or after each member.
    assert sum(map(len, fresh)) < tensors["up"].nbytes + 1000
    assert len(fresh) <= 3


@every_format
def test_added_renamed_and_reordered_tensors_keep_the_chunks_of_the_others(
    chunks_of: Callable[[Arrays], list[Chunk]],
) -> None:
    tensors = arrays()
    edited = {"first": np.arange(30_000, dtype="f4"), **dict(reversed(tensors.items()))}
    edited["a name that is longer"] = edited.pop("norm.1")
    old, new = contents(chunks_of(tensors)), contents(chunks_of(edited))
    kept = sum(len(chunk) for chunk in new & old)
    assert kept >= sum(array.nbytes for array in large(tensors).values()) - 3 * 4096


@every_format
def test_small_neighbours_are_joined(chunks_of: Callable[[Arrays], list[Chunk]]) -> None:
    rng = np.random.default_rng(1)
    adapters = {f"lora.{i:03}": rng.normal(size=(8, 1000)).astype("f4") for i in range(120)}
    chunks = chunks_of(adapters)
    assert sum(len(chunk.data) for chunk in chunks if chunk.layout is Layout.WIDTH4) > 120 * 32_000 * 0.98
    assert len(chunks) <= 10
    assert all(len(chunk.data) <= SLICE for chunk in chunks)


def test_array_file_is_cut_after_its_header() -> None:
    file = io.BytesIO()
    np.save(file, np.random.default_rng(0).normal(size=(600, 500)))
    assert ranges(cut(file.getvalue())) == [
        (128, Layout.OPAQUE), (SLICE, Layout.WIDTH8), (SLICE, Layout.WIDTH8), (2_400_000 - 2 * SLICE, Layout.WIDTH8),
    ]  # fmt: skip
    np.save(file, np.arange(1000))
    assert ranges(cut(file.getvalue()))[4:] == [(8128, Layout.OPAQUE)]


def test_compressed_arrays_are_cut_by_fastcdc_each_from_its_start() -> None:
    tensors = arrays()
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=True, **tensors)
    data = file.getvalue()
    chunks = cut(data)
    assert joined(chunks) == data
    starts = np.cumsum([0, *(len(chunk.data) for chunk in chunks)]).tolist()
    for info in zipfile.ZipFile(file).infolist():
        if info.compress_size >= SMALL_TENSOR:
            name, extra = data[info.header_offset + 26], data[info.header_offset + 28]
            assert info.header_offset + 30 + name + extra in starts


def test_object_arrays_and_unread_types_are_cut_by_fastcdc() -> None:
    for array in (np.array([{"a": i} for i in range(60_000)], object), np.zeros(20_000, "i4,f8")):
        file = io.BytesIO()
        np.save(file, array, allow_pickle=True)
        unknown = Cutter()
        assert ranges(cut(file.getvalue())) == ranges(unknown.feed(file.getvalue()) + unknown.finish())


@pytest.mark.parametrize("name", ["state_dict_f32", "state_dict_bf16"])
def test_checkpoints_are_cut_at_their_storages(name: str) -> None:
    data = (TORCH / f"{name}.pt").read_bytes()
    tensors = json.loads((TORCH / "tensors.json").read_text())["tensors"][f"{name}.pt"]
    chunks = cut(data)
    assert joined(chunks) == data
    for tensor in tensors.values():
        width = {"float32": 4, "bfloat16": 2}[tensor["dtype"]]
        size = int(np.prod(tensor["shape"])) * width
        if size >= SMALL_TENSOR:
            head = bytes.fromhex(tensor["bytes_hex_head"])
            (found,) = (chunk for chunk in chunks if bytes(chunk.data[: len(head)]) == head)
            assert found.layout is Layout(width)
            assert len(found.data) == size or name == "state_dict_bf16"


def test_training_checkpoint_is_cut_at_every_large_storage() -> None:
    data = (TORCH / "checkpoint.pt").read_bytes()
    chunks = cut(data)
    assert joined(chunks) == data
    starts = np.cumsum([0, *(len(chunk.data) for chunk in chunks)]).tolist()
    for info in zipfile.ZipFile(TORCH / "checkpoint.pt").infolist():
        if info.file_size >= SMALL_TENSOR:
            begin = data.index(info.filename.encode(), info.header_offset)
            begin += len(info.filename) + int.from_bytes(data[info.header_offset + 28 :][:2], "little")
            assert {begin, begin + info.file_size} <= {*starts}
            assert chunks[starts.index(begin)].layout is Layout.WIDTH4


def test_changed_storage_changes_one_chunk() -> None:
    data = (TORCH / "checkpoint.pt").read_bytes()
    chunks = cut(data)
    begin = sum(len(chunk.data) for chunk in chunks[:7])
    assert len(chunks[7].data) == 128_000
    edited = data[:begin] + bytes(128_000) + data[begin + 128_000 :]
    changed = [old.data != new.data for old, new in zip(chunks, cut(edited), strict=True)]
    assert [i for i, differs in enumerate(changed) if differs] == [7]


def test_renamed_checkpoint_keeps_the_chunks_of_its_storages() -> None:
    data = (TORCH / "checkpoint.pt").read_bytes()
    # As long a name: PyTorch pads members so that names move nothing.
    renamed = data.replace(b"checkpoint/", b"checkpoinT/")
    kept = contents(cut(data)) & contents(cut(renamed))
    assert sum(map(len, kept)) > 0.9 * len(data)


def test_checkpoint_of_the_old_format_is_cut_by_fastcdc() -> None:
    data = (TORCH / "legacy_nonzip.pt").read_bytes()
    unknown = Cutter()
    assert ranges(cut(data)) == ranges(unknown.feed(data) + unknown.finish())


def test_spans_that_overlap_or_leave_the_file_are_not_believed() -> None:
    data, spans = external_file(arrays())
    unknown = Cutter()
    expected = ranges(unknown.feed(data) + unknown.finish())
    assert ranges(cut_external((data, spans))) != expected
    outside = spans[0]._replace(end=len(data) + 1)
    overlapping = spans[0]._replace(begin=spans[0].begin + 1, end=spans[0].end + 1)
    for lie in (outside, overlapping):
        assert ranges(cut_external((data, [*spans, lie]))) == expected


def test_spans_in_any_order_and_of_tensors_with_two_names_cut_alike() -> None:
    data, spans = external_file(arrays())
    again = [spans[0]._replace(name="tied"), *reversed(spans)]
    assert ranges(cut_external((data, again))) == ranges(cut_external((data, spans)))


def examples() -> dict[str, bytes]:
    compressed = io.BytesIO()
    np.savez_compressed(compressed, allow_pickle=True, **arrays())
    single = io.BytesIO()
    np.save(single, arrays()["embed"])
    return {
        "gguf": gguf_file(arrays()),
        "npy": single.getvalue(),
        "npz": npz_file(arrays()),
        "compressed npz": compressed.getvalue(),
        "onnx": onnx_file(arrays()),
        "torch": (TORCH / "checkpoint.pt").read_bytes(),
    }


EXAMPLES = examples()


def streamed(data: bytes, block: int, declared: int) -> list[Chunk]:
    cutter = Cutter(declared)
    chunks: list[Chunk] = []
    for begin in range(0, len(data), block):
        chunks += cutter.feed(data[begin : begin + block])
        assert len(cutter._held) <= 16 << 20
    return chunks + cutter.finish()


@settings(max_examples=60, deadline=None)
@given(kind=st.sampled_from([*EXAMPLES]), block=st.integers(1, 3_000_000))
def test_cuts_do_not_depend_on_blocks(kind: str, block: int) -> None:
    data = EXAMPLES[kind]
    chunks = streamed(data, max(block, 1500), len(data))
    assert ranges(chunks) == ranges(cut(data))
    assert joined(chunks) == data


@settings(max_examples=200, deadline=None)
@given(data=st.data(), kind=st.sampled_from([*EXAMPLES]))
def test_damaged_files_are_cut_whole(data: st.DataObject, kind: str) -> None:
    """Whatever a header says: nothing raises, the chunks are the file, and they are the same from any stream."""
    file = bytearray(EXAMPLES[kind])
    where = st.integers(0, 3000) | st.integers(0, len(file) - 9)
    what = st.sampled_from([b"\0", b"\xff", b"\x7f\xff\xff\xff", b"\xff" * 8, b"PK\x07\x08"]) | st.binary(
        max_size=8
    )
    for _ in range(data.draw(st.integers(0, 6))):
        begin, piece = data.draw(where), data.draw(what)
        file[begin : begin + len(piece)] = piece
    del file[data.draw(st.integers(0, len(file)) | st.just(len(file))) :]
    declared = data.draw(st.just(len(file)) | st.integers(0, 1 << 40))
    chunks = streamed(bytes(file), data.draw(st.integers(5_000, 2_000_000)), declared)
    assert joined(chunks) == file
    assert all(0 < len(chunk.data) <= MAX_CHUNK for chunk in chunks)
    if declared == len(file):
        assert ranges(chunks) == ranges(cut(file))


def onnx_graph(graph: bytes) -> bytes:
    size = bytes((len(graph) >> shift & 0x7F) | (0x80 if shift < 21 else 0) for shift in (0, 7, 14, 21))
    return b"\x08\x07\x3a" + size + graph


def tiny_members() -> bytes:
    header = b"PK\x03\x04" + bytes(22) + (1).to_bytes(2, "little") + bytes(2)
    return (header + b"a") * 300_000


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(onnx_graph(b"\x0a\x00" * 8_000_000), id="empty nodes"),
        pytest.param(onnx_graph(b"\x2a\x00" * 8_000_000), id="empty initializers"),
        pytest.param(tiny_members(), id="empty members"),
        pytest.param(
            b"GGUF\3\0\0\0" + bytes(8) + b"\1" + bytes(7) + (1).to_bytes(8, "little") + b"a"
            + b"\x09\0\0\0\x08\0\0\0" + (1 << 40).to_bytes(8, "little") + bytes(8_000_000), id="empty strings",
        ),
        pytest.param(
            b"GGUF\3\0\0\0" + bytes(8) + b"\1" + bytes(7) + (1).to_bytes(8, "little") + b"a"
            + b"\x09\0\0\0\x08\0\0\0" + (2_000_000).to_bytes(8, "little") + bytes(16_000_000), id="many strings",
        ),
    ],
)  # fmt: skip
def test_headers_that_only_cost_time_are_given_up(data: bytes) -> None:
    begin = time.process_time()
    chunks = streamed(data, 1 << 16, len(data))
    assert time.process_time() - begin < 10
    assert joined(chunks) == data
