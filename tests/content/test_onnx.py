import mmap
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from regsvc.content.onnx import MAX_FIELDS, external_tensors, looks_like_onnx
from regsvc.content.tensors import TensorSpan


def model(initializers: list[TensorProto], **fields: Any) -> onnx.ModelProto:
    node = helper.make_node("Identity", ["x"], ["y"])
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy")
    return helper.make_model(helper.make_graph([node], "graph", [x], [y], initializers), **fields)


def external(name: str, data_type: int, shape: list[int], **entries: str) -> TensorProto:
    tensor = TensorProto(name=name, data_type=data_type, dims=shape, data_location=TensorProto.EXTERNAL)
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


@pytest.mark.parametrize("one_file", [True, False])
def test_tensors_are_found_where_the_onnx_library_wrote_them(tmp_path: Path, one_file: bool) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "f32": rng.normal(size=(3, 400)).astype("f4"),
        "f16": rng.normal(size=(999,)).astype("f2"),
        "bf16": rng.normal(size=(30, 40)).astype(ml_dtypes.bfloat16),
        "f8": rng.normal(size=(5000,)).astype(ml_dtypes.float8_e4m3fn),
        "i64": np.arange(5000).reshape(10, 5, 100),
        "bool": np.ones((2, 1000), "?"),
        "i4": np.ones((41, 101), ml_dtypes.int4),
    }
    initializers = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    path = tmp_path / "model.onnx"
    onnx.save_model(
        model(initializers),
        path,
        save_as_external_data=True,
        all_tensors_to_one_file=one_file,
        location="weights.bin" if one_file else None,
        size_threshold=10,
    )
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        found = external_tensors(mapped)
    written = {tensor.name: bytes(tensor.raw_data) for tensor in onnx.load(path).graph.initializer}
    assert len(found) == (1 if one_file else len(arrays))
    spans = {span.name: (location, span) for location, spans in found.items() for span in spans}
    assert {name: span.dtype for name, (_, span) in spans.items()} == {
        "f32": "F32", "f16": "F16", "bf16": "BF16", "f8": "F8_E4M3", "i64": "I64", "bool": "BOOL", "i4": "I4",
    }  # fmt: skip
    for name, (location, span) in spans.items():
        assert (tmp_path / location).read_bytes()[span.begin : span.end] == written[name]
        assert span.shape == arrays[name].shape


def test_a_model_that_holds_its_tensors_names_no_others() -> None:
    inline = numpy_helper.from_array(np.zeros((300, 300), "f4"), "a")
    assert external_tensors(model([inline]).SerializeToString()) == {}


def test_what_the_model_does_not_say_well_is_left_out() -> None:
    data = model(
        [
            external("default", 1, [2, 3], location="w"),
            external("exact", 1, [2], location="w", offset="24", length="8"),
            external("scalar", 7, [], location="v", offset="4096"),
            external("nowhere", 1, [2], offset="8"),
            external("another length", 1, [2], location="w", offset="8", length="9"),
            external("negative", 1, [2], location="w", offset="-8"),
            external("not a number", 1, [2], location="w", offset="٣"),
            external("long number", 1, [2], location="w", offset="9" * 30),
            external("text", TensorProto.STRING, [2], location="w"),
            external("unknown", 99, [2], location="w"),
            external("too many dimensions", 1, [1] * 65, location="w"),
            external("long name" * 1000, 1, [2], location="w"),
        ],
        producer_name="test",
    ).SerializeToString()
    assert looks_like_onnx(data)
    assert external_tensors(data) == {
        "w": [TensorSpan("default", "F32", (2, 3), 0, 24), TensorSpan("exact", "F32", (2,), 24, 32)],
        "v": [TensorSpan("scalar", "I64", (), 4096, 4104)],
    }


def test_a_walk_ends_at_a_limit() -> None:
    tensor = external("a", 1, [1], location="w").SerializeToString()
    initializer = b"\x2a" + bytes([len(tensor)]) + tensor
    padding = b"\x0a\x00" * (MAX_FIELDS - 10)
    for count, found in ((0, 1), (20, 0)):
        graph = padding + b"\x0a\x00" * count + initializer
        size = bytes((len(graph) >> shift & 0x7F) | (0x80 if shift < 21 else 0) for shift in (0, 7, 14, 21))
        assert len(external_tensors(b"\x08\x07\x3a" + size + graph)) == found


GOOD = model(
    [external(f"t{i}", 1, [i, 7], location=f"w{i % 2}", offset=str(i * 4096)) for i in range(9)]
).SerializeToString()


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damaged_models_give_some_tensors_or_none(data: st.DataObject) -> None:
    damaged = bytearray(GOOD)
    for _ in range(data.draw(st.integers(0, 5))):
        begin = data.draw(st.integers(0, len(damaged) - 1))
        piece = data.draw(st.binary(min_size=1, max_size=8))
        damaged[begin : begin + len(piece)] = piece
    found = external_tensors(bytes(damaged[: data.draw(st.integers(0, len(damaged) + 9))]))
    assert all(0 <= span.begin <= span.end for spans in found.values() for span in spans)
    assert sum(map(len, found.values())) <= 20
