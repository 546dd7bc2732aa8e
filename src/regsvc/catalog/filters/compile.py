"""From a checked expression to SQL with parameters.

SQL's three-valued logic is CEL's: what is missing is an error there and NULL here, `false && error` is false and
`true || error` is true in both, and neither finds anything by an error.
"""

from __future__ import annotations

import re

from regsvc.catalog.filters.kinds import Column, Kind, Type
from regsvc.catalog.filters.names import Names, Scope
from regsvc.catalog.filters.sql import COMPARISONS, MIRRORED, Sql, Typed, joined, string_test
from regsvc.catalog.filters.values import Values, expect, literal, unknown
from regsvc.content.expression import Call, Const, ListOf, Node, Quantified, Select, Unsupported


class Compiler:
    """Compiles the expressions of one kind."""

    def __init__(self, kind: Kind):
        self._kind = kind
        self._names = Names(kind)
        self._values = Values(self._names)

    def condition(self, node: Node, scope: Scope | None = None) -> Sql:
        """An expression of type bool as a condition. Raises `Unsupported`."""
        scope = scope or {}
        if isinstance(node, Const) and isinstance(node.value, bool):
            return Sql("1" if node.value else "0")
        if isinstance(node, Select) and node.test:
            return self._has(node, scope)
        if isinstance(node, Quantified):
            return self._quantified(node, scope)
        if isinstance(node, Call) and node.function != "_[_]":
            return self._call(node, scope)
        column = self._names.column(node, scope)
        if column is not None and column.type is Type.BOOL:
            return Sql(column.sql)
        entry = self._names.entry(node)
        if entry is not None and entry.column.type is Type.PARAM:
            return self._names.lookup(entry, Sql(f"{entry.column.sql}.bool_value"))
        raise Unsupported("a condition is expected here", node.position)

    def _call(self, node: Call, scope: Scope) -> Sql:
        match node.function:
            case "_&&_" | "_||_":
                word = " AND " if node.function == "_&&_" else " OR "
                inner = joined(word, [self.condition(each, scope) for each in node.args])
                return Sql(f"({inner.text})", inner.parameters)
            case "!_":
                inner = self.condition(node.args[0], scope)
                return Sql(f"(NOT {inner.text})", inner.parameters)
            case "@in":
                return self._in(node, scope)
            case "startsWith" | "endsWith" | "contains":
                return self._string_test(node, scope)
            case "text":
                table = self._kind.text
                found = f"SELECT rowid FROM {table} WHERE {table} MATCH ?"  # noqa: S608
                return Sql(f"{self._kind.id} IN ({found})", (words(node),))
        if node.function in COMPARISONS:
            return self._compare(node.function, node.args[0], node.args[1], scope)
        raise unknown(node)

    def _has(self, node: Select, scope: Scope) -> Sql:
        table = self._names.map(node.operand)
        if table is not None:
            return Sql(
                f"EXISTS (SELECT 1 FROM {table.source} WHERE {table.owner} = {self._kind.id} AND {table.key} = ?)",  # noqa: S608
                (node.field,),
            )
        value = self._values.value(Select(node.position, node.operand, node.field, False), scope)
        return Sql(f"({value.sql.text} <> '')", value.sql.parameters)

    def _quantified(self, node: Quantified, scope: Scope) -> Sql:
        table = self._names.list(node.range, scope)
        if table is None:
            raise Unsupported("exists and all are for lists of what is searched", node.position)
        if scope:
            raise Unsupported("a list within a list cannot be searched", node.position)
        inner = self.condition(node.predicate, {node.variable: table})
        head = f"SELECT 1 FROM {table.source} WHERE {table.owner} = {self._kind.id} AND"  # noqa: S608
        if node.every:
            return Sql(f"NOT EXISTS ({head} NOT coalesce({inner.text}, 0))", inner.parameters)
        return Sql(f"EXISTS ({head} {inner.text})", inner.parameters)

    def _in(self, node: Call, scope: Scope) -> Sql:
        element, container = node.args
        table = self._names.list(container, scope)
        if table is not None:
            if "" not in table.fields:
                raise Unsupported("this list has no plain elements; use exists", node.position)
            value = self._values.value(element, scope)
            expect(value, Type.STRING, element)
            return Sql(
                f"EXISTS (SELECT 1 FROM {table.source} WHERE {table.owner} = {self._kind.id}"  # noqa: S608
                f" AND {table.fields[''].sql} = {value.sql.text})",
                value.sql.parameters,
            )
        if self._names.map(container) is not None:
            if isinstance(element, Const) and isinstance(element.value, str):
                return self._has(Select(node.position, container, element.value, True), scope)
            raise Unsupported("a key is a literal string", element.position)
        if isinstance(container, ListOf) and container.elements:
            tests = joined(
                " OR ", [self._compare("_==_", element, each, scope) for each in container.elements]
            )
            return Sql(f"({tests.text})", tests.parameters)
        raise Unsupported("`in` wants aliases, labels, a map, or a list of literals", node.position)

    def _compare(self, operator: str, left: Node, right: Node, scope: Scope) -> Sql:
        if isinstance(left, Const) and not isinstance(right, Const):
            return self._compare(MIRRORED.get(operator, operator), right, left, scope)
        entry = self._names.entry(left)
        if entry is not None and isinstance(right, Const):
            test = compare_column(operator, entry.column, right)
            if operator == "_==_":
                test = Sql(f"coalesce({test.text}, 0)", test.parameters)
            return self._names.lookup(entry, test)
        a, b = self._values.value(left, scope), self._values.value(right, scope)
        if a.type is Type.DIGEST and isinstance(right, Const) and operator in ("_==_", "_!=_"):
            b = Typed(Type.DIGEST, Sql("?", (digest_of(right),)))
        elif a.type is Type.DIGEST and b.type is Type.STRING:
            a = Typed(Type.STRING, Sql(f"lower(hex({a.sql.text}))", a.sql.parameters))
        if a.type is not b.type and not (a.type.numeric and b.type.numeric):
            raise Unsupported(f"{a.type.value} and {b.type.value} cannot be compared", right.position)
        test = joined(f" {COMPARISONS[operator]} ", [a.sql, b.sql])
        return Sql(f"({test.text})", test.parameters)

    def _string_test(self, node: Call, scope: Scope) -> Sql:
        part = node.args[1]
        if not isinstance(part, Const) or not isinstance(part.value, str):
            raise Unsupported(f"{node.function} wants a literal string", part.position)
        entry = self._names.entry(node.args[0])
        if entry is not None:
            column = self._names.text_of(entry, node.position)
            return self._names.lookup(entry, string_test(node.function, column, part.value))
        text = self._values.string(node.args[0], scope)
        test = string_test(node.function, text.text, part.value)
        return Sql(test.text, (*text.parameters, *test.parameters))


