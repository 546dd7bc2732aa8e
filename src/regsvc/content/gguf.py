"""A bounded reader of GGUF headers, which come from strangers.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3, little-endian. A file is
`GGUF`, a version, the number of tensors and of key-value pairs, the pairs, one entry a tensor, padding to the
alignment, tensor data. The header does not state its length.
"""

import struct
from math import prod
from typing import NamedTuple

from regsvc.content.plans import Peek, Plan, tensor_runs
from regsvc.content.tensors import MAX_HEADER, HeaderError, TensorSpan, in_file_order

__all__ = ["HeaderTruncated", "gguf_plan", "looks_like_gguf", "parse_gguf"]

MAX_TENSORS = 1 << 16
"""Most tensors in a header; the largest models have a few thousand."""

MAX_PAIRS = 1 << 16
"""Most key-value pairs in a header; models have dozens. What an array holds does not count."""

_VERSIONS = (2, 3)
_DEFAULT_ALIGNMENT = 32
_MAX_DIMENSIONS = 4
_FIRST_LOOK = 256 << 10

# Sizes of values by their type number; strings and arrays carry their length.
_VALUE_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
_STRING, _ARRAY, _UINT32 = 8, 9, 4


class _Type(NamedTuple):
    name: str
    elements: int
    """Elements in a block."""
    size: int
    """Bytes in a block."""


# ggml's `type_traits`: https://github.com/ggml-org/ggml/blob/master/src/ggml.c
_TYPES = {
    0: _Type("F32", 1, 4),
    1: _Type("F16", 1, 2),
    2: _Type("Q4_0", 32, 18),
    3: _Type("Q4_1", 32, 20),
    6: _Type("Q5_0", 32, 22),
    7: _Type("Q5_1", 32, 24),
    8: _Type("Q8_0", 32, 34),
    9: _Type("Q8_1", 32, 40),
    10: _Type("Q2_K", 256, 84),
    11: _Type("Q3_K", 256, 110),
    12: _Type("Q4_K", 256, 144),
    13: _Type("Q5_K", 256, 176),
    14: _Type("Q6_K", 256, 210),
    15: _Type("Q8_K", 256, 292),
    16: _Type("IQ2_XXS", 256, 66),
    17: _Type("IQ2_XS", 256, 74),
    18: _Type("IQ3_XXS", 256, 98),
    19: _Type("IQ1_S", 256, 50),
    20: _Type("IQ4_NL", 32, 18),
    21: _Type("IQ3_S", 256, 110),
    22: _Type("IQ2_S", 256, 82),
    23: _Type("IQ4_XS", 256, 136),
    24: _Type("I8", 1, 1),
    25: _Type("I16", 1, 2),
    26: _Type("I32", 1, 4),
    27: _Type("I64", 1, 8),
    28: _Type("F64", 1, 8),
    29: _Type("IQ1_M", 256, 56),
    30: _Type("BF16", 1, 2),
    34: _Type("TQ1_0", 256, 54),
    35: _Type("TQ2_0", 256, 66),
    39: _Type("MXFP4", 32, 17),
    40: _Type("NVFP4", 64, 36),
    41: _Type("Q1_0", 128, 18),
}


class HeaderTruncated(HeaderError):
    """The header goes on after the bytes that were given."""

    def __init__(self, need: int) -> None:
        super().__init__(f"the header has at least {need} bytes")
        self.need = need
        """Bytes from the start of the file that are needed at least; not more than `MAX_HEADER` or the file."""


def looks_like_gguf(head: bytes) -> bool:
    """Whether a file's first 8 bytes are the magic and a version that we read."""
    return head[:4] == b"GGUF" and int.from_bytes(head[4:8], "little") in _VERSIONS


def gguf_plan(size: int) -> Plan:
    """Header by itself, then along the tensors; nothing if in doubt."""
    need, had = _FIRST_LOOK, 0
    while True:
        header = yield Peek(min(need, size, MAX_HEADER))
        if len(header) == had:  # the file is shorter than declared
            return
        try:
            spans = parse_gguf(header, size)
        except HeaderTruncated as truncated:
            need, had = max(4 * need, truncated.need), len(header)
        except HeaderError:
            return
        else:
            break
    yield from tensor_runs(spans)


