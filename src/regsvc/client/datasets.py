"""Datasets over the wire: register, look at, compare, and who used them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from regsvc import refs
from regsvc.client.capture.code import without_credentials
from regsvc.client.connection import Connection
from regsvc.client.records import time_from
from regsvc.content.profile import Profile, from_json, to_json
from regsvc.v1 import dataset_pb2

_PAGE = 200


@dataclass(frozen=True)
class Dataset:
    """One version of a dataset."""

    reference: str
    """`team/transactions:3`"""
    digest: str
    """64 hex digits: BLAKE3 of its bytes."""
    uri: str
    rows: int
    columns: int
    created: datetime
    profile: Profile | None = None
    """Of `client.dataset(ref)` only."""


@dataclass(frozen=True)
class DatasetUser:
    """A version or build that used a dataset version."""

    reference: str
    dataset: str
    split: str


@dataclass(frozen=True)
class ColumnDrift:
    """How far the distributions of a column lie apart; docs/datasets.md says what each number means."""

    column: str
    psi: float | None
    ks: float | None
    js: float | None
    nulls_before: float
    nulls_after: float
    edges: Sequence[float]
    labels: Sequence[str]
    before: Sequence[float]
    after: Sequence[float]
    type: str = ""
    """In both, as profiles have it; empty when it changed."""


@dataclass(frozen=True)
class DatasetComparison:
    """What changed from one dataset version to another."""

    before: Dataset
    after: Dataset
    added: Sequence[str]
    removed: Sequence[str]
    retyped: Sequence[tuple[str, str, str]]
    """(column, type before, type after)"""
    columns: Sequence[ColumnDrift]
    """The farthest apart first."""


def register(connection: Connection, name: str, profile: Profile, digest: bytes, uri: str) -> Dataset:
    """Make the next version, or find that the latest is the same. Raises `NameInvalid`, `ProfileInvalid`."""
    request = dataset_pb2.RegisterDatasetRequest(
        parent=refs.parse_dataset(name).parent,
        digest=digest.hex(),
        uri=without_credentials(uri),
        profile=to_json(profile).decode(),
        request_id=uuid.uuid4().hex,
    )
    return dataset_from(connection.call(connection.datasets.RegisterDataset, request).dataset)


def get(connection: Connection, ref: str) -> Dataset:
    """With its profile. Raises `NotFound`."""
    request = dataset_pb2.GetDatasetRequest(name=refs.parse_dataset(ref).wire)
    return dataset_from(connection.call(connection.datasets.GetDataset, request).dataset)


def list_all(connection: Connection, namespace: str | None) -> Iterator[Dataset]:
    """Latest versions by name."""
    parent = f"namespaces/{'-' if namespace is None else namespace}"
    request = dataset_pb2.ListDatasetsRequest(parent=parent, page_size=_PAGE)
    while True:
        page = connection.call(connection.datasets.ListDatasets, request)
        yield from map(dataset_from, page.datasets)
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def users(connection: Connection, ref: str) -> list[DatasetUser]:
    """Who used a dataset, or one version of it. Raises `NotFound`."""
    parsed = refs.parse_dataset(ref)
    name = parsed.parent if parsed.number is None else parsed.wire
    request = dataset_pb2.ListDatasetUsesRequest(name=name)
    return [
        DatasetUser(
            str(refs.source_from_wire(each.name)), str(refs.dataset_from_wire(each.dataset)), each.split
        )
        for each in connection.call(connection.datasets.ListDatasetUses, request).users
    ]


def compare(connection: Connection, before: str, after: str) -> DatasetComparison:
    """Raises `NotFound`, `InvalidArgument`, `FailedPrecondition` (one has no profile)."""
    request = dataset_pb2.CompareDatasetsRequest(
        before=refs.parse_dataset(before).wire, after=refs.parse_dataset(after).wire
    )
    answer = connection.call(connection.datasets.CompareDatasets, request)
    return DatasetComparison(
        dataset_from(answer.before),
        dataset_from(answer.after),
        list(answer.added),
        list(answer.removed),
        [(each.column, each.before, each.after) for each in answer.retyped],
        [_drift(each) for each in answer.columns],
    )


def dataset_from(message: Any) -> Dataset:
    """From the wire."""
    return Dataset(
        str(refs.dataset_from_wire(message.name)),
        message.digest,
        message.uri,
        message.row_count,
        message.column_count,
        time_from(message.create_time),
        from_json(message.profile.encode()) if message.profile else None,
    )


def _drift(message: Any) -> ColumnDrift:
    known = {key: getattr(message, key) if message.HasField(key) else None for key in ("psi", "ks", "js")}
    return ColumnDrift(
        message.column,
        known["psi"],
        known["ks"],
        known["js"],
        message.nulls_before,
        message.nulls_after,
        list(message.edges),
        list(message.labels),
        list(message.before),
        list(message.after),
        message.type,
    )