def compare_column(operator: str, column: Column, const: Const) -> Sql:
    """A column with a literal; of params, the column that has values of the literal's type. Raises `Unsupported`."""
    value = const.value
    if column.type is Type.PARAM:
        if isinstance(value, bool):
            return _of_param(operator, f"{column.sql}.bool_value", literal(const))
        if isinstance(value, int | float):
            return _of_param(operator, number_of(column), literal(const))
        if isinstance(value, str):
            return _of_param(operator, f"{column.sql}.string_value", literal(const))
        raise Unsupported("a param is a string, a number or a bool", const.position)
    found = literal(const)
    if column.type is Type.DIGEST:
        found = Typed(Type.DIGEST, Sql("?", (digest_of(const),)))
    if found.type is not column.type and not (found.type.numeric and column.type.numeric):
        raise Unsupported(f"{column.type.value} and {found.type.value} cannot be compared", const.position)
    return Sql(f"{column.sql} {COMPARISONS[operator]} ?", found.sql.parameters)


def number_of(column: Column) -> str:
    """The number that a param is."""
    return f"coalesce({column.sql}.double_value, {column.sql}.int_value)"


def digest_of(const: Const) -> bytes:
    """The bytes of hex digits, with or without `b3:`; none when they are no digest, which equals nothing."""
    text = const.value if isinstance(const.value, str) else ""
    try:
        return bytes.fromhex(text.removeprefix("b3:"))
    except ValueError:
        return b""


def words(node: Call) -> str:
    """The words of a `text("...")`, each quoted, for FTS5's MATCH: all of them have to be there."""
    argument = node.args[0]
    if not isinstance(argument, Const) or not isinstance(argument.value, str):
        raise Unsupported("text wants a literal string", argument.position)
    found = re.findall(r"\w+", argument.value)
    if not found or len(found) > 32:
        raise Unsupported("text wants 1 to 32 words", argument.position)
    return " ".join(f'"{word}"' for word in found)


def _of_param(operator: str, column: str, value: Typed) -> Sql:
    """A param with a literal. One of another type is not equal to it, as in CEL; less or more it is not comparable."""
    test = f"{column} {COMPARISONS[operator]} ?"
    if operator == "_!=_":
        test = f"coalesce({test}, 1)"
    return Sql(test, value.sql.parameters)
