import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from regsvc.content.layout import Layout
from regsvc.content.tensors import (
    MAX_HEADER,
    HeaderError,
    header_end,
    looks_like_safetensors,
    parse_safetensors,
)


def framed(text: bytes | str) -> bytes:
    raw = text.encode() if isinstance(text, str) else text
    return len(raw).to_bytes(8, "little") + raw


def header(**tensors: Any) -> bytes:
    return framed(json.dumps(tensors))


def f32(shape: list[Any], begin: Any, end: Any) -> dict[str, Any]:
    return {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}


def test_spans_are_absolute_and_in_file_order() -> None:
    head = header(b=f32([3], 8, 20), __metadata__={"format": "pt"}, a=f32([2, 1], 0, 8), s=f32([], 20, 24))
    spans = parse_safetensors(head, len(head) + 24)
    assert [(span.name, span.shape, span.begin - len(head), span.end - len(head)) for span in spans] == [
        ("a", (2, 1), 0, 8),
        ("b", (3,), 8, 20),
        ("s", (), 20, 24),
    ]
    assert spans[0].layout is Layout.WIDTH4


def test_a_file_of_the_safetensors_library_is_read_back() -> None:
    arrays = {
        "weight": np.arange(6, dtype="f2").reshape(2, 3),
        "ids": np.arange(4),
        "empty": np.zeros((0, 5), "f4"),
        "mask": np.array([True]),
    }
    data = save(arrays, metadata={"note": "é"})
    spans = parse_safetensors(data[: header_end(data[:9], len(data))], len(data))
    assert {span.name for span in spans} == set(arrays)
    for span in spans:
        assert data[span.begin : span.end] == arrays[span.name].tobytes()
        assert span.shape == arrays[span.name].shape


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\2\0\0\0\0\0\0\0", id="no JSON"),
        pytest.param(framed("[]"), id="no object"),
        pytest.param(framed("{"), id="one byte"),
        pytest.param(framed("{}")[:-1], id="shorter than its length"),
        pytest.param(framed("{}") + b" ", id="longer than its length"),
        pytest.param((200_000_000).to_bytes(8, "little") + b"{}", id="claims 200 MB"),
        pytest.param(framed("{'a': 1}"), id="bad JSON"),
        pytest.param(framed(b'{"\xff": 1}'), id="not UTF-8"),
        pytest.param(framed('{"a":' + "[" * 100_000 + "]" * 100_000 + "}"), id="deep nesting"),
        pytest.param(framed('{"__metadata__":[' + "[]," * (1 << 20) + "[]]}"), id="grows in memory"),
        pytest.param(framed('{"a": %s}' % ("9" * 5000)), id="integer of 5,000 digits"),
        pytest.param(framed('{"a": NaN}'), id="NaN"),
        pytest.param(framed('{"__metadata__": {}, "__metadata__": {}}'), id="key twice"),
        pytest.param(
            framed('{"a":{"dtype":"U8","dtype":"U8","shape":[0],"data_offsets":[0,0]}}'), id="field twice"
        ),
        pytest.param(
            framed('{"\\ud800":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}'), id="lone surrogate"
        ),
        pytest.param(header(a=1), id="tensor is no object"),
        pytest.param(header(a={}), id="tensor is empty"),
        pytest.param(header(a={**f32([1], 0, 4), "dtype": "F33"}), id="unknown dtype"),
        pytest.param(header(a={**f32([1], 0, 4), "dtype": []}), id="dtype is a list"),
        pytest.param(header(a=f32([2], 0, 4)), id="shape too large"),
        pytest.param(header(a=f32([1], 0, 8)), id="shape too small"),
        pytest.param(header(a=f32([26], 0, 104)), id="ends after the file"),
        pytest.param(header(a=f32([1], 4, 0)), id="ends before it begins"),
        pytest.param(header(a=f32([1], -4, 0)), id="negative offset"),
        pytest.param(header(a=f32([-1, -1], 0, 4)), id="negative shape"),
        pytest.param(header(a=f32([1.0], 0, 4)), id="float shape"),
        pytest.param(header(a=f32([True], 0, 4)), id="boolean shape"),
        pytest.param(header(a={**f32([1], 0, 4), "data_offsets": [0, 4, 8]}), id="three offsets"),
        pytest.param(header(a={**f32([1], 0, 4), "shape": 1}), id="shape is a number"),
        pytest.param(header(a=f32([1] * 65, 0, 4)), id="65 dimensions"),
        pytest.param(header(a=f32([1 << 62, 1 << 62], 0, 0)), id="huge shape"),
        pytest.param(header(a=f32([0], 1 << 70, 1 << 70)), id="huge offsets"),
        pytest.param(header(a=f32([2], 0, 8), b=f32([2], 4, 12)), id="overlap"),
        pytest.param(header(a=f32([9], 0, 36), b=f32([1], 4, 8)), id="one inside another"),
        pytest.param(header(a={"dtype": "F4", "shape": [3], "data_offsets": [0, 2]}), id="half a byte over"),
    ],
)
def test_header_in_doubt_is_refused(head: bytes) -> None:
    with pytest.raises(HeaderError):
        parse_safetensors(head, len(head) + 100)


def test_header_longer_than_the_file_is_refused() -> None:
    with pytest.raises(HeaderError, match="the file at 20"):
        header_end((100).to_bytes(8, "little") + b"{", 20)


def test_header_over_the_limit_is_not_recognised() -> None:
    assert looks_like_safetensors(MAX_HEADER.to_bytes(8, "little") + b"{")
    assert not looks_like_safetensors((MAX_HEADER + 1).to_bytes(8, "little") + b"{")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
FIELDS = st.fixed_dictionaries(
    {"dtype": st.sampled_from(["F32", "BF16", "x"]) | JSON, "shape": JSON, "data_offsets": JSON}
)


@given(tensors=st.dictionaries(st.text(max_size=5), JSON | FIELDS, max_size=4), size=st.integers(0, 1 << 40))
def test_any_json_is_refused_or_gives_spans_inside_the_file(tensors: dict[str, Any], size: int) -> None:
    head = framed(json.dumps(tensors))
    try:
        spans = parse_safetensors(head, size)
    except HeaderError:
        return
    assert all(len(head) <= span.begin <= span.end <= size for span in spans)
