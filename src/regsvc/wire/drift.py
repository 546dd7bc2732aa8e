"""Drift between wire messages and plain values, for both ends of the wire."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from regsvc.content.drift import ColumnDrift
from regsvc.v1 import dataset_pb2 as pb


def drift_to(drift: ColumnDrift) -> pb.ColumnDrift:
    """To the wire."""
    return pb.ColumnDrift(
        column=drift.name,
        psi=drift.psi,
        ks=drift.ks,
        js=drift.js,
        nulls_before=drift.nulls_before,
        nulls_after=drift.nulls_after,
        edges=drift.edges,
        labels=drift.labels,
        before=drift.before,
        after=drift.after,
        type=drift.type,
    )


def drift_from(message: pb.ColumnDrift) -> ColumnDrift:
    """From the wire."""
    return ColumnDrift(
        message.column,
        message.psi if message.HasField("psi") else None,
        message.ks if message.HasField("ks") else None,
        message.js if message.HasField("js") else None,
        message.nulls_before,
        message.nulls_after,
        edges=list(message.edges),
        labels=list(message.labels),
        before=list(message.before),
        after=list(message.after),
        type=message.type,
    )


def retyped_to(columns: Iterable[tuple[str, str, str]]) -> list[pb.ColumnRetyped]:
    """(column, type before, type after) to the wire."""
    return [pb.ColumnRetyped(column=name, before=before, after=after) for name, before, after in columns]


def retyped_from(messages: Iterable[pb.ColumnRetyped]) -> Sequence[tuple[str, str, str]]:
    """From the wire."""
    return [(each.column, each.before, each.after) for each in messages]
