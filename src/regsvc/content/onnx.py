"""Where ONNX models keep their tensors: in the model's own bytes, or in files beside it.

Format: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto, a protocol buffer of messages within messages;
tensors in other files: https://github.com/onnx/onnx/blob/main/docs/ExternalData.md. Only initializers of the main
graph are looked for. A model is walked through field by field, and never held.
"""

from contextlib import suppress
from math import prod
from mmap import mmap

from regsvc.content.buffer import Buffer
from regsvc.content.layout import Layout
from regsvc.content.plans import Look, Stretch, Walk
from regsvc.content.protowire import MAX_FIELD_HEAD, Field, Wire, field_at, fields, packed_varints
from regsvc.content.tensors import TensorSpan, layout_of

MAX_FIELDS = 1 << 17
"""Most fields of model and graph that are walked through: each node, initializer and input is one."""

_HEAD = 4096
"""Bytes of an initializer that are read: what stands before its data, or all of it if those are elsewhere."""

_MAX_DIMENSIONS = 64

# Of producer name and version, domain, model version, documentation, graph, operator sets, metadata.
_SECOND_TAGS = b"\x12\x1a\x22\x28\x32\x3a\x42\x72"

# Field numbers: ModelProto, GraphProto, TensorProto, StringStringEntryProto.
_GRAPH = 7
_INITIALIZER = 5
_DIMS, _DATA_TYPE, _FLOAT_DATA, _NAME, _RAW_DATA, _DOUBLE_DATA, _EXTERNAL_DATA = 1, 2, 4, 8, 9, 10, 13
_KEY, _VALUE = 1, 2

# `TensorProto.DataType` by the names that safetensors uses, as far as it has them, and bits of an element.
_DTYPES = {
    1: ("F32", 32),
    2: ("U8", 8),
    3: ("I8", 8),
    4: ("U16", 16),
    5: ("I16", 16),
    6: ("I32", 32),
    7: ("I64", 64),
    9: ("BOOL", 8),
    10: ("F16", 16),
    11: ("F64", 64),
    12: ("U32", 32),
    13: ("U64", 64),
    14: ("C64", 64),
    16: ("BF16", 16),
    17: ("F8_E4M3", 8),
    18: ("F8_E4M3FNUZ", 8),
    19: ("F8_E5M2", 8),
    20: ("F8_E5M2FNUZ", 8),
    21: ("U4", 4),
    22: ("I4", 4),
    23: ("F4", 4),
    24: ("F8_E8M0", 8),
}


def looks_like_onnx(head: bytes) -> bool:
    """Whether a file begins with an `ir_version`, and then one of the fields that models have next.

    That is not much of a sign; but where it is wrong, the walk is soon lost and gives up.
    """
    return len(head) > 2 and head[0] == 0x08 and 1 <= head[1] < 0x80 and head[2] in _SECOND_TAGS


def onnx_walk(size: int) -> Walk:
    """The tensors that lie in a model of `size` bytes, up to what is in doubt."""
    return _walk(size, None)


def external_tensors(model: Buffer | mmap) -> dict[str, list[TensorSpan]]:
    """Tensors that a model keeps in other files, by location: a path relative to the model's folder.

    Spans are in the model's order and count from the start of that other file. All of it is what the model says:
    a location may be any text, spans may overlap or lie outside the file. A model in doubt has only some, or none.
    """
    found: dict[str, list[TensorSpan]] = {}
    with memoryview(model) as whole, whole.cast("B") as view, suppress(StopIteration):
        walk = _walk(len(view), found)
        seen: bytes | None = None
        while True:
            step = next(walk) if seen is None else walk.send(seen)
            seen = bytes(view[step.begin : step.begin + step.size]) if isinstance(step, Look) else None
    return found


def _walk(size: int, elsewhere: dict[str, list[TensorSpan]] | None) -> Walk:
    """Yields tensors that lie in the model; adds the others to `elsewhere`."""
    at, end, in_graph = 0, size, False
    view, start = b"", 0
    for _ in range(MAX_FIELDS):
        if in_graph and at == end:
            in_graph, end = False, size
        if at + MAX_FIELD_HEAD > start + len(view):
            view, start = (yield Look(at, _HEAD)), at
        field = field_at(view, at - start)
        if field is None or start + field.end > end:
            return
        begin, at = start + field.begin, start + field.end
        if field.wire is not Wire.BYTES:
            continue
        if not in_graph and field.number == _GRAPH:
            at, end, in_graph = begin, at, True
        elif in_graph and field.number == _INITIALIZER:
            if min(at, begin + _HEAD) > start + len(view):
                view, start = (yield Look(begin, _HEAD)), begin
            tensor = view[begin - start : at - start]
            data = _data(tensor)
            if data is not None and begin + data.end <= at:
                yield Stretch(begin + data.begin, begin + data.end, data.layout)
            elif data is None and elsewhere is not None and begin + len(tensor) == at:
                _add_external(tensor, elsewhere)


def _data(tensor: bytes) -> Stretch | None:
    """Where in a TensorProto, of which the beginning is given, its data lie; none if they do not lie in it."""
    layout = Layout.OPAQUE
    for field in fields(tensor):
        if field.number == _DATA_TYPE and field.value in _DTYPES:
            layout = layout_of(_DTYPES[field.value][0])
        elif field.wire is Wire.BYTES and field.begin < field.end:
            if field.number == _RAW_DATA:
                return Stretch(field.begin, field.end, layout)
            if field.number in {_FLOAT_DATA, _DOUBLE_DATA}:
                width = Layout.WIDTH4 if field.number == _FLOAT_DATA else Layout.WIDTH8
                return Stretch(field.begin, field.end, width)
    return None


def _add_external(tensor: bytes, elsewhere: dict[str, list[TensorSpan]]) -> None:
    """Adds what a TensorProto says about its data's place, if it says all and size and shape fit."""
    name, data_type, shape = "", 0, list[int]()
    entries: dict[str, str] = {}
    for field in fields(tensor):
        if field.number == _DIMS:
            packed = tensor[field.begin : field.end]
            shape += [field.value] if field.wire is Wire.VARINT else packed_varints(packed)
        elif field.number == _DATA_TYPE:
            data_type = field.value
        elif field.number == _NAME:
            name = _text(tensor, field)
        elif field.number == _EXTERNAL_DATA:
            entry = tensor[field.begin : field.end]
            texts = {part.number: _text(entry, part) for part in fields(entry)}
            entries[texts.get(_KEY, "")] = texts.get(_VALUE, "")
    location, begin = entries.get("location"), _number(entries.get("offset", "0"))
    if not location or begin is None or data_type not in _DTYPES or len(shape) > _MAX_DIMENSIONS:
        return
    dtype, bits = _DTYPES[data_type]
    size = -(-prod(shape) * bits // 8)
    if _number(entries.get("length", str(size))) == size:
        span = TensorSpan(name, dtype, tuple(shape), begin, begin + size)
        elsewhere.setdefault(location, []).append(span)


def _text(message: bytes, field: Field) -> str:
    return message[field.begin : field.end].decode(errors="replace")


def _number(text: str) -> int | None:
    return int(text) if len(text) < 20 and text.isascii() and text.isdigit() else None