def parse_gguf(head: bytes, file_size: int) -> list[TensorSpan]:
    """Tensors of a GGUF file in file order, from its first bytes, of which there may be more than the header.

    `dtype` is ggml's name (`F32`, `BF16`, `Q4_K`); `shape` is in NumPy's order, slowest dimension first, in
    elements. Raises `HeaderTruncated` when `head` ends before the header does, and `HeaderError` on anything
    that the format rules out, on types that we do not know, and past `MAX_HEADER` bytes.
    """
    reader = _Reader(head, file_size)
    if not looks_like_gguf(reader.bytes(8)):
        raise HeaderError("no GGUF header of version 2 or 3, little-endian")
    tensors, pairs = reader.u64(), reader.u64()
    if tensors > MAX_TENSORS or pairs > MAX_PAIRS:
        raise HeaderError(f"{tensors} tensors and {pairs} pairs, more than we read")
    alignment = _alignment(reader, pairs)
    entries = [_entry(reader) for _ in range(tensors)]
    base = -(-reader.position // alignment) * alignment
    spans = [
        TensorSpan(name, kind, shape, base + at, base + at + size) for name, kind, shape, at, size in entries
    ]
    if len({span.name for span in spans}) != len(spans):
        raise HeaderError("a tensor's name occurs twice")
    return in_file_order(spans, base, file_size)


class _Reader:
    """Reads `head` forward."""

    def __init__(self, head: bytes, file_size: int) -> None:
        self.position = 0
        self._head = head
        self._most = min(file_size, MAX_HEADER)

    def require(self, size: int) -> int:
        """Moves on by `size` bytes and returns where they began; raises unless `head` has them."""
        begin, self.position = self.position, self.position + size
        if self.position > len(self._head):
            if self.position > self._most:
                raise HeaderError(f"the header has more than {self._most} bytes")
            raise HeaderTruncated(self.position)
        return begin

    def bytes(self, size: int) -> bytes:
        begin = self.require(size)
        return self._head[begin : self.position]

    def u32(self) -> int:
        return int(_U32.unpack_from(self._head, self.require(4))[0])

    def u64(self) -> int:
        return int(_U64.unpack_from(self._head, self.require(8))[0])

    def text(self) -> str:
        raw = self.bytes(self.u64())
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise HeaderError("a name is not UTF-8") from error

    def skip_strings(self, count: int) -> None:
        """Vocabularies have hundreds of thousands of them."""
        begin = self.position
        self.require(8 * count)  # so that no more are looked for than there can be
        head, position, last = self._head, begin, len(self._head) - 8
        unpack = _U64.unpack_from
        for left in range(count, 0, -1):
            if position > last:
                self.position = position
                self.require(8 * left)
            position += 8 + unpack(head, position)[0]
        self.position = position
        self.require(0)


_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")


def _alignment(reader: _Reader, pairs: int) -> int:
    """Reads over the key-value pairs; returns what one of them says about alignment."""
    alignment = _DEFAULT_ALIGNMENT
    for _ in range(pairs):
        key, kind = reader.text(), reader.u32()
        if key == "general.alignment":
            if kind != _UINT32:
                raise HeaderError("the alignment is not a 32-bit number")
            alignment = reader.u32()
            if alignment.bit_count() != 1:
                raise HeaderError(f"alignment to {alignment} bytes")
        else:
            _skip_value(reader, kind)
    return alignment


def _skip_value(reader: _Reader, kind: int) -> None:
    count = 1
    if kind == _ARRAY:
        kind, count = reader.u32(), reader.u64()
    if kind == _STRING:
        reader.skip_strings(count)
    elif kind in _VALUE_SIZES:
        reader.require(_VALUE_SIZES[kind] * count)
    else:
        raise HeaderError(f"a value of type {kind}")


def _entry(reader: _Reader) -> tuple[str, str, tuple[int, ...], int, int]:
    """Name, type, shape, offset from the start of the data, size in bytes."""
    name, dimensions = reader.text(), reader.u32()
    if dimensions > _MAX_DIMENSIONS:
        raise HeaderError(f"tensor {name!r} has {dimensions} dimensions")
    sizes = [reader.u64() for _ in range(dimensions)]
    number, offset = reader.u32(), reader.u64()
    if number not in _TYPES:
        raise HeaderError(f"tensor {name!r} has the unknown type {number}")
    kind = _TYPES[number]
    if kind.elements > 1 and (not sizes or sizes[0] % kind.elements):
        raise HeaderError(f"tensor {name!r}: {kind.name} has blocks of {kind.elements} elements")
    return name, kind.name, tuple(reversed(sizes)), offset, prod(sizes) // kind.elements * kind.size
