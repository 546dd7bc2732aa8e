"""From a checked expression to SQL with parameters.

SQL's three-valued logic is CEL's: what is missing is an error there and NULL here, `false && error` is false and
`true || error` is true in both, and neither finds anything by an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from regsvc.catalog.filters.kinds import Column, Kind, Table, Type
from regsvc.content.expression import (
    Call,
    Const,
    Ident,
    ListOf,
    Moment,
    Node,
    Quantified,
    Select,
    Unsupported,
)

_COMPARISONS = {"_==_": "=", "_!=_": "<>", "_<_": "<", "_<=_": "<=", "_>_": ">", "_>=_": ">="}
_MIRRORED = {"_<_": "_>_", "_<=_": "_>=_", "_>_": "_<_", "_>=_": "_<=_"}
_NUMBER = (int, float)


@dataclass(frozen=True)
class Sql:
    """A piece of SQL and its parameters."""

    text: str
    parameters: tuple[object, ...] = ()

    def within(self, condition: str) -> Sql:
        """This and another condition, if there is one."""
        return Sql(f"{condition} AND {self.text}", self.parameters) if condition else self


@dataclass(frozen=True)
class _Typed:
    type: Type
    sql: Sql


@dataclass(frozen=True)
class _Entry:
    """A value of a map: `metrics.f1`."""

    table: Table
    key: str
    position: int

    @property
    def column(self) -> Column:
        return self.table.fields["value"]


class Compiler:
    """Compiles the expressions of one kind."""

    def __init__(self, kind: Kind):
        self._kind = kind

    def condition(self, node: Node) -> Sql:
        """An expression of type bool as a condition. Raises `Unsupported`."""
        return self._bool(node, {})

    def drivers(self, node: Node) -> Iterator[Sql]:
        """Queries for ids, one a conjunct that an index answers: each finds all that the whole can find, and more."""
        if isinstance(node, Call) and node.function == "_&&_":
            for part in node.args:
                yield from self.drivers(part)
        elif isinstance(node, Call) and node.function in _COMPARISONS and node.function != "_!=_":
            left, right, operator = node.args[0], node.args[1], node.function
            entry, other = self._entry(left, {}), right
            if entry is None:
                entry, other = self._entry(right, {}), left
                operator = _MIRRORED.get(operator, operator)
            if operator == "_==_" and self._kind.commits:
                yield from (
                    Sql(self._kind.commits, (const.value,))
                    for field, const in ((left, right), (right, left))
                    if _is_commit(field) and isinstance(const, Const) and const.value
                )
            if entry is not None and isinstance(other, Const) and _indexed(entry, other):
                test = self._compare_column(operator, entry.column, other).within(_partial(entry, other))
                keyed = Sql(f"{entry.table.key} = ? AND {test.text}", (entry.key, *test.parameters))
                yield self._ids(entry.table, keyed)
        elif isinstance(node, Call) and node.function == "@in":
            table = self._list(node.args[1], {})
            if table is not None and "" in table.fields and isinstance(node.args[0], Const):
                yield self._ids(table, Sql(f"{table.fields[''].sql} = ?", (node.args[0].value,)))
        elif isinstance(node, Call) and node.function == "text":
            match = self._match(node)
            yield Sql(f"SELECT rowid FROM {self._kind.text} WHERE {self._kind.text} MATCH ?", (match,))  # noqa: S608

    def _ids(self, table: Table, condition: Sql) -> Sql:
        return Sql(f"SELECT {table.owner} FROM {table.source} WHERE {condition.text}", condition.parameters)  # noqa: S608

    # Booleans.

    def _bool(self, node: Node, scope: dict[str, Table]) -> Sql:
        if isinstance(node, Const) and isinstance(node.value, bool):
            return Sql("1" if node.value else "0")
        if isinstance(node, Select) and node.test:
            return self._has(node, scope)
        if isinstance(node, Quantified):
            return self._quantified(node, scope)
        if isinstance(node, Call):
            return self._call(node, scope)
        entry = self._entry(node, scope)
        if entry is not None and entry.column.type is Type.PARAM:
            return self._scalar(entry, "bool_value")
        raise Unsupported("a condition is expected here", node.position)

    def _call(self, node: Call, scope: dict[str, Table]) -> Sql:
        match node.function:
            case "_&&_" | "_||_":
                left, right = (self._bool(each, scope) for each in node.args)
                word = "AND" if node.function == "_&&_" else "OR"
                return Sql(f"({left.text} {word} {right.text})", (*left.parameters, *right.parameters))
            case "!_":
                inner = self._bool(node.args[0], scope)
                return Sql(f"(NOT {inner.text})", inner.parameters)
            case "@in":
                return self._in(node, scope)
            case "startsWith" | "endsWith" | "contains":
                return self._string_test(node, scope)
            case "text":
                match = self._match(node)
                table = self._kind.text
                return Sql(
                    f"{self._kind.id} IN (SELECT rowid FROM {table} WHERE {table} MATCH ?)",  # noqa: S608
                    (match,),
                )
        if node.function in _COMPARISONS:
            return self._comparison(node, scope)
        raise Unsupported(f"{_shown(node.function)} is not known in filters", node.position)

    def _has(self, node: Select, scope: dict[str, Table]) -> Sql:
        table = self._map(node.operand)
        if table is not None:
            return Sql(
                f"EXISTS (SELECT 1 FROM {table.source} WHERE {table.owner} = {self._kind.id} AND {table.key} = ?)",  # noqa: S608
                (node.field,),
            )
        value = self._value(Select(node.position, node.operand, node.field, False), scope)
        return Sql(f"({value.sql.text} <> '')", value.sql.parameters)

    def _quantified(self, node: Quantified, scope: dict[str, Table]) -> Sql:
        table = self._list(node.range, scope)
        if table is None:
            raise Unsupported("exists and all are for lists of what is searched", node.position)
        if scope:
            raise Unsupported("a list within a list cannot be searched", node.position)
        inner = self._bool(node.predicate, {node.variable: table})
        head = f"SELECT 1 FROM {table.source} WHERE {table.owner} = {self._kind.id} AND"  # noqa: S608
        if node.every:
            return Sql(f"NOT EXISTS ({head} NOT coalesce({inner.text}, 0))", inner.parameters)
        return Sql(f"EXISTS ({head} {inner.text})", inner.parameters)

    def _in(self, node: Call, scope: dict[str, Table]) -> Sql:
        element, container = node.args
        table = self._list(container, scope)
        if table is not None:
            if "" not in table.fields:
                raise Unsupported("this list has no plain elements; use exists", node.position)
            value = self._value(element, scope)
            self._expect(value, Type.STRING, element)
            return Sql(
                f"EXISTS (SELECT 1 FROM {table.source} WHERE {table.owner} = {self._kind.id}"  # noqa: S608
                f" AND {table.fields[''].sql} = {value.sql.text})",
                value.sql.parameters,
            )
        mapped = self._map(container)
        if mapped is not None and isinstance(element, Const) and isinstance(element.value, str):
            return self._has(Select(node.position, container, element.value, True), scope)
        if isinstance(container, ListOf) and container.elements:
            tests = [self._compare("_==_", element, each, scope) for each in container.elements]
            return Sql(
                "(" + " OR ".join(test.text for test in tests) + ")",
                tuple(value for test in tests for value in test.parameters),
            )
        raise Unsupported("`in` wants aliases, labels, a map, or a list of literals", node.position)

    def _comparison(self, node: Call, scope: dict[str, Table]) -> Sql:
        return self._compare(node.function, node.args[0], node.args[1], scope)

    def _compare(self, operator: str, left: Node, right: Node, scope: dict[str, Table]) -> Sql:
        if isinstance(left, Const) and not isinstance(right, Const):
            return self._compare(_MIRRORED.get(operator, operator), right, left, scope)
        entry = self._entry(left, scope)
        if entry is not None and isinstance(right, Const):
            test = self._compare_column(operator, entry.column, right)
            if operator == "_==_":
                test = Sql(f"coalesce({test.text}, 0)", test.parameters)
            table = entry.table
            # A scalar subquery: NULL when the map has no such key.
            return Sql(
                f"(SELECT {test.text} FROM {table.source} WHERE {table.owner} = {self._kind.id} AND {table.key} = ?)",  # noqa: S608
                (*test.parameters, entry.key),
            )
        a, b = self._value(left, scope), self._value(right, scope)
        if a.type is Type.DIGEST and isinstance(right, Const):
            b = _Typed(Type.DIGEST, Sql("?", (_digest(right),)))
        if a.type is not b.type:
            raise Unsupported(f"a {a.type.value} cannot be compared with a {b.type.value}", right.position)
        return Sql(
            f"({a.sql.text} {_COMPARISONS[operator]} {b.sql.text})", (*a.sql.parameters, *b.sql.parameters)
        )

    def _compare_column(self, operator: str, column: Column, const: Const) -> Sql:
        """A column with a literal; of params, the column that has values of the literal's type."""
        value = const.value
        if column.type is Type.PARAM:
            if isinstance(value, bool):
                test, value = f"{column.sql}.bool_value", int(value)
            elif isinstance(value, _NUMBER):
                test = f"coalesce({column.sql}.double_value, {column.sql}.int_value)"
            elif isinstance(value, str):
                test = f"{column.sql}.string_value"
            else:
                raise Unsupported("a param is a string, a number or a bool", const.position)
            return _of_param(operator, test, value)
        literal = self._literal(const)
        if literal.type is not column.type:
            raise Unsupported(
                f"a {column.type.value} cannot be compared with a {literal.type.value}", const.position
            )
        return Sql(f"{column.sql} {_COMPARISONS[operator]} ?", literal.sql.parameters)

    def _string_test(self, node: Call, scope: dict[str, Table]) -> Sql:
        part = node.args[1]
        if not isinstance(part, Const) or not isinstance(part.value, str):
            raise Unsupported(f"{node.function} wants a literal string", part.position)
        text = part.value
        entry = self._entry(node.args[0], scope)
        if entry is not None:
            column = entry.column
            sql = f"{column.sql}.string_value" if column.type is Type.PARAM else column.sql
            if column.type not in (Type.PARAM, Type.STRING):
                raise Unsupported(f"{node.function} is for strings", node.position)
            test = _string_condition(node.function, sql, text)
            table = entry.table
            return Sql(
                f"(SELECT {test.text} FROM {table.source} WHERE {table.owner} = {self._kind.id} AND {table.key} = ?)",  # noqa: S608
                (*test.parameters, entry.key),
            )
        value = self._value(node.args[0], scope)
        self._expect(value, Type.STRING, node.args[0])
        test = _string_condition(node.function, value.sql.text, text)
        return Sql(test.text, (*value.sql.parameters, *test.parameters))

    # Values.

    def _value(self, node: Node, scope: dict[str, Table]) -> _Typed:
        if isinstance(node, Const):
            return self._literal(node)
        column = self._column(node, scope)
        if column is not None:
            return _Typed(column.type, Sql(column.sql))
        entry = self._entry(node, scope)
        if entry is not None:
            if entry.column.type is Type.PARAM:
                raise Unsupported("a param is compared with a literal", node.position)
            return _Typed(entry.column.type, self._scalar(entry, ""))
        if isinstance(node, Call):
            return self._value_call(node, scope)
        raise Unsupported("this has no value that can be searched", node.position)

    def _value_call(self, node: Call, scope: dict[str, Table]) -> _Typed:
        if node.function == "size" and len(node.args) == 1:
            table = self._list(node.args[0], scope) or self._map(node.args[0])
            if table is not None:
                sql = f"(SELECT count(*) FROM {table.source} WHERE {table.owner} = {self._kind.id})"  # noqa: S608
                return _Typed(Type.NUMBER, Sql(sql))
            value = self._value(node.args[0], scope)
            self._expect(value, Type.STRING, node.args[0])
            return _Typed(Type.NUMBER, Sql(f"length({value.sql.text})", value.sql.parameters))
        if node.function in ("timestamp", "duration"):
            raise Unsupported(f"{node.function} wants a literal", node.position)
        raise Unsupported(f"{_shown(node.function)} is not known in filters", node.position)

    def _literal(self, node: Const) -> _Typed:
        value = node.value
        if isinstance(value, bool):
            return _Typed(Type.BOOL, Sql("?", (int(value),)))
        if isinstance(value, _NUMBER):
            if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
                raise Unsupported("a number of more than 64 bits", node.position)
            return _Typed(Type.NUMBER, Sql("?", (value,)))
        if isinstance(value, str):
            return _Typed(Type.STRING, Sql("?", (value,)))
        if isinstance(value, Moment):
            return _Typed(Type.TIMESTAMP, Sql("?", (value.microseconds,)))
        raise Unsupported("a literal of this type cannot be searched", node.position)

    def _scalar(self, entry: _Entry, column: str) -> Sql:
        table = entry.table
        sql = f"{entry.column.sql}.{column}" if column else entry.column.sql
        return Sql(
            f"(SELECT {sql} FROM {table.source} WHERE {table.owner} = {self._kind.id} AND {table.key} = ?)",  # noqa: S608
            (entry.key,),
        )

    # Names.

    def _column(self, node: Node, scope: dict[str, Table]) -> Column | None:
        if isinstance(node, Ident):
            if node.name in scope:
                return scope[node.name].fields.get("")
            return self._kind.columns.get(node.name)
        if isinstance(node, Select) and isinstance(node.operand, Ident):
            table = scope.get(node.operand.name)
            fields = table.fields if table is not None else self._kind.records.get(node.operand.name)
            if fields is None:
                return None
            if node.field not in fields:
                known = ", ".join(sorted(name for name in fields if name))
                raise Unsupported(f"there is no '{node.field[:60]}' here; there is {known}", node.position)
            return fields[node.field]
        return None

    def _entry(self, node: Node, scope: dict[str, Table]) -> _Entry | None:
        if isinstance(node, Select) and not node.test:
            table = self._map(node.operand)
            return None if table is None else _Entry(table, node.field, node.position)
        if isinstance(node, Call) and node.function == "_[_]":
            table, key = self._map(node.args[0]), node.args[1]
            if table is None:
                return None
            if not isinstance(key, Const) or not isinstance(key.value, str):
                raise Unsupported("a key is a literal string", key.position)
            return _Entry(table, key.value, node.position)
        return None

    def _map(self, node: Node) -> Table | None:
        return self._kind.maps.get(node.name) if isinstance(node, Ident) else None

    def _list(self, node: Node, scope: dict[str, Table]) -> Table | None:
        if isinstance(node, Ident) and node.name not in scope:
            return self._kind.lists.get(node.name)
        return None

    def _match(self, node: Call) -> str:
        """The words of a `text("...")`, each quoted, for FTS5's MATCH: all of them have to be there."""
        argument = node.args[0]
        if not isinstance(argument, Const) or not isinstance(argument.value, str):
            raise Unsupported("text wants a literal string", argument.position)
        words = re.findall(r"\w+", argument.value)
        if not words or len(words) > 32:
            raise Unsupported("text wants 1 to 32 words", argument.position)
        return " ".join(f'"{word}"' for word in words)

    @staticmethod
    def _expect(value: _Typed, kind: Type, node: Node) -> None:
        if value.type is not kind:
            raise Unsupported(f"a {kind.value} is expected here, not a {value.type.value}", node.position)


