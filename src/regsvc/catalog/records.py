"""Params, tags and metrics: the same shape for versions and for builds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from regsvc.catalog.database import Reader, Transaction

ParamValue = str | int | float | bool
Owner = Literal["version", "build"]
BuildTable = Literal["build_params", "build_tags", "metric_series"]


# One statement, since between two of them, and after every row, another thread may take the interpreter: with many
# callers those turns cost more than the queries.
_FIND = {
    owner: f"""
SELECT 0 AS kind, key, string_value, int_value, double_value, bool_value FROM {owner}_params WHERE {owner}_id = ?
UNION ALL SELECT 1, key, value, NULL, NULL, NULL FROM {owner}_tags WHERE {owner}_id = ?
UNION ALL SELECT 2, key, NULL, NULL, {value}, NULL FROM {metrics} WHERE {owner}_id = ?
ORDER BY kind, key
"""  # noqa: S608 - names of tables, no values
    for owner, metrics, value in (
        ("version", "version_metrics", "value"),
        ("build", "metric_series", "last_value"),
    )
}


@dataclass(frozen=True)
class Metadata:
    """What a client records with a version or a build."""

    description: str = ""
    params: Mapping[str, ParamValue] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


def set_params(tx: Transaction, owner: Owner, owner_id: int, params: Mapping[str, ParamValue]) -> None:
    """Add params; a key that exists is replaced."""
    tx.run_many(
        f"INSERT INTO {owner}_params ({owner}_id, key, string_value, int_value, double_value, bool_value)"  # noqa: S608
        f" VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT ({owner}_id, key) DO UPDATE SET"
        " string_value = excluded.string_value, int_value = excluded.int_value,"
        " double_value = excluded.double_value, bool_value = excluded.bool_value",
        [(owner_id, key, *_columns(value)) for key, value in params.items()],
    )


def set_tags(tx: Transaction, owner: Owner, owner_id: int, tags: Mapping[str, str]) -> None:
    """Add tags; a key that exists is replaced."""
    tx.run_many(
        f"INSERT INTO {owner}_tags ({owner}_id, key, value) VALUES (?, ?, ?)"  # noqa: S608
        f" ON CONFLICT ({owner}_id, key) DO UPDATE SET value = excluded.value",
        [(owner_id, key, value) for key, value in tags.items()],
    )


def set_version_metrics(tx: Transaction, version_id: int, metrics: Mapping[str, float]) -> None:
    """Record the final metrics of a new version."""
    tx.run_many(
        "INSERT INTO version_metrics (version_id, key, value) VALUES (?, ?, ?)",
        [(version_id, key, value) for key, value in metrics.items()],
    )


def find(db: Reader, owner: Owner, owner_id: int, description: str) -> Metadata:
    """All that was recorded, by key; of a build's metrics the last values."""
    params: dict[str, ParamValue] = {}
    tags: dict[str, str] = {}
    metrics: dict[str, float] = {}
    for kind, key, *columns in db.rows(_FIND[owner], [owner_id] * 3):
        if kind == 0:
            params[key] = _value(*columns)
        elif kind == 1:
            tags[key] = columns[0]
        else:
            metrics[key] = columns[2]
    return Metadata(description, params, metrics, tags)


def count(db: Reader, table: BuildTable, build_id: int) -> int:
    """How many entries a build has."""
    return int(db.value(f"SELECT count(*) FROM {table} WHERE build_id = ?", [build_id]))  # noqa: S608


def _columns(value: ParamValue) -> tuple[str | None, int | None, float | None, int | None]:
    if isinstance(value, bool):
        return None, None, None, int(value)
    if isinstance(value, int):
        return None, value, None, None
    if isinstance(value, float):
        return None, None, value, None
    return value, None, None, None


def _value(text: str | None, integer: int | None, real: float | None, boolean: int | None) -> ParamValue:
    if text is not None:
        return text
    if integer is not None:
        return integer
    if real is not None:
        return real
    return bool(boolean)
