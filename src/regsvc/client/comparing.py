"""Compare over the wire."""

from __future__ import annotations

from collections.abc import Sequence

from regsvc import refs
from regsvc.client.connection import Connection
from regsvc.content.comparison import Comparison
from regsvc.v1 import compare_pb2
from regsvc.wire.comparison import comparison_from

TIMEOUT = 600.0
"""Seconds: tensors that differ are read."""


def compare(
    connection: Connection,
    names: Sequence[refs.VersionRef | refs.BuildName],
    *,
    include_same: bool = False,
    tensors: bool = True,
    series_points: int = 0,
) -> Comparison:
    """What differs between versions and builds. Raises as `Client.compare` says."""
    request = compare_pb2.CompareRequest(
        names=[name.wire for name in names],
        include_same=include_same,
        skip_tensors=not tensors,
        series_points=series_points,
    )
    return comparison_from(connection.call(connection.compare.Compare, request, timeout=TIMEOUT))
