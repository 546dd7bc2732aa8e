"""Pieces of SQL with their parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from regsvc.catalog.filters.kinds import Type

COMPARISONS = {"_==_": "=", "_!=_": "<>", "_<_": "<", "_<=_": "<=", "_>_": ">", "_>=_": ">="}
MIRRORED = {"_<_": "_>_", "_<=_": "_>=_", "_>_": "_<_", "_>=_": "_<=_"}
_SURROGATES = range(0xD800, 0xE000)
_LAST = 0x10FFFF


@dataclass(frozen=True)
class Sql:
    """A piece of SQL and its parameters."""

    text: str
    parameters: tuple[object, ...] = ()


class Unique(Sql):
    """A query for ids that gives none of them twice."""


@dataclass(frozen=True)
class Typed:
    """An expression with its type."""

    type: Type
    sql: Sql


def joined(word: str, parts: Sequence[Sql]) -> Sql:
    """`a AND b`, with the parameters in order."""
    return Sql(
        word.join(part.text for part in parts), tuple(value for part in parts for value in part.parameters)
    )


def string_test(function: str, sql: str, part: str) -> Sql:
    """`startsWith`, `endsWith` and `contains`: LIKE would fold case, and would want escapes."""
    if function == "startsWith":
        return Sql(f"substr({sql}, 1, ?) = ?", (len(part), part))
    if function == "endsWith":
        # A start of -0 would be the beginning: everything ends with nothing.
        return Sql(f"substr({sql}, ?) = ?", (-len(part), part)) if part else Sql(f"{sql} IS NOT NULL")
    return Sql(f"instr({sql}, ?) > 0", (part,))


def prefix_range(sql: str, prefix: str) -> Sql:
    """What begins with a prefix, and `following(prefix)`, as a range that an index answers."""
    return Sql(f"{sql} BETWEEN ? AND ?", (prefix, following(prefix)))


def following(prefix: str) -> str | bytes:
    """The first after all texts that begin with a prefix: they are ordered by code points, and bytes are after them."""
    kept = prefix.rstrip(chr(_LAST))
    if not kept:
        return b""
    code = ord(kept[-1]) + 1
    return kept[:-1] + chr(_SURROGATES.stop if code in _SURROGATES else code)
