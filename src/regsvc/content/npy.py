"""A bounded reader of NumPy's array files.

Format: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html. A file is the byte 93h,
`NUMPY`, two bytes of version, the length of the header, the header (a Python dictionary with `descr`, `fortran_order`
and `shape`), the array.
"""

import re
from collections.abc import Generator
from math import prod

from regsvc.content.layout import Layout
from regsvc.content.plans import Look, Stretch, Walk
from regsvc.content.tensors import HeaderError

MAX_NPY_HEADER = 64 << 10
"""Longest header read, in bytes, with what stands before it. NumPy itself reads headers of 10,000 characters."""

NPY_PREFIX = 12
"""Bytes that tell how long the header is."""

# At most 33 integers of at most 18 digits: their product can be had at once.
_DESCR = re.compile(rb"""['"]descr['"]\s*:\s*['"][<>|=]?([?a-zA-Z])(\d{0,9})(?:\[\w+\])?['"]\s*[,}]""")
_SHAPE = re.compile(rb"""['"]shape['"]\s*:\s*\(\s*((?:\d{1,18}\s*,\s*){0,32}(?:\d{1,18}\s*)?)\)""")

# Element width of what compresses alike, as far as it is not the size of the type itself.
_PAIRS = b"c"
_CODE_POINTS = b"U"
_BYTES = b"Sab?"
_WIDTHS = {1: Layout.WIDTH1, 2: Layout.WIDTH2, 4: Layout.WIDTH4, 8: Layout.WIDTH8}


def looks_like_npy(head: bytes) -> bool:
    """Whether a file's first 7 bytes are the magic and a version that we read."""
    return head[:6] == b"\x93NUMPY" and head[6:7] in {b"\1", b"\2", b"\3"}


def npy_walk(size: int) -> Walk:
    """The array in a file of `size` bytes."""
    array = yield from find_array(0, size)
    if array is not None:
        yield array


def find_array(begin: int, end: int) -> Generator[Look, bytes, Stretch | None]:
    """The array of a `.npy` file that lies at `[begin, end)`; nothing if in doubt, or without elements."""
    head = yield Look(begin, NPY_PREFIX)
    try:
        header = yield Look(begin, npy_header_end(head))
        array = parse_npy(header, end - begin)
    except HeaderError:
        return None
    if array.begin == array.end:
        return None
    return Stretch(begin + array.begin, begin + array.end, array.layout)


def npy_header_end(head: bytes) -> int:
    """Offset of the array, from a file's first `NPY_PREFIX` bytes. Raises `HeaderError`."""
    if len(head) < NPY_PREFIX or not looks_like_npy(head):
        raise HeaderError("no NumPy header of version 1, 2 or 3")
    begin = _text_begin(head)
    end = begin + int.from_bytes(head[8:begin], "little")
    if end > MAX_NPY_HEADER:
        raise HeaderError(f"NumPy header of {end} bytes, more than {MAX_NPY_HEADER}")
    return end


def parse_npy(header: bytes, file_size: int) -> Stretch:
    """Where the array lies and how, from all before it.

    Raises `HeaderError` for arrays of Python objects and of structures, and when the file is too short.
    """
    if len(header) != npy_header_end(header[:NPY_PREFIX]):
        raise HeaderError("the header is not all there")
    text = header[_text_begin(header) :]
    descr, shape = _DESCR.search(text), _SHAPE.search(text)
    if descr is None or shape is None:
        raise HeaderError("a NumPy header without a plain type or shape")
    item, layout = _element(descr[1], int(descr[2] or b"1"))
    end = len(header) + item * prod(int(number) for number in shape[1].split(b",") if number.strip())
    if end > file_size:
        raise HeaderError(f"the array ends at {end}, the file at {file_size}")
    return Stretch(len(header), end, layout)


def _text_begin(head: bytes) -> int:
    """Version 1 states the length in two bytes, the others in four."""
    return 10 if head[6] == 1 else 12


def _element(kind: bytes, size: int) -> tuple[int, Layout]:
    """Bytes of an element, and the width of what compresses alike."""
    if kind == b"O":
        raise HeaderError("Python objects")
    if kind in _CODE_POINTS:
        return 4 * size, Layout.WIDTH4
    if kind in _BYTES:
        return size, Layout.WIDTH1
    return size, _WIDTHS.get(size // 2 if kind in _PAIRS else size, Layout.OPAQUE)
