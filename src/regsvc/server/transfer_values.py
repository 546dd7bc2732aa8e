"""Values that items of transfers have on the wire."""

from __future__ import annotations

from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from regsvc.errors import InvalidArgument
from regsvc.server import convert
from regsvc.v1 import artifact_pb2, record_pb2
from regsvc.wire import record as wire
from regsvc.wire.values import microseconds


def attachments_from(record: record_pb2.Record) -> tuple[Any, ...]:
    """Of a record. Raises `InvalidArgument` when a digest is missing."""
    for each in record.attachments:
        digest_from(each.digest)
    return tuple(wire.attachment_from(each) for each in record.attachments)


def chunks_to(found: Any) -> list[artifact_pb2.ChunkRef]:
    """Of (digest, size)."""
    return [artifact_pb2.ChunkRef(digest=digest, size=size) for digest, size in found]


def digest_from(text: str) -> bytes:
    """Raises `InvalidArgument` when it is missing or none."""
    found = convert.digest_from_hex(text)
    if found is None:
        raise InvalidArgument("a digest is missing")
    return found


def hex_of(digest: bytes | None) -> str:
    """Empty for none."""
    return "" if digest is None else digest.hex()


def time_from(message: Any, field: str) -> int:
    """Microseconds since 1970. Raises `InvalidArgument` when it is not set."""
    at = optional_time_from(message, field)
    if at is None:
        raise InvalidArgument(f"an item has no {field}")
    return at


def optional_time_from(message: Any, field: str) -> int | None:
    """Microseconds since 1970; None when it is not set."""
    found: Timestamp = getattr(message, field)
    return microseconds(found) if message.HasField(field) else None


def known(kind: Any, number: int) -> Any:
    """The member of an enum. Raises `InvalidArgument`."""
    try:
        return kind(number)
    except ValueError:
        raise InvalidArgument(f"no {kind.__name__} has the number {number}", number=number) from None


def number_to(value: int) -> Any:
    """Enum numbers are the same on both sides of the wire, but the generated types want names of their own."""
    return int(value)
