"""The wire format of protocol buffers, as far as it takes to walk through a message without its description.

Format: https://protobuf.dev/programming-guides/encoding/. Nothing here raises on bad bytes, or allocates by what
they claim.
"""

from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

MAX_FIELD_HEAD = 20
"""Most bytes of a field's tag and length, or of its tag and number."""

_MAX_VARINT = 10


class Wire(IntEnum):
    """Wire types; those of groups are left out, and end a walk."""

    VARINT = 0
    FIXED64 = 1
    BYTES = 2
    FIXED32 = 5


class Field(NamedTuple):
    """One field of a message, by offsets into the bytes that it was found in."""

    number: int
    wire: Wire
    begin: int
    """Offset of the content, after tag and length."""
    end: int
    """Offset after the content, which may be after the bytes that are there."""
    value: int
    """The number that a varint holds; else 0."""


def field_at(data: bytes, at: int) -> Field | None:
    """The field whose tag is at `at`, if there is one and all of its head is in `data`."""
    tag, at = _varint(data, at)
    number, wire = tag >> 3, tag & 7
    if number < 1:
        return None
    if wire == Wire.VARINT:
        value, end = _varint(data, at)
        return Field(number, Wire.VARINT, at, end, value) if value >= 0 else None
    if wire == Wire.BYTES:
        length, at = _varint(data, at)
        return Field(number, Wire.BYTES, at, at + length, 0) if length >= 0 else None
    if wire == Wire.FIXED64:
        return Field(number, Wire.FIXED64, at, at + 8, 0)
    if wire == Wire.FIXED32:
        return Field(number, Wire.FIXED32, at, at + 4, 0)
    return None


def fields(message: bytes) -> Iterator[Field]:
    """The fields of a message of which only the beginning may be there."""
    at = 0
    while (field := field_at(message, at)) is not None:
        yield field
        at = field.end


def packed_varints(content: bytes) -> Iterator[int]:
    """The numbers of a packed repeated field, up to one that is cut short."""
    at = 0
    while at < len(content):
        value, at = _varint(content, at)
        if value < 0:
            return
        yield value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at `at`, below 2^64, and where it ends; -1 if it is cut short or longer than 10 bytes."""
    value = shift = 0
    for byte in data[at : at + _MAX_VARINT]:
        value |= (byte & 0x7F) << shift
        shift += 7
        at += 1
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
    return -1, at
