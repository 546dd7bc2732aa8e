"""Registers the datasets that runs of MLflow name, with the columns and rows that MLflow knows."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any

from blake3 import blake3

from regsvc import errors
from regsvc.client import datasets, searching
from regsvc.client.connection import Connection
from regsvc.client.importing.mlflow_store import StoredDataset
from regsvc.client.importing.mlflow_values import dataset_id, fit_text
from regsvc.content.profile import MAX_COLUMNS, MAX_NAME, Column, Profile
from regsvc.content.record import DatasetUse
from regsvc.refs import parse_dataset

_SPLIT_BYTES = 100
_LOCATIONS = ("uri", "url", "path", "table_name")


class DatasetWriter:
    """Registers each dataset once, however many runs used it."""

    def __init__(self, connection: Connection, namespace: str) -> None:
        self._connection = connection
        self._namespace = namespace
        self._known: dict[str, dict[str, str]] = {}
        """Reference by digest, of each dataset that was looked at."""

    def use(self, found: StoredDataset) -> DatasetUse:
        """Register it unless it is there, and say how a run used it. Raises what the server refuses."""
        name = f"{self._namespace}/{dataset_id(found.name)}"
        digest = _digest(found)
        known = self._versions(name)
        if digest.hex() not in known:
            made = datasets.register(self._connection, name, _profile(found), digest, _location(found.source))
            known[digest.hex()] = made.reference
        split = fit_text("".join(char for char in found.context if char.isprintable()), _SPLIT_BYTES)
        return DatasetUse(parse_dataset(known[digest.hex()]).wire, split)

    def _versions(self, name: str) -> dict[str, str]:
        if name not in self._known:
            self._known[name] = {}
            with contextlib.suppress(errors.NotFound):
                for each in searching.search(self._connection, "", kind="datasets", within=name):
                    if isinstance(each, datasets.Dataset):
                        self._known[name][each.digest] = each.reference
        return self._known[name]


def _digest(found: StoredDataset) -> bytes:
    """MLflow's own digest is 8 digits over some rows; here it is taken over all that MLflow knows."""
    known = [found.name, found.digest, found.source_type, found.source, found.schema, found.profile]
    return blake3(json.dumps(known).encode()).digest()


def _profile(found: StoredDataset) -> Profile:
    rows = _object(found.profile).get("num_rows")
    rows = rows if isinstance(rows, int) and 0 <= rows < 1 << 53 else 0
    schema = _object(found.schema)
    listed = schema.get("mlflow_colspec") or schema.get("mlflow_tensorspec")
    columns: list[Column] = []
    for place, each in enumerate(listed if isinstance(listed, list) else ()):
        if isinstance(each, dict) and len(columns) < MAX_COLUMNS:
            tensor = each.get("tensor-spec")
            kind = tensor.get("dtype") if isinstance(tensor, dict) else each.get("type")
            name = str(each.get("name") or f"column {place}")[:MAX_NAME]
            columns.append(Column(name, str(kind or "")[:1000], rows))
    return Profile(rows, list({column.name: column for column in columns}.values()))


def _location(source: str) -> str:
    known = _object(source)
    text = next((str(known[key]) for key in _LOCATIONS if known.get(key)), "")
    return fit_text(text, 1000)


def _object(text: str) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
