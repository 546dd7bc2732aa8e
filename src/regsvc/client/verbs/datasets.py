"""Datasets: profile, register, look at, compare."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from regsvc.client import datasets as data
from regsvc.client.datasets import Dataset, DatasetComparison, DatasetUser
from regsvc.client.verbs.connections import Connections


class Datasets(Connections):
    """Those methods of `Client`."""

    def log_dataset(self, source: Any, name: str, *, uri: str = "") -> Dataset:
        """Profile a CSV, Parquet or Arrow file, or a polars, pandas or Arrow table, and register it as a dataset.

        Nothing of the rows leaves this machine but the profile: counts, extremes, histograms, frequent values. The same
        data again is the same version. Name it in `datasets=` of a push. Needs `regsvc[data]`. Raises
        `InvalidArgument` (it cannot be read, and why), `NameInvalid`, `FailedPrecondition` (no polars), `OSError`.
        """
        from regsvc.client.profiling import profile

        found, digest = profile(source)
        return data.register(self._connection(None), name, found, digest, uri)

    def dataset(self, ref: str) -> Dataset:
        """One version of a dataset (`[namespace/]dataset[:N]`) with its profile. Raises `NotFound`."""
        return data.get(self._connection(None), ref)

    def datasets(self, namespace: str | None = None) -> Iterator[Dataset]:
        """The latest version of all datasets, or those of one namespace, by name."""
        return data.list_all(self._connection(None), namespace)

    def dataset_users(self, ref: str) -> list[DatasetUser]:
        """Versions and builds that used a dataset, or one version of it, newest first. Raises `NotFound`."""
        return data.users(self._connection(None), ref)

    def compare_datasets(self, before: str, after: str) -> DatasetComparison:
        """Schema changes, row counts and the drift of each column, by the profiles.

        Raises `NotFound`, `InvalidArgument` (the same one twice), `FailedPrecondition` (one has no profile).
        """
        return data.compare(self._connection(None), before, after)
