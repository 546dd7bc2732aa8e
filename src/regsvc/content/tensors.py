"""Where tensors lie in a file, and a bounded reader of safetensors headers, which come from strangers.

Format: https://github.com/huggingface/safetensors#format. A file is `u64 N` little-endian, N bytes of JSON
object, then tensor data; `data_offsets` count from the end of the JSON.
"""

import json
from collections.abc import Iterable
from math import prod
from typing import Any, NamedTuple, NoReturn

from regsvc.content.layout import Layout
from regsvc.content.plans import Peek, Plan, tensor_runs

PREFIX_SIZE = 8
"""Bytes of the length field before the JSON."""

MAX_HEADER = 16 << 20
"""Longest header read, in bytes. The format allows 100 MB; 16 MiB names more than 100,000 tensors."""

MAX_NODES = 1 << 20
"""Most `[`, `{` and `,` in a header: JSON of 3-byte empty lists would otherwise grow twentyfold in memory."""

# Bits per element, and the width of what compresses alike: C64 is pairs of F32, sub-byte types are packed.
_DTYPES: dict[str, tuple[int, Layout]] = {
    "F4": (4, Layout.WIDTH1),
    "F6_E2M3": (6, Layout.WIDTH1),
    "F6_E3M2": (6, Layout.WIDTH1),
    "BOOL": (8, Layout.WIDTH1),
    "U8": (8, Layout.WIDTH1),
    "I8": (8, Layout.WIDTH1),
    "F8_E4M3": (8, Layout.WIDTH1),
    "F8_E5M2": (8, Layout.WIDTH1),
    "F8_E8M0": (8, Layout.WIDTH1),
    "F8_E4M3FNUZ": (8, Layout.WIDTH1),
    "F8_E5M2FNUZ": (8, Layout.WIDTH1),
    "I16": (16, Layout.WIDTH2),
    "U16": (16, Layout.WIDTH2),
    "F16": (16, Layout.WIDTH2),
    "BF16": (16, Layout.WIDTH2),
    "I32": (32, Layout.WIDTH4),
    "U32": (32, Layout.WIDTH4),
    "F32": (32, Layout.WIDTH4),
    "C64": (64, Layout.WIDTH4),
    "F64": (64, Layout.WIDTH8),
    "I64": (64, Layout.WIDTH8),
    "U64": (64, Layout.WIDTH8),
}


class HeaderError(ValueError):
    """This is not a header that we are sure of; the message says why."""


class TensorSpan(NamedTuple):
    """Where one tensor's bytes lie: `[begin, end)`, counted from the start of the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def layout(self) -> Layout:
        """The element width of `dtype`."""
        return layout_of(self.dtype)


def layout_of(dtype: str) -> Layout:
    """The element width of a type, by its name; the blocks of quantised types count as bytes."""
    return _DTYPES[dtype][1] if dtype in _DTYPES else Layout.WIDTH1


def looks_like_safetensors(head: bytes) -> bool:
    """Whether a file's first 9 bytes are a header length within `MAX_HEADER` and an opening brace."""
    if len(head) <= PREFIX_SIZE or head[PREFIX_SIZE] != ord("{"):
        return False
    return 2 <= int.from_bytes(head[:PREFIX_SIZE], "little") <= MAX_HEADER


def safetensors_plan(size: int) -> Plan:
    """Along the tensors of a file of `size` bytes; nothing if in doubt."""
    head = yield Peek(PREFIX_SIZE + 1)
    try:
        end = header_end(head, size)
        header = yield Peek(end)
        spans = parse_safetensors(header, size)
    except HeaderError:
        return
    yield from tensor_runs(spans, end)


def header_end(head: bytes, file_size: int) -> int:
    """Offset of the first byte after the header, from the first 9 bytes of a file.

    Raises `HeaderError` when these bytes start no safetensors file, or claim more than `file_size`.
    """
    if not looks_like_safetensors(head):
        raise HeaderError("no safetensors header, or one longer than we read")
    end = PREFIX_SIZE + int.from_bytes(head[:PREFIX_SIZE], "little")
    if end > file_size:
        raise HeaderError(f"header ends at {end}, the file at {file_size}")
    return end


def parse_safetensors(header: bytes, file_size: int) -> list[TensorSpan]:
    """Tensors of a safetensors file in file order, from the length field and JSON (`header`).

    Gaps between tensors and bytes after the last one are let through. Raises `HeaderError` on anything else
    that the format rules out, and on a dtype that we do not know.
    """
    end = header_end(header, file_size)
    if len(header) != end:
        raise HeaderError(f"header is {len(header)} bytes of {end}")
    return in_file_order(_spans(_load(header[PREFIX_SIZE:]), end), end, file_size)


def in_file_order(spans: Iterable[TensorSpan], start: int, end: int) -> list[TensorSpan]:
    """`spans` by where they begin. Raises `HeaderError` if they overlap, or leave the bytes [start, end)."""
    ordered = sorted(spans, key=lambda span: (span.begin, span.end))
    covered = start
    for span in ordered:
        if span.end > end:
            raise HeaderError(f"tensor {span.name!r} ends at {span.end}, the file at {end}")
        if span.begin < covered and span.begin != span.end:
            raise HeaderError(f"tensor {span.name!r} overlaps the one before it")
        covered = max(covered, span.end)
    return ordered


def _load(text: bytes) -> dict[str, Any]:
    nodes = text.count(b"[") + text.count(b"{") + text.count(b",")
    if nodes > MAX_NODES:
        raise HeaderError(f"{nodes} JSON nodes, more than {MAX_NODES}")
    try:
        loaded = json.loads(text.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except HeaderError:
        raise
    except (ValueError, RecursionError) as error:  # ValueError: syntax, UTF-8, integers over 4,300 digits
        raise HeaderError(f"not JSON that we read: {error}") from error
    if not isinstance(loaded, dict):
        raise HeaderError("the header is not a JSON object")
    return loaded


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise HeaderError("a key occurs twice")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise HeaderError(f"{name} is not JSON")


def _spans(tensors: dict[str, Any], base: int) -> Iterable[TensorSpan]:
    for name, entry in tensors.items():
        if name != "__metadata__":
            yield _span(name, entry, base)


def _span(name: str, entry: Any, base: int) -> TensorSpan:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise HeaderError("a tensor's name holds a lone surrogate") from error
    if not isinstance(entry, dict):
        raise HeaderError(f"tensor {name!r} is not an object")
    dtype = entry.get("dtype")
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise HeaderError(f"tensor {name!r} has the unknown dtype {dtype!r}")
    shape = _sizes(name, entry.get("shape"))
    offsets = _sizes(name, entry.get("data_offsets"))
    if len(offsets) != 2 or offsets[0] > offsets[1]:
        raise HeaderError(f"tensor {name!r} has the offsets {offsets!r}")
    begin, end = offsets
    if prod(shape) * _DTYPES[dtype][0] != (end - begin) * 8:
        raise HeaderError(f"tensor {name!r}: {dtype} {shape!r} does not fill {end - begin} bytes")
    return TensorSpan(name, dtype, shape, base + begin, base + end)


def _sizes(name: str, value: Any) -> tuple[int, ...]:
    # 64 dimensions of 63 bits keep the product of a shape small enough to multiply at once.
    if not isinstance(value, list) or len(value) > 64:
        raise HeaderError(f"tensor {name!r}: shape and offsets are short lists")
    for item in value:
        if type(item) is not int or not 0 <= item < 1 << 63:
            raise HeaderError(f"tensor {name!r}: {item!r} is no size")
    return tuple(value)
