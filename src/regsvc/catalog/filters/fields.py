"""What one row has in the fields of its kind: the values that a filter sees, as plain Python."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from regsvc.catalog.database import Reader
from regsvc.catalog.filters.kinds import Column, Kind, Table, Type

Fields = Mapping[str, Any]
"""By field; maps are dicts, lists are lists of strings or dicts, times are aware."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PARAM = ("string_value", "int_value", "double_value", "bool_value")


def names_of(kind: Kind) -> list[str]:
    """All fields of a kind."""
    return sorted([*kind.columns, *kind.maps, *kind.lists, *kind.records])


def fields_of(db: Reader, kind: Kind, row_id: int, wanted: Collection[str]) -> Fields:
    """Those fields of a row, which must exist."""
    found: dict[str, Any] = {}
    columns = {name: column for name, column in kind.columns.items() if name in wanted}
    found |= _columns(db, kind, row_id, columns)
    for name, record in kind.records.items():
        if name in wanted:
            found[name] = _columns(db, kind, row_id, record)
    for name, table in kind.maps.items():
        if name in wanted:
            found[name] = _map(db, table, row_id)
    for name, table in kind.lists.items():
        if name in wanted:
            found[name] = _list(db, table, row_id)
    return found


def no_fields(kind: Kind) -> Fields:
    """Those of what does not exist: maps without keys, so that `has` can ask for them, and nothing else."""
    return {name: {} for name in (*kind.maps, *kind.records)}


def _columns(db: Reader, kind: Kind, row_id: int, columns: Mapping[str, Column]) -> dict[str, Any]:
    if not columns:
        return {}
    listed = ", ".join(column.sql for column in columns.values())
    row = db.row(f"SELECT {listed} FROM {kind.source} WHERE {kind.id} = ?", [row_id])  # noqa: S608
    assert row is not None, "row ids come from the catalog"
    return {
        name: _value(column, value)
        for (name, column), value in zip(columns.items(), row, strict=True)
        if value is not None
    }


def _map(db: Reader, table: Table, row_id: int) -> dict[str, Any]:
    value = table.fields["value"]
    if value.type is not Type.PARAM:
        rows = db.rows(
            f"SELECT {table.key}, {value.sql} FROM {table.source} WHERE {table.owner} = ?",  # noqa: S608
            [row_id],
        )
        return dict(rows)
    listed = ", ".join(f"{value.sql}.{column}" for column in _PARAM)
    rows = db.rows(
        f"SELECT {table.key}, {listed} FROM {table.source} WHERE {table.owner} = ?",  # noqa: S608
        [row_id],
    )
    return {key: _param(*values) for key, *values in rows}


def _list(db: Reader, table: Table, row_id: int) -> list[Any]:
    listed = ", ".join(column.sql for column in table.fields.values())
    rows = db.rows(f"SELECT {listed} FROM {table.source} WHERE {table.owner} = ?", [row_id])  # noqa: S608
    if "" in table.fields:
        return sorted(value for (value,) in rows)
    return [
        {
            name: _value(column, value)
            for (name, column), value in zip(table.fields.items(), row, strict=True)
            if value is not None
        }
        for row in rows
    ]


def _param(text: str | None, integer: int | None, double: float | None, truth: int | None) -> Any:
    if truth is not None:
        return bool(truth)
    return next(value for value in (text, integer, double) if value is not None)


def _value(column: Column, value: Any) -> Any:
    match column.type:
        case Type.BOOL:
            return bool(value)
        case Type.DIGEST:
            return value.hex()
        case Type.TIMESTAMP:
            return _EPOCH + timedelta(microseconds=value)
    return value
