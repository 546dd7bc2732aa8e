"""Gates: expressions over `version`, which is to be promoted, and `current`, which the alias names.

A gate is written in the language of searches over versions, and checked by it: `version.metrics.f1` is what
`metrics.f1` is there. CEL decides over the whole; its terms, the operands of the conjunction that it is, are
evaluated apart as well, to tell which of them was not true and what it saw.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_bindings, ext_strings

from regsvc.catalog.database import Reader
from regsvc.catalog.filters import VERSIONS
from regsvc.catalog.filters.compile import Compiler
from regsvc.catalog.filters.fields import Fields, fields_of, names_of, no_fields
from regsvc.catalog.filters.kinds import Type
from regsvc.content.expression import Call, Const, Ident, Node, Quantified, Select, Unsupported, mapped, walk
from regsvc.content.rewriting import without_infinities
from regsvc.service.filter_words import nearest
from regsvc.service.gate_text import Path, paths_of, shown, term_texts, value_at
from regsvc.service.limits import Limits
from regsvc.service.search import checked, invalid, variables

SIDES = ("version", "current")
# The library takes no times within a map.
_IN_MAPS = {name for name, column in VERSIONS.columns.items() if column.type is not Type.TIMESTAMP}


class Verdict(IntEnum):
    """What came of a gate, or of a term of it. Numbers as on the wire."""

    NONE = 0
    TRUE = 1
    FALSE = 2
    ERROR = 3


@dataclass(frozen=True)
class GateValue:
    """One value that a term looked at."""

    path: str
    value: str | None
    """As text; None when there is none."""


@dataclass(frozen=True)
class GateTerm:
    """One operand of the conjunction that a gate is."""

    expression: str
    verdict: Verdict
    error: str
    """Why it could not be evaluated."""
    values: Sequence[GateValue]

    def __str__(self) -> str:
        if self.verdict is Verdict.ERROR:
            there = _saw(each for each in self.values if each.value is not None)
            return f"{self.expression} cannot be evaluated: {self.error}" + (f" ({there})" if there else "")
        return f"{self.expression} is {self.verdict.name.lower()}" + (f": {self.saw}" if self.saw else "")

    @property
    def saw(self) -> str:
        """Its values, for people."""
        return _saw(self.values)


@dataclass(frozen=True)
class GateResult:
    """What a gate says of a version."""

    verdict: Verdict
    terms: Sequence[GateTerm]


@dataclass(frozen=True)
class _Term:
    text: str
    expression: Any
    paths: Sequence[Path]


@dataclass(frozen=True)
class Gate:
    """A gate that was read and checked."""

    expression: Any
    terms: Sequence[_Term]
    fields: Mapping[str, frozenset[str]]
    """Of each side, those that it looks at."""

    def evaluate(self, db: Reader, version_id: int, current_id: int | None) -> GateResult:
        """What the gate says; `current_id` is None while the alias names nothing."""
        known = {
            side: no_fields(VERSIONS)
            if row_id is None
            else fields_of(db, VERSIONS, row_id, self.fields.get(side, frozenset()))
            for side, row_id in zip(SIDES, (version_id, current_id), strict=True)
        }
        data: dict[str, Any] = {}
        for side, fields in known.items():
            data[side] = {field: value for field, value in fields.items() if field in _IN_MAPS}
            data |= {f"{side}.{field}": value for field, value in fields.items() if field not in _IN_MAPS}
        activation = _environment().Activation(data=data)
        verdict, _ = _evaluated(self.expression, activation)
        return GateResult(
            verdict, [_judged(term, activation, known, current_id is None) for term in self.terms]
        )


def read_gate(text: str, limits: Limits) -> Gate:
    """Read and check a gate. Raises `FilterInvalid`, saying where and why, and `ResourceExhausted` (too long)."""
    return _read(text, limits)


@functools.lru_cache(maxsize=128)
def _read(text: str, limits: Limits) -> Gate:
    node = _selected(checked(_environment(), text, limits, _meant)[1])
    try:
        Compiler(VERSIONS).condition(_as_filter(node))
    except Unsupported as error:
        raise invalid(text, str(error), error.position) from None
    terms = list(_terms(node))
    texts = term_texts(text, [node.position for node in _conjunctions(node)])
    if len(texts) != len(terms):
        terms, texts = [node], [text.strip()]
    fields: dict[str, set[str]] = {}
    for path in paths_of(node, SIDES):
        fields.setdefault(path.side, set()).add(path.field)
    return Gate(
        _compiled(text, node),
        [
            _Term(shown_text, _compiled(text, term), list(paths_of(term, SIDES)))
            for shown_text, term in zip(texts, terms, strict=True)
        ],
        {side: frozenset(names) for side, names in fields.items()},
    )


def _meant(name: str) -> str:
    """A name of a search is one of `version` here, and what is none may be a metric."""
    head = name.partition(".")[0]
    if head in SIDES:
        return ""
    known = variables(VERSIONS)
    near = nearest(name, [*SIDES, *known])
    if head in known or near.partition(".")[0] in known:
        return f"version.{name if head in known else near}"
    return near or (f"version.metrics.{name}" if name.isidentifier() else "")


@functools.cache
def _environment() -> cel.Env:
    """What is not in the maps are variables of their own, `version.metrics`, of which the types are known.

    The columns are in the maps, as the checker would take `has(current.number)` of a variable for the number.
    """
    anything = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
    parts = {
        f"{side}.{field}": type
        for side in SIDES
        for field, type in variables(VERSIONS).items()
        if field not in _IN_MAPS
    }
    return cel.NewEnv(
        variables={**dict.fromkeys(SIDES, anything), **parts},
        extensions=[ext_strings.ExtStrings(), ext_bindings.ExtBindings()],
    )


def _compiled(text: str, node: Node) -> Any:
    try:
        return _environment().compile(without_infinities(node))
    except RuntimeError:
        # The text was read, so that this can only be the depth, which dividing adds to.
        raise invalid(text, "too many operators within each other", node.position) from None


def _conjunctions(node: Node) -> Iterator[Node]:
    """The `&&` at the top, in the order of the text."""
    if isinstance(node, Call) and node.function == "_&&_":
        yield from _conjunctions(node.args[0])
        yield node
        yield from _conjunctions(node.args[1])


def _terms(node: Node) -> Iterator[Node]:
    if isinstance(node, Call) and node.function == "_&&_":
        for each in node.args:
            yield from _terms(each)
    else:
        yield node


def _selected(node: Node) -> Node:
    """The tree with `version.metrics` as a field of `version`, which the checker makes one name of."""

    def change(each: Node) -> Node:
        if isinstance(each, Ident) and "." in each.name:
            side, _, field = each.name.partition(".")
            return Select(each.position, Ident(each.position - len(side), side), field, False)
        return each

    return mapped(node, change)


def _as_filter(node: Node) -> Node:
    """The expression as a filter of versions, without the sides: it has the same types. Raises `Unsupported`."""
    known = names_of(VERSIONS)

    def change(each: Node) -> Node:
        match each:
            case Select(operand=Ident(name=side)) if side in SIDES:
                if each.field not in known:
                    raise Unsupported(
                        f"a version has no '{each.field[:60]}'; it has {', '.join(known)}", each.position
                    )
                return Const(each.position, True) if each.test else Ident(each.position, each.field)
            case Quantified(variable=name) if name in SIDES or name in known:
                raise Unsupported(f"'{name}' has a meaning here; take another name", each.position)
        return each

    found = mapped(node, change)
    bare = next((each for each in walk(found) if isinstance(each, Ident) and each.name in SIDES), None)
    if bare is not None:
        raise Unsupported(f"a field of it is expected, as {bare.name}.metrics.f1", bare.position)
    return found


def _evaluated(expression: Any, activation: Any) -> tuple[Verdict, str]:
    """The verdict, and what the library says when there is none."""
    try:
        value = expression.eval(activation=activation).value()
    except RuntimeError as error:  # most of all that lists are gone through for too long: the library counts
        return Verdict.ERROR, str(error)
    if value is True:
        return Verdict.TRUE, ""
    if value is False:
        return Verdict.FALSE, ""
    return Verdict.ERROR, str(value)


def _saw(values: Iterable[GateValue]) -> str:
    return ", ".join(f"{each.path} is {'missing' if each.value is None else each.value}" for each in values)


def _judged(term: _Term, activation: Any, known: Mapping[str, Fields], nothing: bool) -> GateTerm:
    verdict, said = _evaluated(term.expression, activation)
    values, missing = [], []
    for path in term.paths:
        found, value = value_at(known[path.side], path)
        values.append(GateValue(path.text, shown(value) if found else None))
        if not found and not path.tested:
            missing.append(path)
    error = _why(said, missing, nothing) if verdict is Verdict.ERROR else ""
    return GateTerm(term.text, verdict, error, values)


def _why(said: str, missing: Sequence[Path], nothing: bool) -> str:
    """Why a term has no verdict. The library's own words are not passed on: they are of its inside."""
    if missing:
        first = missing[0]
        if nothing and first.side == "current":
            return f"there is no {first.text}, as the alias names nothing yet"
        return f"{first.text} is missing"
    if "Index error" in said or "by zero" in said:
        return "division by zero"
    if "overflow" in said or "out of range" in said:
        return "a number or time beyond what there is"
    if "budget" in said:
        return "its lists are too long to go through"
    if "overload" in said:
        return "values of types that do not go together"
    if "Key not found" in said:
        return "an element has no such field"
    return "it is neither true nor false"
