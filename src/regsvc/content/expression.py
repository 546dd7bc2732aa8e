"""CEL expressions, checked by Google's library, as a small tree of our own.

The library gives a serialized `cel.expr.CheckedExpr` within a `google.protobuf.Any`
(https://github.com/google/cel-spec/tree/master/proto/cel/expr); it is read here field by field, since it comes from the
library and not from strangers. The macros `exists` and `all` have become loops; these two are recognised again.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from regsvc.content.protowire import Field, fields


@dataclass(frozen=True)
class Moment:
    """A literal time: `timestamp("2026-01-01T00:00:00Z")`."""

    microseconds: int
    """Since 1970."""


@dataclass(frozen=True)
class Span:
    """A literal length of time: `duration("720h")`."""

    microseconds: int


class Unsigned(int):
    """A literal of type uint: `7u`."""


Value = str | int | float | bool | bytes | Moment | Span | None

YEARS = (-62_135_596_800_000_000, 253_402_300_799_999_999)
"""The first and the last microsecond of what is a time in CEL: the years 1 to 9999."""
LONGEST_SPAN = 315_576_000_000 * 1_000_000
"""Microseconds of the longest duration in CEL: 10,000 years."""
_UNITS = {
    "h": Fraction(3_600_000_000),
    "m": Fraction(60_000_000),
    "s": Fraction(1_000_000),
    "ms": Fraction(1_000),
    "us": Fraction(1),
    "ns": Fraction(1, 1_000),
}
_SPAN_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|ns|h|m|s)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Unsupported(ValueError):
    """The expression has something that is not read here; the message says what."""

    def __init__(self, message: str, position: int):
        super().__init__(message)
        self.position = position
        """Characters before it."""


@dataclass(frozen=True)
class Node:
    """Any expression."""

    position: int
    """Characters before it in the text."""


@dataclass(frozen=True)
class Const(Node):
    """A literal."""

    value: Value


@dataclass(frozen=True)
class Ident(Node):
    """A variable."""

    name: str


@dataclass(frozen=True)
class Select(Node):
    """`operand.field`, or `has(operand.field)`."""

    operand: Node
    field: str
    test: bool


@dataclass(frozen=True)
class Call(Node):
    """An operator (`_>_`, `_&&_`, `@in`) or a function; of a method, the target is the first argument."""

    function: str
    args: Sequence[Node]


@dataclass(frozen=True)
class ListOf(Node):
    """`[a, b]`"""

    elements: Sequence[Node]


@dataclass(frozen=True)
class Quantified(Node):
    """`range.exists(variable, predicate)`, or `all`."""

    every: bool
    variable: str
    range: Node
    predicate: Node


def read_checked(serialized: bytes) -> Node:
    """The tree of a serialized `CheckedExpr`. Raises `Unsupported`."""
    checked = _Message(_Message(serialized).content(2))
    positions = {
        _Message(entry).number(1): _Message(entry).number(2)
        for entry in _Message(checked.content(5)).contents(4)
    }
    return _Reader(positions).node(checked.content(4))


def size_of(node: Node) -> int:
    """How many nodes a tree has."""
    return 1 + sum(size_of(child) for child in children(node))


def walk(node: Node) -> Iterator[Node]:
    """The node and all below."""
    yield node
    for child in children(node):
        yield from walk(child)


def mapped(node: Node, change: Callable[[Node], Node]) -> Node:
    """The tree with every node changed, those below first."""
    if isinstance(node, Select):
        node = replace(node, operand=mapped(node.operand, change))
    elif isinstance(node, Call):
        node = replace(node, args=tuple(mapped(each, change) for each in node.args))
    elif isinstance(node, ListOf):
        node = replace(node, elements=tuple(mapped(each, change) for each in node.elements))
    elif isinstance(node, Quantified):
        node = replace(node, range=mapped(node.range, change), predicate=mapped(node.predicate, change))
    return change(node)


def children(node: Node) -> Iterator[Node]:
    """The nodes right below."""
    if isinstance(node, Select):
        yield node.operand
    elif isinstance(node, Call):
        yield from node.args
    elif isinstance(node, ListOf):
        yield from node.elements
    elif isinstance(node, Quantified):
        yield from (node.range, node.predicate)


class _Message:
    def __init__(self, data: bytes):
        self._data = data
        self._fields = list(fields(data))

    def content(self, number: int) -> bytes:
        """The last field of that number; empty when there is none."""
        return next((self._content(each) for each in reversed(self._fields) if each.number == number), b"")

    def contents(self, number: int) -> list[bytes]:
        return [self._content(each) for each in self._fields if each.number == number]

    def has(self, number: int) -> bool:
        return any(each.number == number for each in self._fields)

    def number(self, number: int) -> int:
        return next((each.value for each in reversed(self._fields) if each.number == number), 0)

    def text(self, number: int) -> str:
        return self.content(number).decode()

    def first(self) -> Field | None:
        return self._fields[0] if self._fields else None

    def _content(self, field: Field) -> bytes:
        return self._data[field.begin : field.end]


class _Reader:
    def __init__(self, positions: dict[int, int]):
        self._positions = positions

    def node(self, encoded: bytes) -> Node:
        message = _Message(encoded)
        at = self._positions.get(message.number(2), 0)
        if message.has(3):
            return Const(at, _constant(message.content(3), at))
        if message.has(4):
            return Ident(at, _Message(message.content(4)).text(1))
        if message.has(5):
            select = _Message(message.content(5))
            return Select(at, self.node(select.content(1)), select.text(2), bool(select.number(3)))
        if message.has(6):
            call = _Message(message.content(6))
            target = [call.content(1)] if call.has(1) else []
            return _folded(Call(at, call.text(2), tuple(map(self.node, [*target, *call.contents(3)]))))
        if message.has(7):
            return ListOf(at, tuple(map(self.node, _Message(message.content(7)).contents(1))))
        if message.has(9):
            return self._quantified(_Message(message.content(9)), at)
        raise Unsupported("objects and maps cannot be made here", at)

    def _quantified(self, loop: _Message, at: int) -> Quantified:
        begins, step = self.node(loop.content(4)), self.node(loop.content(6))
        if isinstance(begins, Const) and isinstance(begins.value, bool) and isinstance(step, Call):
            operator = "_&&_" if begins.value else "_||_"
            if step.function == operator and step.args[0] == Ident(step.args[0].position, loop.text(3)):
                inside = self.node(loop.content(2))
                return Quantified(inside.position, begins.value, loop.text(1), inside, step.args[1])
        raise Unsupported("only exists and all are known of lists", at)


def _folded(call: Call) -> Node:
    """A literal time or duration, and what is reckoned of them, as a constant. Raises `Unsupported`."""
    values = [each.value if isinstance(each, Const) else None for each in call.args]
    match call.function, values:
        case (("timestamp" | "duration"), [str(text)]):
            read = _moment if call.function == "timestamp" else _span
            return Const(call.position, read(text, call.args[0].position))
        case "_+_", [Moment() | Span() as left, Moment() | Span() as right]:
            moment = isinstance(left, Moment) or isinstance(right, Moment)
            return Const(
                call.position, _reckoned(moment, left.microseconds + right.microseconds, call.position)
            )
        case "_-_", [Moment() | Span() as left, Moment() | Span() as right]:
            moment = isinstance(left, Moment) and isinstance(right, Span)
            return Const(
                call.position, _reckoned(moment, left.microseconds - right.microseconds, call.position)
            )
    return call


def _moment(text: str, at: int) -> Moment:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise Unsupported('a time is written as "2026-01-31T12:00:00Z"', at)
    # The offset may lead out of the years that the text names.
    return Moment(_reckoned(True, (moment - _EPOCH) // timedelta(microseconds=1), at).microseconds)


def _span(text: str, at: int) -> Span:
    digits = text.removeprefix("-")
    parts = _SPAN_PART.findall(digits)
    if not parts or "".join(number + unit for number, unit in parts) != digits or len(text) > 100:
        raise Unsupported('a duration is written as "720h", "1h30m" or "1.5s"', at)
    length = sum(Fraction(number) * _UNITS[unit] for number, unit in parts)
    if length.denominator != 1:
        raise Unsupported("a duration is whole microseconds", at)
    if length > LONGEST_SPAN:
        raise Unsupported("a duration is at most 10,000 years", at)
    return Span(int(-length if text.startswith("-") else length))


def _reckoned(moment: bool, microseconds: int, at: int) -> Moment | Span:
    if moment and not YEARS[0] <= microseconds <= YEARS[1]:
        raise Unsupported("a time is of the years 1 to 9999", at)
    if not moment and abs(microseconds) > LONGEST_SPAN:
        raise Unsupported("a duration is at most 10,000 years", at)
    return Moment(microseconds) if moment else Span(microseconds)


def _constant(encoded: bytes, at: int) -> Value:
    field = _Message(encoded).first()
    if field is None:
        return None
    content = encoded[field.begin : field.end]
    match field.number:
        case 1:
            return None
        case 2:
            return bool(field.value)
        case 3:
            return field.value - (1 << 64) if field.value >> 63 else field.value
        case 4:
            return Unsigned(field.value)
        case 5:
            number: float = struct.unpack("<d", content)[0]
            return number
        case 6:
            return content.decode()
        case 7:
            return content
    raise Unsupported("a literal of this type is not known here", at)
