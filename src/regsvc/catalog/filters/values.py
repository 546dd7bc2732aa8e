"""Values of expressions: literals, fields, and arithmetic where SQL's is CEL's.

CEL's ints and doubles compare, but do not mix in arithmetic. What has no result in CEL (an int of more than 64 bits,
a time outside of the years 1 to 9999, division by zero) is NULL here: missing, like everything that is an error there.
The one difference is doubles that are divided by zero: that is missing here as well, and infinite in CEL.
"""

from __future__ import annotations

from regsvc.catalog.filters.kinds import Type
from regsvc.catalog.filters.names import Entry, Names, Scope
from regsvc.catalog.filters.sql import Sql, Typed
from regsvc.content.expression import (
    LONGEST_SPAN,
    YEARS,
    Call,
    Const,
    Moment,
    Node,
    Span,
    Unsigned,
    Unsupported,
)

_ARITHMETIC = {"_+_": "+", "_-_": "-", "_*_": "*", "_/_": "/", "_%_": "%"}
_CASES = {"lowerAscii": "lower", "upperAscii": "upper"}
_SPANS = {
    ("_+_", Type.TIMESTAMP, Type.DURATION): Type.TIMESTAMP,
    ("_+_", Type.DURATION, Type.TIMESTAMP): Type.TIMESTAMP,
    ("_-_", Type.TIMESTAMP, Type.DURATION): Type.TIMESTAMP,
    ("_-_", Type.TIMESTAMP, Type.TIMESTAMP): Type.DURATION,
    ("_+_", Type.DURATION, Type.DURATION): Type.DURATION,
    ("_-_", Type.DURATION, Type.DURATION): Type.DURATION,
}
_PARAMS = {Type.INT: "int_value", Type.DOUBLE: "double_value"}
_RESULTS = {
    # SQLite makes a double of an int that overflows; PostgreSQL refuses it.
    Type.INT: "typeof(r) = 'integer'",
    Type.TIMESTAMP: f"r BETWEEN {YEARS[0]} AND {YEARS[1]}",
    Type.DURATION: f"r BETWEEN {-LONGEST_SPAN} AND {LONGEST_SPAN}",
}


