"""Runs a compiled search: chooses what drives it, orders, and goes on after a key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from regsvc.catalog.database import Reader, Row
from regsvc.catalog.filters.compile import Compiler
from regsvc.catalog.filters.drivers import Driver, Drivers
from regsvc.catalog.filters.intersect import common
from regsvc.catalog.filters.kinds import Kind
from regsvc.catalog.filters.orders import Order, walk
from regsvc.catalog.filters.sql import Sql, Unique, joined
from regsvc.content.expression import Node

SELECTIVE = 5_000
"""A condition that finds at most so many drives the search; else it goes through all in order and stops at a page."""
WALK_SECONDS = 0.005
"""How long it goes through all in order, before it looks what the conditions have in common: some four thousand rows,
so that a page of 100 is found unless fewer than one in forty meets them all."""


@dataclass(frozen=True)
class Scope:
    """A namespace, or a model or dataset in it, that is searched alone."""

    namespace: str = ""
    name: str = ""
    collection: str = ""
    """`models` or `datasets`, if there is a name."""


@dataclass(frozen=True)
class Found:
    """A row of a search."""

    key: Sequence[object]
    """What it is ordered by: the next page goes on after it."""
    id: int


class Query:
    """One page of a search. `rows` is called with the key of the last row that was taken, on one snapshot."""

    def __init__(self, kind: Kind, node: Node | None, scope: Scope, order: Order, size: int):
        """Raises `Unsupported`."""
        self._kind = kind
        self._order = order
        self._most = size + 1  # one more tells whether there is another page
        self._in_one = bool(scope.name)
        self._conditions: list[Sql] = []
        self._drivers: list[Driver] = []
        self._ahead: list[Found] | None = None
        if kind.only:
            self._conditions.append(Sql(kind.only))
        if node is not None:
            self._conditions.append(Compiler(kind).condition(node))
            self._drivers += Drivers(kind).of(node)
        if scope.namespace:
            within = [Sql("n.name = ?", (scope.namespace,))]
            if scope.name:
                within.append(Sql("m.name = ?", (scope.name,)))
            both = joined(" AND ", within)
            self._conditions.append(both)
            self._drivers.append(Unique(kind.members.format(both.text), both.parameters))

    def rows(self, db: Reader, after: Sequence[object] | None, limit: int) -> list[Found]:
        """The next rows. All of a page are found at once, as it is what drives a search that costs."""
        if self._ahead is None:
            self._ahead = self._page(db, after)
        elif after is not None:
            place = next(place for place, found in enumerate(self._ahead) if found.key == after)
            del self._ahead[: place + 1]
        return self._ahead[:limit]

    def _page(self, db: Reader, after: Sequence[object] | None) -> list[Found]:
        counted = [_counted(db, driver) for driver in self._drivers]
        selective = [each for each in counted if _count(each) <= SELECTIVE]
        if selective:
            return self._run(db, after, min(selective, key=_count)[1]) or []
        found = self._run(db, after, None, WALK_SECONDS if self._drivers else None)
        if found is not None:
            return found
        drivers = [driver for _, driver in counted]
        return self._run(db, after, drivers[0] if len(drivers) == 1 else self._common(db, drivers)) or []

    def _common(self, db: Reader, drivers: Sequence[Sql]) -> Sql | None:
        table, letter = self._kind.source.split()[:2]
        largest = db.value(f"SELECT max({letter}.id) FROM {table} {letter}")  # noqa: S608
        return common(db, drivers, SELECTIVE, largest or 0)

    def _run(
        self, db: Reader, after: Sequence[object] | None, driver: Sql | None, seconds: float | None = None
    ) -> list[Found] | None:
        """None when it takes longer than it may."""
        kind = self._kind
        path = walk(kind, self._order, driven=driver is not None, in_one=self._in_one)
        direction, beyond = ("DESC", "<") if self._order.descending else ("ASC", ">")
        conditions = [*path.held, *self._conditions]
        if driver is not None:
            conditions.insert(0, Sql(f"{kind.id} IN ({driver.text})", driver.parameters))
        keys = ", ".join(path.keys)
        if after is not None:
            conditions.append(Sql(f"({keys}) {beyond} ({', '.join('?' * len(path.keys))})", tuple(after)))
        where = joined(" AND ", conditions or [Sql("1")])
        order = ", ".join(f"{key} {direction}" for key in path.keys)
        sql = f"SELECT {keys}, {kind.id} FROM {path.source} WHERE {where.text} ORDER BY {order} LIMIT ?"  # noqa: S608
        parameters = [*where.parameters, self._most]
        rows = db.rows(sql, parameters) if seconds is None else db.rows_within(seconds, sql, parameters)
        return None if rows is None else list(map(_found, rows))


def check(kind: Kind, node: Node) -> None:
    """Whether a condition can be asked at all. Raises `Unsupported`."""
    Compiler(kind).condition(node)


def matching(db: Reader, kind: Kind, node: Node, within: Sql) -> list[int]:
    """Ids of all that a condition finds, of those that `within` leaves. Raises `Unsupported`."""
    where = joined(
        " AND ", [within, *([Sql(kind.only)] if kind.only else []), Compiler(kind).condition(node)]
    )
    sql = f"SELECT {kind.id} FROM {kind.source} WHERE {where.text}"  # noqa: S608
    return [row_id for (row_id,) in db.rows(sql, where.parameters)]


def _counted(db: Reader, driver: Driver) -> tuple[int, Sql]:
    """How many a driver finds, at most a little more than is selective; and its query."""
    if isinstance(driver, Sql):
        found = db.value(
            f"SELECT count(*) FROM ({driver.text} LIMIT ?)",  # noqa: S608
            [*driver.parameters, SELECTIVE + 1],
        )
        return int(found), driver
    branches = [min((_counted(db, each) for each in branch), key=_count) for branch in driver.branches]
    return sum(map(_count, branches)), joined(" UNION ALL ", [sql for _, sql in branches])


def _count(counted: tuple[int, Sql]) -> int:
    return counted[0]


def _found(row: Row) -> Found:
    *key, row_id = row
    return Found(key, row_id)