def _is_commit(node: Node) -> bool:
    return (
        isinstance(node, Select)
        and isinstance(node.operand, Ident)
        and ((node.operand.name, node.field, node.test) == ("code", "commit", False))
    )


def _indexed(entry: _Entry, other: Const) -> bool:
    """Whether an index begins with the key and values of this type. Bools have none: they leave half of all."""
    return entry.column.type is not Type.PARAM or not isinstance(other.value, bool)


def _partial(entry: _Entry, other: Const) -> str:
    """The condition of the partial index of numbers among params, which a query has to repeat."""
    numeric = entry.column.type is Type.PARAM and not isinstance(other.value, str)
    return f"{entry.column.sql}.string_value IS NULL" if numeric else ""


def _string_condition(function: str, sql: str, part: str) -> Sql:
    if function == "startsWith":
        return Sql(f"substr({sql}, 1, ?) = ?", (len(part), part))
    if function == "endsWith":
        # A start of -0 would be the beginning: everything ends with nothing.
        return Sql(f"substr({sql}, ?) = ?", (-len(part), part)) if part else Sql(f"{sql} IS NOT NULL")
    return Sql(f"instr({sql}, ?) > 0", (part,))


def _of_param(operator: str, column: str, value: object) -> Sql:
    """A param with a literal. One of another type is not equal to it, as in CEL; less or more it is not comparable."""
    test = f"{column} {_COMPARISONS[operator]} ?"
    if operator == "_!=_":
        test = f"coalesce({test}, 1)"
    return Sql(test, (value,))


def _digest(const: Const) -> bytes:
    text = const.value if isinstance(const.value, str) else ""
    try:
        return bytes.fromhex(text.removeprefix("b3:"))
    except ValueError:
        return b""


def _shown(function: str) -> str:
    return f"'{function.strip('_@')[:40]}'"
