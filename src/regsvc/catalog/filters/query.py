"""Runs a compiled search: chooses what drives it, orders, and goes on after a key."""

from __future__ import annotations

from dataclasses import dataclass

from regsvc.catalog.database import Reader
from regsvc.catalog.filters.compile import Compiler, Sql
from regsvc.catalog.filters.kinds import Kind, Type
from regsvc.content.expression import Node

SELECTIVE = 5_000
"""A condition that finds at most so many drives the search; else it goes through all in order and stops at a page."""


@dataclass(frozen=True)
class Order:
    """By what the results are ordered, beside their id."""

    map: str
    """"metrics" or "params" for an entry of those, else empty."""
    name: str
    descending: bool


@dataclass(frozen=True)
class Scope:
    """A namespace, or a model, that is searched alone."""

    namespace: str = ""
    model: str = ""


def find_order(kind: Kind, text: str) -> Order | None:
    """From `FIELD [asc | desc]`; None when there is no such order."""
    field, _, direction = text.strip().partition(" ")
    direction = direction.strip().lower()
    if not field:
        return Order("", "created", True)
    if direction not in ("", "asc", "desc"):
        return None
    table, dot, key = field.partition(".")
    if dot and key and table in ("metrics", "params") and table in kind.maps:
        return Order(table, key, direction == "desc")
    return Order("", field, direction == "desc") if field in kind.orders else None


class Query:
    """One search. `page` may be called again with the key of its last row."""

    def __init__(self, kind: Kind, node: Node | None, scope: Scope, order: Order):
        """Raises `Unsupported`."""
        self._kind = kind
        self._order = order
        compiler = Compiler(kind)
        self._conditions: list[Sql] = []
        self._drivers: list[Sql] = []
        self._driven: Sql | None = None
        self._chosen = False
        if node is not None:
            self._conditions.append(compiler.condition(node))
            self._drivers = list(compiler.drivers(node))
        if scope.namespace:
            self._conditions.append(Sql("n.name = ?", (scope.namespace,)))
        if scope.model:
            self._conditions.append(Sql("m.name = ?", (scope.model,)))
        self._in_model = bool(scope.model)

    def page(self, db: Reader, after: tuple[object, int] | None, limit: int) -> list[tuple[object, int]]:
        """(order value, id) of the next rows."""
        if not self._chosen:
            self._choose(db)
        key, source, conditions = self._ordered()
        if self._driven is not None:
            conditions.append(Sql(f"{self._kind.id} IN ({self._driven.text})", self._driven.parameters))
        conditions += self._conditions
        direction, beyond = ("DESC", "<") if self._order.descending else ("ASC", ">")
        if after is not None:
            conditions.append(Sql(f"({key}, {self._kind.id}) {beyond} (?, ?)", after))
        where = " AND ".join(condition.text for condition in conditions) or "1"
        by_id = f", {self._kind.id} {direction}" if key != self._kind.id else ""
        return [
            (row[0], row[1])
            for row in db.rows(
                f"SELECT {key}, {self._kind.id} FROM {source} WHERE {where}"  # noqa: S608 - built of our own pieces
                f" ORDER BY {key} {direction}{by_id} LIMIT ?",
                [*(value for condition in conditions for value in condition.parameters), limit],
            )
        ]

    def _ordered(self) -> tuple[str, str, list[Sql]]:
        """The column to order by, what to select from, and what that needs to hold."""
        kind, order = self._kind, self._order
        if not order.map:
            return kind.orders[order.name], kind.source, []
        # An alias of its own: conditions use the table's. CROSS JOIN keeps SQLite from taking another table first.
        table = kind.maps[order.map]
        name, owner = table.source.removesuffix(" x"), table.owner.replace("x.", "o.")
        main, _, others = kind.source.partition(" JOIN ")
        source = f"{name} o CROSS JOIN {main} ON {kind.id} = {owner} JOIN {others}"
        held = Sql("o.key = ?", (order.name,))
        column = table.fields["value"]
        if column.type is not Type.PARAM:
            return column.sql.replace("x.", "o."), source, [held]
        value = "coalesce(o.double_value, o.int_value)"
        return value, source, [held, Sql(f"o.string_value IS NULL AND {value} IS NOT NULL")]

    def _choose(self, db: Reader) -> None:
        """The most selective condition that an index answers, when it is selective enough."""
        self._chosen = True
        best = SELECTIVE + 1
        for driver in self._drivers:
            found = db.value(
                f"SELECT count(*) FROM ({driver.text} LIMIT ?)",  # noqa: S608
                [*driver.parameters, best],
            )
            if found < best:
                best, self._driven = found, driver
