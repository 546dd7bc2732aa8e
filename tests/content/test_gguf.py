import struct
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType
from hypothesis import given, settings
from hypothesis import strategies as st

from regsvc.content.gguf import MAX_PAIRS, MAX_TENSORS, HeaderTruncated, parse_gguf
from regsvc.content.layout import Layout
from regsvc.content.tensors import MAX_HEADER, HeaderError


def written(path: Path, *, alignment: int | None = None) -> bytes:
    """A file of tensors of many types, by the library itself."""
    rng = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, "llama")
    if alignment is not None:
        writer.add_custom_alignment(alignment)
    writer.add_context_length(4096)
    writer.add_token_list(["<s>", "é", ""] * 50)
    writer.add_array("test.numbers", [1, 2, 3])
    writer.add_bool("test.flag", True)
    writer.add_tensor("matrix", rng.normal(size=(6, 5)).astype("f4"))
    writer.add_tensor("scalars", np.arange(3, dtype="i8"))
    writer.add_tensor("half", rng.normal(size=(2, 3, 4)).astype("f2"))
    weights = rng.normal(size=(3, 512)).astype("f4")
    for kind in (GGMLQuantizationType.Q8_0, GGMLQuantizationType.Q4_0, GGMLQuantizationType.BF16):
        writer.add_tensor(kind.name, gguf.quants.quantize(weights, kind), raw_dtype=kind)
    for kind in (GGMLQuantizationType.Q4_K, GGMLQuantizationType.IQ2_XXS, GGMLQuantizationType.MXFP4):
        elements, size = GGML_QUANT_SIZES[kind]
        blocks = rng.integers(0, 256, (2, 512 // elements * size), dtype="u1")
        writer.add_tensor(kind.name, blocks, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


@pytest.fixture(scope="module")
def library_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return written(tmp_path_factory.mktemp("gguf") / "model.gguf")


@pytest.mark.parametrize("alignment", [None, 64, 4096])
def test_a_file_of_the_gguf_library_is_read_as_the_library_reads_it(
    tmp_path: Path, alignment: int | None
) -> None:
    data = written(tmp_path / "model.gguf", alignment=alignment)
    spans = parse_gguf(data, len(data))
    expected = [
        (
            tensor.name,
            tensor.tensor_type.name,
            tuple(reversed(tensor.shape.tolist())),
            tensor.data_offset,
            tensor.data_offset + tensor.n_bytes,
        )
        for tensor in gguf.GGUFReader(tmp_path / "model.gguf").tensors
    ]
    assert spans == expected
    layouts = {span.dtype: span.layout for span in spans}
    assert layouts["F32"] is Layout.WIDTH4
    assert layouts["BF16"] is Layout.WIDTH2
    assert layouts["Q4_K"] is Layout.WIDTH1


@pytest.mark.parametrize("kind", GGML_QUANT_SIZES, ids=lambda kind: kind.name)
def test_every_type_of_the_gguf_library_is_known(kind: GGMLQuantizationType) -> None:
    elements, size = GGML_QUANT_SIZES[kind]
    data = file([("a", [elements * 3, 2], int(kind), 0)]) + bytes(size * 6)
    (span,) = parse_gguf(data, len(data) + 31)
    assert (span.dtype, span.shape, span.end - span.begin) == (kind.name, (2, elements * 3), size * 6)


def needed(head: bytes, size: int) -> int | None:
    """How many bytes `parse_gguf` asks for; nothing if it has enough."""
    try:
        parse_gguf(head, size)
    except HeaderTruncated as truncated:
        return truncated.need
    return None


def test_a_truncated_header_says_how_much_is_needed(library_file: bytes) -> None:
    size, have, asked = len(library_file), 0, 0
    while (need := needed(library_file[:have], size)) is not None:
        assert have < need
        have, asked = need, asked + 1
    assert asked < 200
    whole = parse_gguf(library_file, size)
    assert parse_gguf(library_file[:have], size) == whole
    assert have <= whole[0].begin
    assert needed(library_file[: have - 1], size) == have


def test_header_that_ends_with_its_file_is_not_truncated_but_wrong(library_file: bytes) -> None:
    for size in (0, 7, 30, 1000):
        with pytest.raises(HeaderError) as caught:
            parse_gguf(library_file[:size], size)
        assert not isinstance(caught.value, HeaderTruncated)


def text(value: str | bytes) -> bytes:
    raw = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(raw)) + raw


def file(
    tensors: list[tuple[Any, list[int], int, int]],
    pairs: bytes = b"",
    *,
    head: bytes = b"GGUF\3\0\0\0",
    pair_count: int = 0,
    tensor_count: int | None = None,
) -> bytes:
    """A header, padded to 32: tensors by name, dimensions (fastest first), type number and offset."""
    count = len(tensors) if tensor_count is None else tensor_count
    data = head + struct.pack("<QQ", count, pair_count) + pairs
    for name, dimensions, kind, offset in tensors:
        data += text(name) + struct.pack(
            f"<I{len(dimensions)}QIQ", len(dimensions), *dimensions, kind, offset
        )
    return data + bytes(-len(data) % 32)


def pair(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(file([], head=b"GGUF\1\0\0\0"), id="version 1"),
        pytest.param(file([], head=b"GGUF\0\0\0\3"), id="big-endian"),
        pytest.param(file([], tensor_count=MAX_TENSORS + 1), id="too many tensors"),
        pytest.param(file([], pair_count=MAX_PAIRS + 1), id="too many pairs"),
        pytest.param(file([], pair("a", 13, b""), pair_count=1), id="unknown value type"),
        pytest.param(file([], pair("a", 9, struct.pack("<IQ", 9, 1)), pair_count=1), id="array of arrays"),
        pytest.param(file([], pair("a", 8, struct.pack("<Q", 1 << 63)), pair_count=1), id="endless text"),
        pytest.param(
            file([], pair("a", 9, struct.pack("<IQ", 8, 1 << 60)), pair_count=1), id="endless texts"
        ),
        pytest.param(
            file([], pair("a", 9, struct.pack("<IQ", 12, 1 << 63)), pair_count=1), id="endless array"
        ),
        pytest.param(
            file([], pair("general.alignment", 4, struct.pack("<I", 48)), pair_count=1), id="alignment 48"
        ),
        pytest.param(
            file([], pair("general.alignment", 4, struct.pack("<I", 0)), pair_count=1), id="alignment 0"
        ),
        pytest.param(
            file([], pair("general.alignment", 10, struct.pack("<Q", 32)), pair_count=1),
            id="alignment as u64",
        ),
        pytest.param(file([("a", [1], 4, 0)]), id="removed type"),
        pytest.param(file([("a", [1], 99, 0)]), id="unknown type"),
        pytest.param(file([("a", [33], 8, 0)]), id="half a block"),
        pytest.param(file([("a", [], 8, 0)]), id="scalar of blocks"),
        pytest.param(file([("a", [1] * 5, 0, 0)]), id="five dimensions"),
        pytest.param(file([("a", [26], 0, 0)]), id="ends after the file"),
        pytest.param(file([("a", [1 << 63, 1 << 63], 0, 0)]), id="huge"),
        pytest.param(file([("a", [1], 0, 1 << 63)]), id="huge offset"),
        pytest.param(file([("a", [2], 0, 0), ("b", [2], 0, 4)]), id="overlap"),
        pytest.param(file([("a", [2], 0, 0), ("a", [2], 0, 32)]), id="name twice"),
        pytest.param(file([(b"\xff", [2], 0, 0)]), id="name is not UTF-8"),
    ],
)
def test_header_in_doubt_is_refused(data: bytes) -> None:
    with pytest.raises(HeaderError) as caught:
        parse_gguf(data, len(data) + 100)
    assert not isinstance(caught.value, HeaderTruncated) or caught.value.need <= len(data) + 100


def test_header_over_the_limit_is_refused() -> None:
    data = file([], pair("a", 9, struct.pack("<IQ", 0, MAX_HEADER)), pair_count=1)
    with pytest.raises(HeaderError, match="more than"):
        parse_gguf(data, 1 << 40)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_any_header_is_refused_or_gives_spans_inside_the_file(
    data: st.DataObject, library_file: bytes
) -> None:
    damaged = bytearray(library_file[:3000])
    for _ in range(data.draw(st.integers(1, 5))):
        begin = data.draw(st.integers(0, len(damaged) - 8))
        piece = data.draw(st.binary(min_size=1, max_size=8) | st.just(b"\xff" * 8))
        damaged[begin : begin + len(piece)] = piece
    size = data.draw(st.just(len(library_file)) | st.integers(0, 1 << 40))
    try:
        need = needed(bytes(damaged), size)
    except HeaderError:
        return
    if need is not None:
        assert len(damaged) < need <= min(size, MAX_HEADER)
        return
    spans = parse_gguf(bytes(damaged), size)
    assert all(0 < span.begin <= span.end <= size for span in spans)
