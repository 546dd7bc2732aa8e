"""Params and times between wire messages and plain values."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

from regsvc.v1 import registry_pb2


def timestamp(at: int) -> Timestamp:
    """Microseconds since 1970 to the wire."""
    return Timestamp(seconds=at // 1_000_000, nanos=at % 1_000_000 * 1000)


def microseconds(time: Timestamp) -> int:
    """The wire to microseconds since 1970."""
    return time.seconds * 1_000_000 + time.nanos // 1000


def param_to(value: str | int | float | bool) -> registry_pb2.ParamValue:
    """A typed param."""
    if isinstance(value, bool):
        return registry_pb2.ParamValue(bool_value=value)
    if isinstance(value, int):
        return registry_pb2.ParamValue(int_value=value)
    if isinstance(value, float):
        return registry_pb2.ParamValue(double_value=value)
    return registry_pb2.ParamValue(string_value=value)
