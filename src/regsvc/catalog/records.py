"""Params, tags and metrics: the same shape for versions and for builds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from regsvc.catalog.database import Reader, Transaction

ParamValue = str | int | float | bool
Owner = Literal["version", "build"]
BuildTable = Literal["build_params", "build_tags", "metric_series"]


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


def params(db: Reader, owner: Owner, owner_id: int) -> dict[str, ParamValue]:
    """By key."""
    rows = db.rows(
        f"SELECT key, string_value, int_value, double_value, bool_value FROM {owner}_params"  # noqa: S608
        f" WHERE {owner}_id = ? ORDER BY key",
        [owner_id],
    )
    return {row[0]: _value(*row[1:]) for row in rows}


def tags(db: Reader, owner: Owner, owner_id: int) -> dict[str, str]:
    """By key."""
    sql = f"SELECT key, value FROM {owner}_tags WHERE {owner}_id = ? ORDER BY key"  # noqa: S608
    return dict(db.rows(sql, [owner_id]))


def version_metrics(db: Reader, version_id: int) -> dict[str, float]:
    """By key."""
    sql = "SELECT key, value FROM version_metrics WHERE version_id = ? ORDER BY key"
    return dict(db.rows(sql, [version_id]))


def build_metrics(db: Reader, build_id: int) -> dict[str, float]:
    """The last value of every series, by key."""
    sql = "SELECT key, last_value FROM metric_series WHERE build_id = ? ORDER BY key"
    return dict(db.rows(sql, [build_id]))


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