class Values:
    """Compiles what has a value."""

    def __init__(self, names: Names):
        self._names = names

    def value(self, node: Node, scope: Scope) -> Typed:
        """Raises `Unsupported`."""
        if isinstance(node, Const):
            return literal(node)
        column = self._names.column(node, scope)
        if column is not None:
            return Typed(column.type, Sql(column.sql))
        entry = self._names.entry(node)
        if entry is not None:
            if entry.column.type is Type.PARAM:
                raise Unsupported("a param is compared with a literal", node.position)
            return Typed(entry.column.type, self._names.lookup(entry, Sql(entry.column.sql)))
        if isinstance(node, Call):
            return self._call(node, scope)
        raise Unsupported("this has no value that can be searched", node.position)

    def string(self, node: Node, scope: Scope) -> Sql:
        """A value that is text. Raises `Unsupported`."""
        entry = self._names.entry(node)
        if entry is not None:
            return self._names.lookup(entry, Sql(self._names.text_of(entry, node.position)))
        value = self.value(node, scope)
        if value.type is Type.DIGEST:
            return Sql(f"lower(hex({value.sql.text}))", value.sql.parameters)
        expect(value, Type.STRING, node)
        return value.sql

    def _call(self, node: Call, scope: Scope) -> Typed:
        match node.function:
            case "_+_" | "_-_" | "_*_" | "_/_" | "_%_":
                return self._arithmetic(node, scope)
            case "-_":
                value = self.value(node.args[0], scope)
                if not value.type.numeric:
                    raise Unsupported("'-' is for numbers here", node.position)
                return _checked(value.type, Sql(f"-({value.sql.text})", value.sql.parameters))
            case "double":
                value = self.value(node.args[0], scope)
                if not value.type.numeric:
                    raise Unsupported("double is for numbers here", node.position)
                return Typed(Type.DOUBLE, Sql(f"CAST({value.sql.text} AS REAL)", value.sql.parameters))
            case "size" if len(node.args) == 1:
                return self._size(node, scope)
            case "lowerAscii" | "upperAscii":
                text = self.string(node.args[0], scope)
                return Typed(Type.STRING, Sql(f"{_CASES[node.function]}({text.text})", text.parameters))
            case "timestamp" | "duration":
                raise Unsupported(f"{node.function} wants a literal string", node.position)
        raise unknown(node)

    def _size(self, node: Call, scope: Scope) -> Typed:
        table = self._names.list(node.args[0], scope) or self._names.map(node.args[0])
        if table is not None:
            sql = f"(SELECT count(*) FROM {table.source} WHERE {table.owner} = {self._names.kind.id})"  # noqa: S608
            return Typed(Type.INT, Sql(sql))
        text = self.string(node.args[0], scope)
        return Typed(Type.INT, Sql(f"length({text.text})", text.parameters))

    def _arithmetic(self, node: Call, scope: Scope) -> Typed:
        left, right = self._operands(node, scope)
        sign = _ARITHMETIC[node.function]
        sql = Sql(f"({left.sql.text} {sign} {right.sql.text})", (*left.sql.parameters, *right.sql.parameters))
        made = _SPANS.get((node.function, left.type, right.type))
        if made is not None:
            return _checked(made, sql)
        if not left.type.numeric or not right.type.numeric:
            raise Unsupported(
                f"'{sign}' of {left.type.value} and {right.type.value} is not known here", node.position
            )
        if left.type is not right.type:
            raise Unsupported(
                f"'{sign}' does not mix int and double; write double(...), or 1.0 for 1", node.position
            )
        if node.function == "_%_" and left.type is Type.DOUBLE:
            raise Unsupported("'%' is for ints", node.position)
        return _checked(left.type, sql)

    def _operands(self, node: Call, scope: Scope) -> tuple[Typed, Typed]:
        """Both sides; a param is of the type of the other side."""
        for each in node.args:
            if isinstance(each, Const) and isinstance(each.value, Unsigned):
                raise Unsupported("there is no arithmetic of unsigned numbers here", each.position)
        params = [self._param(each) for each in node.args]
        sides = [
            None if param else self.value(each, scope) for param, each in zip(params, node.args, strict=True)
        ]
        known = next((side.type for side in sides if side is not None), None)
        column = None if known is None else _PARAMS.get(known)
        found = []
        for param, side in zip(params, sides, strict=True):
            if side is not None:
                found.append(side)
            elif param is not None and known is not None and column is not None:
                sql = self._names.lookup(param, Sql(f"{param.column.sql}.{column}"))
                found.append(Typed(known, sql))
            else:
                raise Unsupported("a param is reckoned with a number beside it", node.position)
        return found[0], found[1]

    def _param(self, node: Node) -> Entry | None:
        entry = self._names.entry(node)
        return entry if entry is not None and entry.column.type is Type.PARAM else None


def literal(node: Const) -> Typed:
    """A literal as a parameter. Raises `Unsupported`."""
    value = node.value
    if isinstance(value, bool):
        return Typed(Type.BOOL, Sql("?", (int(value),)))
    if isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 63:
            raise Unsupported("a number of more than 64 bits", node.position)
        return Typed(Type.INT, Sql("?", (int(value),)))
    if isinstance(value, float):
        return Typed(Type.DOUBLE, Sql("?", (value,)))
    if isinstance(value, str):
        return Typed(Type.STRING, Sql("?", (value,)))
    if isinstance(value, Moment):
        return Typed(Type.TIMESTAMP, Sql("?", (value.microseconds,)))
    if isinstance(value, Span):
        return Typed(Type.DURATION, Sql("?", (value.microseconds,)))
    raise Unsupported("a literal of this type cannot be searched", node.position)


def expect(value: Typed, kind: Type, node: Node) -> None:
    """Raises `Unsupported` when a value is of another type."""
    if value.type is not kind:
        raise Unsupported(f"{kind.value} is expected here, not {value.type.value}", node.position)


def unknown(node: Call) -> Unsupported:
    """That a function is not known."""
    if node.function == "matches":
        return Unsupported(
            "'matches' is not known in filters: no index answers patterns;"
            " there are startsWith, endsWith, contains and text",
            node.position,
        )
    return Unsupported(f"'{node.function.strip('_@')[:40]}' is not known in filters", node.position)


def _checked(type: Type, sql: Sql) -> Typed:
    """A result, if CEL has it. Within a subquery, as the expression must not be written twice."""
    test = _RESULTS.get(type)
    if test is None:
        return Typed(type, sql)
    checked = f"(SELECT CASE WHEN {test} THEN r END FROM (SELECT {sql.text} AS r))"  # noqa: S608
    return Typed(type, Sql(checked, sql.parameters))
