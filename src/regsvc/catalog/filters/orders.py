"""What results are ordered by, and the columns after which a page goes on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from regsvc.catalog.filters.compile import number_of
from regsvc.catalog.filters.kinds import Column, Kind, Table, Type
from regsvc.catalog.filters.sql import Sql

MAPS = ("metrics", "params", "tags")
_ORDER = re.compile(
    r"""\s*(?P<field>\w+)(?:\.(?P<key>[^\s"'\[\]]+)|\[(?P<quote>["'])(?P<quoted>(?:\\.|(?!(?P=quote))[^\\])+)(?P=quote)\])?"""
    r"(?:\s+(?P<direction>asc|desc))?\s*",
    re.ASCII | re.IGNORECASE,
)


@dataclass(frozen=True)
class Order:
    """By what the results are ordered."""

    field: str
    key: str
    """Of `metrics.f1`, `code.commit`; else empty."""
    descending: bool


@dataclass(frozen=True)
class Walk:
    """How an order is followed: ORDER BY all `keys`, of which no two rows have the same."""

    keys: tuple[str, ...]
    source: str
    """What stands after FROM."""
    held: tuple[Sql, ...] = ()
    """What has to hold for a row to be in the order at all."""


def find_order(kind: Kind, text: str) -> Order | None:
    """From `FIELD [asc | desc]`; None when there is no such order."""
    if not text.strip():
        return Order("created", "", True)
    found = _ORDER.fullmatch(text)
    if found is None:
        return None
    field, descending = found["field"], (found["direction"] or "").lower() == "desc"
    if found["key"] is None and found["quoted"] is None:
        return Order(field, "", descending) if field in kind.columns else None
    key = found["key"] or re.sub(r"\\(.)", r"\1", found["quoted"])
    known = (field in MAPS and field in kind.maps) or key in kind.records.get(field, ())
    return Order(field, key, descending) if known else None


def known_orders(kind: Kind) -> Iterator[str]:
    """All that `find_order` knows, for people."""
    yield from kind.columns
    yield from (f"{record}.{name}" for record, names in kind.records.items() for name in names)
    yield from (f"{name}.KEY" for name in MAPS if name in kind.maps)


def walk(kind: Kind, order: Order, *, driven: bool, in_one: bool) -> Walk:
    """How to follow an order: along an index that gives it, or, if `driven`, from ids that are few.

    `in_one` says that only one model, or dataset, is searched.
    """
    if order.key and order.field in kind.maps:
        return _map_walk(kind, kind.maps[order.field], order.key, driven)
    if order.field == "created" and in_one and "number" in kind.columns:
        order = replace(order, field="number")  # numbers are given in order
    special = kind.orders.get(order.field)
    if special is not None:
        return Walk(special.keys, kind.source if driven or not special.source else special.source)
    column = kind.records[order.field][order.key] if order.key else kind.columns[order.field]
    key = column.order or column.sql
    return Walk((key, kind.id), kind.source, (Sql(f"{key} IS NOT NULL"),))


def _map_walk(kind: Kind, table: Table, key: str, driven: bool) -> Walk:
    # An alias of its own: conditions use the table's. CROSS JOIN keeps SQLite from taking another table first.
    name, owner = table.source.removesuffix(" x"), table.owner.replace("x.", "o.")
    main, _, others = kind.source.partition(" JOIN ")
    if driven:
        source = f"{main} CROSS JOIN {name} o ON {owner} = {kind.id} JOIN {others}"
    else:
        source = f"{name} o CROSS JOIN {main} ON {kind.id} = {owner} JOIN {others}"
    held = [Sql("o.key = ?", (key,))]
    column = table.fields["value"]
    value = column.sql.replace("x.", "o.")
    if column.type is Type.PARAM:
        value = number_of(Column(Type.PARAM, "o"))
        held.append(Sql(f"o.string_value IS NULL AND {value} IS NOT NULL"))
    return Walk((value, owner), source, tuple(held))
