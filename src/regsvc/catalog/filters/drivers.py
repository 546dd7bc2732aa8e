"""Which indexes answer a filter, or parts of it: queries for ids that find all that the whole can find, and more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from regsvc.catalog.filters.compile import Compiler, compare_column, words
from regsvc.catalog.filters.kinds import Column, Kind, Table, Type
from regsvc.catalog.filters.names import Entry, Names
from regsvc.catalog.filters.sql import MIRRORED, Sql, Unique, following, joined, prefix_range
from regsvc.content.expression import Call, Const, ListOf, Node, Quantified, Select

_ORDERED = ("_<_", "_<=_", "_>_", "_>=_")


@dataclass(frozen=True)
class AnyOf:
    """Of `a || b`: what either finds, each by one of its own drivers."""

    branches: tuple[tuple[Driver, ...], ...]


Driver = Sql | AnyOf


class Drivers:
    """Finds the drivers of expressions that have been compiled."""

    def __init__(self, kind: Kind):
        self._kind = kind
        self._names = Names(kind)
        self._compiler = Compiler(kind)

    def of(self, node: Node) -> Iterator[Driver]:
        """One for each conjunct that an index answers."""
        match node:
            case Call(function="_&&_"):
                for part in node.args:
                    yield from self.of(part)
            case Call(function="_||_"):
                yield from self._any_of(node.args)
            case Call(function="@in", args=(element, ListOf(elements=elements))):
                yield from self._any_of([Call(node.position, "_==_", (element, each)) for each in elements])
            case Call(function="@in", args=(Const(value=value), container)):
                yield from self._held(container, value)
            case Call(function="startsWith", args=(text, Const(value=str(prefix)))) if prefix:
                entry = self._names.entry(text)
                column = self._names.column(text, {})
                if entry is not None:
                    sql = self._names.text_of(entry, node.position)
                    yield self._entries(entry, prefix_range(sql, prefix))
                elif column is not None and column.ranged:
                    yield Unique(column.ids.format("BETWEEN ? AND ?"), (prefix, following(prefix)))
            case Call(function="text"):
                table = self._kind.text
                yield Unique(f"SELECT rowid FROM {table} WHERE {table} MATCH ?", (words(node),))  # noqa: S608
            case Call(function="_==_" | "_<_" | "_<=_" | "_>_" | "_>=_", args=(left, right)):
                yield from self._comparison(node.function, left, right)
                yield from self._comparison(MIRRORED.get(node.function, node.function), right, left)
            case Select(test=True):
                yield from self._held(node.operand, node.field)
            case Quantified(every=False):
                yield from self._exists(node)

    def _any_of(self, parts: Sequence[Node]) -> Iterator[Driver]:
        branches = tuple(tuple(self.of(part)) for part in parts)
        if branches and all(branches):
            yield AnyOf(branches)

    def _comparison(self, operator: str, field: Node, literal: Node) -> Iterator[Driver]:
        if not isinstance(literal, Const):
            return
        entry, column = self._names.entry(field), self._names.column(field, {})
        if entry is not None and not _leaves_half(entry.column, literal):
            yield self._entries(entry, _indexed_test(operator, entry.column, literal))
        elif column is not None and column.ids and (operator == "_==_" or column.ranged):
            if literal.value == "" and column.type is Type.STRING:
                return  # the indexes of texts leave out what is empty
            test = compare_column(operator, Column(column.type, ""), literal)
            yield Unique(column.ids.format(test.text), test.parameters)

    def _held(self, container: Node, value: object) -> Iterator[Driver]:
        """`"prod" in aliases`, `"f1" in metrics`, `has(metrics.f1)`."""
        held, mapped = self._names.list(container, {}), self._names.map(container)
        if held is not None and "" in held.indexed:
            yield _owner(held, Sql(f"{held.fields[''].sql} = ?", (value,)))
        elif mapped is not None:
            yield _owner(mapped, Sql(f"{mapped.key} = ?", (value,)))

    def _exists(self, node: Quantified) -> Iterator[Driver]:
        table = self._names.list(node.range, {})
        if table is not None and self._found_by_index(node.predicate, table, node.variable):
            condition = self._compiler.condition(node.predicate, {node.variable: table})
            ranges = list(self._prefixes(node.predicate, table, node.variable))
            yield _owners(table, joined(" AND ", [condition, *ranges]))

    def _found_by_index(self, node: Node, table: Table, variable: str) -> bool:
        """Whether the predicate needs an indexed field of the list's elements to be something."""
        match node:
            case Call(function="_&&_", args=args):
                return any(self._found_by_index(each, table, variable) for each in args)
            case Call(function="_||_", args=args):
                return all(
                    self._found_by_index(each, table, variable)
                    and not any(self._prefixes(each, table, variable))
                    for each in args
                )
            case Call(function="_==_", args=(left, right)):
                return any(
                    isinstance(literal, Const) and self._is_indexed(field, table, variable)
                    for field, literal in ((left, right), (right, left))
                )
            case Call(function="startsWith", args=(field, Const(value=str(prefix)))):
                return bool(prefix) and self._is_indexed(field, table, variable)
            case Call(function="@in", args=(field, ListOf())):
                return self._is_indexed(field, table, variable)
        return False

    def _is_indexed(self, field: Node, table: Table, variable: str) -> bool:
        column = self._names.column(field, {variable: table})
        return column is not None and any(table.fields[name] is column for name in table.indexed)

    def _prefixes(self, node: Node, table: Table, variable: str) -> Iterator[Sql]:
        """The ranges of `startsWith` among the conjuncts of a predicate, as the test itself has no index."""
        match node:
            case Call(function="_&&_", args=args):
                for each in args:
                    yield from self._prefixes(each, table, variable)
            case Call(function="startsWith", args=(field, Const(value=str(prefix)))) if prefix:
                column = self._names.column(field, {variable: table})
                if column is not None and self._is_indexed(field, table, variable):
                    yield prefix_range(column.sql, prefix)

    def _entries(self, entry: Entry, test: Sql) -> Unique:
        return _owner(
            entry.table, Sql(f"{entry.table.key} = ? AND {test.text}", (entry.key, *test.parameters))
        )


def _owners(table: Table, condition: Sql) -> Sql:
    source = table.driving or table.source
    return Sql(f"SELECT {table.owner} FROM {source} WHERE {condition.text}", condition.parameters)  # noqa: S608


def _owner(table: Table, condition: Sql) -> Unique:
    """By the key of a map or the element of a list, which an owner has once."""
    owners = _owners(table, condition)
    return Unique(owners.text, owners.parameters)


def _leaves_half(column: Column, literal: Const) -> bool:
    """Bools have no index: they leave half of all."""
    return column.type is Type.PARAM and isinstance(literal.value, bool)


def _indexed_test(operator: str, column: Column, literal: Const) -> Sql:
    """A comparison; with the condition of the partial index of numbers among params, which a query has to repeat."""
    test = compare_column(operator, column, literal)
    if column.type is Type.PARAM and not isinstance(literal.value, str):
        return Sql(f"{column.sql}.string_value IS NULL AND {test.text}", test.parameters)
    return test
