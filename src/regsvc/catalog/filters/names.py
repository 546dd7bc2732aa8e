"""What the names in an expression stand for: columns, entries of maps, lists."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from regsvc.catalog.filters.kinds import Column, Kind, Table, Type
from regsvc.catalog.filters.sql import Sql
from regsvc.content.expression import Call, Const, Ident, Node, Select, Unsupported

Scope = Mapping[str, Table]
"""The variable of an `exists` or `all`, with the list that it goes through."""


@dataclass(frozen=True)
class Entry:
    """A value of a map: `metrics.f1`."""

    table: Table
    key: str
    position: int

    @property
    def column(self) -> Column:
        """Of its value."""
        return self.table.fields["value"]


class Names:
    """Looks up names of one kind. Raises `Unsupported` for fields that are not there."""

    def __init__(self, kind: Kind):
        self.kind = kind

    def column(self, node: Node, scope: Scope) -> Column | None:
        """A field with one value: `size`, `code.commit`, or `p.name` within `parents.exists(p, ...)`."""
        if isinstance(node, Ident):
            if node.name in scope:
                return scope[node.name].fields.get("")
            return self.kind.columns.get(node.name)
        if isinstance(node, Select) and isinstance(node.operand, Ident):
            table = scope.get(node.operand.name)
            fields = table.fields if table is not None else self.kind.records.get(node.operand.name)
            if fields is None:
                return None
            if node.field not in fields:
                known = ", ".join(sorted(name for name in fields if name))
                raise Unsupported(f"there is no '{node.field[:60]}' here; there is {known}", node.position)
            return fields[node.field]
        return None

    def entry(self, node: Node) -> Entry | None:
        """`metrics.f1`, `metrics["eval/f1"]`."""
        if isinstance(node, Select) and not node.test:
            table = self.map(node.operand)
            return None if table is None else Entry(table, node.field, node.position)
        if isinstance(node, Call) and node.function == "_[_]":
            table, key = self.map(node.args[0]), node.args[1]
            if table is None:
                return None
            if not isinstance(key, Const) or not isinstance(key.value, str):
                raise Unsupported("a key is a literal string", key.position)
            return Entry(table, key.value, node.position)
        return None

    def map(self, node: Node) -> Table | None:
        """`metrics`."""
        return self.kind.maps.get(node.name) if isinstance(node, Ident) else None

    def list(self, node: Node, scope: Scope) -> Table | None:
        """`labels`."""
        if isinstance(node, Ident) and node.name not in scope:
            return self.kind.lists.get(node.name)
        return None

    def lookup(self, entry: Entry, test: Sql) -> Sql:
        """A test of, or a column of, an entry of a map. A scalar subquery: NULL when the map has no such key."""
        table = entry.table
        return Sql(
            f"(SELECT {test.text} FROM {table.source} WHERE {table.owner} = {self.kind.id} AND {table.key} = ?)",  # noqa: S608
            (*test.parameters, entry.key),
        )

    def text_of(self, entry: Entry, position: int) -> str:
        """The column of an entry that has text. Raises `Unsupported` when it has none."""
        if entry.column.type is Type.PARAM:
            return f"{entry.column.sql}.string_value"
        if entry.column.type is not Type.STRING:
            raise Unsupported("this is for strings", position)
        return entry.column.sql
