import io

import ml_dtypes
import numpy as np
import pytest

from regsvc.content.layout import Layout
from regsvc.content.npy import MAX_NPY_HEADER, NPY_PREFIX, npy_header_end, parse_npy
from regsvc.content.tensors import HeaderError


def saved(array: np.ndarray, version: tuple[int, int] | None = None) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, version)
    return file.getvalue()


def header(text: bytes) -> bytes:
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize(
    ("dtype", "layout"),
    [
        ("?", Layout.WIDTH1),
        ("u1", Layout.WIDTH1),
        ("S7", Layout.WIDTH1),
        ("<f2", Layout.WIDTH2),
        (">f4", Layout.WIDTH4),
        ("c8", Layout.WIDTH4),
        ("U3", Layout.WIDTH4),
        ("f8", Layout.WIDTH8),
        ("M8[25s]", Layout.WIDTH8),
        ("c16", Layout.WIDTH8),
        ("V5", Layout.OPAQUE),
        (ml_dtypes.bfloat16, Layout.WIDTH2),
    ],
)
@pytest.mark.parametrize("shape", [(), (5,), (2, 3, 4), (0, 9)])
def test_arrays_are_found(
    version: tuple[int, int], dtype: str, layout: Layout, shape: tuple[int, ...]
) -> None:
    array = np.zeros(shape, dtype)
    data = saved(array, version)
    end = npy_header_end(data[:NPY_PREFIX])
    assert parse_npy(data[:end], len(data)) == (end, end + array.nbytes, layout)
    assert end + array.nbytes == len(data)


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x93NUMPY\4\0" + bytes(8), id="version 4"),
        pytest.param(b"\x93NUMPY\2\0" + (MAX_NPY_HEADER).to_bytes(4, "little") + b" " * 99, id="long header"),
        pytest.param(header(b""), id="empty"),
        pytest.param(header(b"{'descr': '|O', 'shape': (1,)}"), id="objects"),
        pytest.param(header(b"{'descr': [('a', '<f4')], 'shape': (1,)}"), id="structure"),
        pytest.param(header(b"{'descr': '<f4', 'shape': 1}"), id="shape is a number"),
        pytest.param(header(b"{'descr': '<f4', 'shape': (-1,)}"), id="negative"),
        pytest.param(header(b"{'descr': '<f4', 'shape': (" + b"9," * 99 + b")}"), id="99 dimensions"),
        pytest.param(header(b"{'descr': '<f4', 'shape': (" + b"1" * 20_000 + b")}"), id="20,000 digits"),
        pytest.param(header(b"{'descr': '<f4', 'shape': (26,)}"), id="ends after the file"),
        pytest.param(header(b"{'descr': '<f4', 'shape': (1,)}")[:-1], id="cut short"),
    ],
)
def test_header_in_doubt_is_refused(head: bytes) -> None:
    with pytest.raises(HeaderError):
        parse_npy(head, len(head) + 100)
