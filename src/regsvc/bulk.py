"""Bulk messages on the wire, framed by hand: payloads are copied once on the way out and never on the way in.

Protobuf copies a `bytes` field three times out (into the message, into its encoding, and to join parts before
that) and twice in. The messages of WriteChunks, ReadChunks, WriteFile and ReadFile each have one such field,
`data`, with the last number of the message, 15; so the rest is encoded by the generated class, and `data` is
put behind it: tag, length, payloads. The bytes are those that the generated class itself would write, and
whatever order another encoder chose is read all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

M = TypeVar("M")

_DATA_TAG = 15 << 3 | 2
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class Bulk(Generic[M]):
    """A message and its payload apart: `head` is the generated message without `data`."""

    __slots__ = ("head", "payloads")

    def __init__(self, head: M, payloads: Sequence[bytes | bytearray | memoryview] = ()):
        self.head = head
        self.payloads = payloads

    @property
    def data(self) -> memoryview:
        """The payload; a view of the received message where it came as one piece."""
        if len(self.payloads) == 1:
            return memoryview(self.payloads[0])
        return memoryview(b"".join(self.payloads))


def serialize(message: Bulk[Any]) -> bytes:
    """The encoding of a message, with one copy of its payload."""
    size = sum(len(payload) for payload in message.payloads)
    head: bytes = message.head.SerializeToString()
    return b"".join((head, bytes((_DATA_TAG,)), _varint(size), *message.payloads)) if size else head


def deserializer(message_class: type[M]) -> Callable[[bytes], Bulk[M]]:
    """A decoder of these messages that leaves the payload where it is."""

    def deserialize(encoded: bytes) -> Bulk[M]:
        begin, data = _find_data(encoded)
        if data < 0:
            head: Any = message_class.FromString(encoded)  # type: ignore[attr-defined]
            payload: bytes = head.data
            head.ClearField("data")
            return Bulk(head, (payload,) if payload else ())
        head = message_class.FromString(encoded[:begin])  # type: ignore[attr-defined]
        return Bulk(head, (memoryview(encoded)[data:],))

    return deserialize


def _find_data(encoded: bytes) -> tuple[int, int]:
    """Where the field `data` and its bytes begin, if it is the last field and stands there once; else (0, -1).

    Anything odd is left to protobuf to read, or to refuse.
    """
    position, end = 0, len(encoded)
    try:
        while position < end:
            begin = position
            tag, position = _read_varint(encoded, position)
            wire_type = tag & 7
            if wire_type == _BYTES:
                size, position = _read_varint(encoded, position)
                if tag == _DATA_TAG:
                    return (begin, position) if position + size == end else (0, -1)
                position += size
            elif wire_type == _VARINT:
                _, position = _read_varint(encoded, position)
            elif wire_type in (_FIXED64, _FIXED32):
                position += 8 if wire_type == _FIXED64 else 4
            else:
                return 0, -1
    except IndexError:
        pass
    return 0, -1


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def _read_varint(encoded: bytes, position: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 70, 7):
        byte = encoded[position]
        position += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, position
    raise IndexError("a varint has at most ten bytes")
