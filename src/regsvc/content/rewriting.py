"""Expressions written out again, with divisions by zero made errors.

CEL divides doubles as IEEE 754 does: `1.0 / 0.0` is infinite and more than anything. Where such a comparison lets
something pass, it has to be an error instead, as the division of ints by zero is.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from regsvc.content.expression import (
    Call,
    Const,
    Ident,
    ListOf,
    Moment,
    Node,
    Quantified,
    Select,
    Span,
    Unsigned,
    walk,
)

_PRIMARY = 8
_UNARY = 7
_BINARY = {
    "_||_": ("||", 2),
    "_&&_": ("&&", 3),
    **{name: (sign, 4) for name, sign in (("_==_", "=="), ("_!=_", "!="), ("@in", "in"))},
    **{f"_{sign}_": (sign, 4) for sign in ("<", "<=", ">", ">=")},
    **{f"_{sign}_": (sign, 5) for sign in "+-"},
    **{f"_{sign}_": (sign, 6) for sign in "*/%"},
}
_IDENTIFIER = re.compile("[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_METHODS = ("startsWith", "endsWith", "contains", "lowerAscii", "upperAscii")


def without_infinities(node: Node) -> str:
    """The text of an expression that means the same, but for divisions of doubles by zero, which are errors."""
    return _Writer(_unused(node)).text(node, 0)


class _Writer:
    def __init__(self, divisor: str):
        self._divisor = divisor

    def text(self, node: Node, within: int) -> str:
        """In parentheses when it binds less than `within`, its surroundings, do."""
        written, binds = self._written(node)
        return f"({written})" if binds < within else written

    def _written(self, node: Node) -> tuple[str, int]:
        if isinstance(node, Const):
            return _literal(node), _PRIMARY
        if isinstance(node, Ident):
            return node.name, _PRIMARY
        if isinstance(node, Select):
            return self._select(node)
        if isinstance(node, ListOf):
            return f"[{self._list(node.elements)}]", _PRIMARY
        if isinstance(node, Quantified):
            word = "all" if node.every else "exists"
            range_, predicate = self.text(node.range, _PRIMARY), self.text(node.predicate, 0)
            return f"{range_}.{word}({node.variable}, {predicate})", _PRIMARY
        assert isinstance(node, Call)
        return self._call(node)

    def _select(self, node: Select) -> tuple[str, int]:
        operand, key = self.text(node.operand, _PRIMARY), json.dumps(node.field, ensure_ascii=False)
        if _IDENTIFIER.fullmatch(node.field):
            path = f"{operand}.{node.field}"
            return f"has({path})" if node.test else path, _PRIMARY
        return (f"{key} in {operand}", 4) if node.test else (f"{operand}[{key}]", _PRIMARY)

    def _call(self, node: Call) -> tuple[str, int]:
        if node.function == "_/_" and not _harmless(node.args[1]):
            return self._division(*node.args), _PRIMARY
        if node.function in _BINARY:
            sign, binds = _BINARY[node.function]
            # Both sides of && and || may be their like: the parser balances chains, so the order is not told.
            further = binds + (sign not in ("&&", "||"))
            return f"{self.text(node.args[0], binds)} {sign} {self.text(node.args[1], further)}", binds
        if node.function in ("!_", "-_"):
            return f"{node.function[0]}{self.text(node.args[0], _UNARY)}", _UNARY
        if node.function == "_[_]":
            return f"{self.text(node.args[0], _PRIMARY)}[{self.text(node.args[1], 0)}]", _PRIMARY
        if node.function in _METHODS:
            target, *rest = node.args
            return f"{self.text(target, _PRIMARY)}.{node.function}({self._list(rest)})", _PRIMARY
        return f"{node.function}({self._list(node.args)})", _PRIMARY

    def _division(self, dividend: Node, divisor: Node) -> str:
        """The second of one element is an error; `dyn`, as the divisor may be of either type."""
        name = self._divisor
        quotient = f"{self.text(dividend, 6)} / {name}"
        return f"cel.bind({name}, {self.text(divisor, 0)}, [{quotient}][dyn({name}) == 0.0 ? 1 : 0])"

    def _list(self, nodes: Sequence[Node]) -> str:
        return ", ".join(self.text(node, 0) for node in nodes)


def _harmless(divisor: Node) -> bool:
    return isinstance(divisor, Const) and isinstance(divisor.value, int | float) and divisor.value != 0


def _unused(node: Node) -> str:
    """A name that nothing in the expression has."""
    names = {each.name for each in walk(node) if isinstance(each, Ident)}
    names |= {each.variable for each in walk(node) if isinstance(each, Quantified)}
    name = "divisor"
    while name in names:
        name += "_"
    return name


def _literal(node: Const) -> str:
    value = node.value
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Unsigned):
        return f"{int(value)}u"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, Moment):
        return f'timestamp("{_moment(value.microseconds)}")'
    if isinstance(value, Span):
        sign, length = "-" if value.microseconds < 0 else "", abs(value.microseconds)
        return f'duration("{sign}{length // 1_000_000}.{length % 1_000_000:06}s")'
    if isinstance(value, bytes):
        return "b'" + "".join(f"\\x{byte:02x}" for byte in value) + "'"
    if isinstance(value, float) and math.isinf(value):
        return "1e999"
    return repr(value)


def _moment(microseconds: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)).isoformat()
