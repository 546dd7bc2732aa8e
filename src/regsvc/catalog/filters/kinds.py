"""How it is said what can be asked of a kind: each field with its type, its SQL, and what an index finds by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Type(Enum):
    """Types of CEL, as far as fields have them."""

    BOOL = "bool"
    INT = "int"
    DOUBLE = "double"
    STRING = "string"
    TIMESTAMP = "timestamp"
    """Microseconds since 1970 in SQL."""
    DURATION = "duration"
    """Microseconds in SQL."""
    DIGEST = "digest"
    """A string of hex digits in CEL, bytes in SQL."""
    PARAM = "param"
    """A string, a number or a bool: each in a column of its own."""

    @property
    def numeric(self) -> bool:
        """Ints and doubles compare with each other."""
        return self in (Type.INT, Type.DOUBLE)


@dataclass(frozen=True)
class Column:
    """A field that has one value."""

    type: Type
    sql: str
    ids: str = ""
    """The query for ids by a value, if an index answers it; `{}` stands for `= ?`, or `> ?` and so on."""
    ranged: bool = False
    """Whether `ids` also takes what is no equality."""
    order: str = ""
    """What to order by, when it is not `sql`."""


@dataclass(frozen=True)
class Table:
    """A map from strings, or a list, that has a table of its own.

    `source` is what stands after FROM; `owner` its column with the id of what is searched.
    """

    source: str
    owner: str
    fields: Mapping[str, Column]
    """Of a list's elements; one that is "" is the element itself. Of a map: "value"."""
    key: str = ""
    """Column of a map's key; empty for lists."""
    indexed: tuple[str, ...] = ()
    """Fields of a list's elements by which an index finds them."""
    driving: str = ""
    """What stands after FROM when elements are found first and owners by them; empty when it is `source`."""


@dataclass(frozen=True)
class Ordering:
    """An order that an index gives, with what has to be selected from for that."""

    keys: tuple[str, ...]
    """Columns; no two rows are equal in all of them."""
    source: str = ""
    """What stands after FROM; empty when it is the kind's."""


@dataclass(frozen=True)
class Kind:
    """What can be searched."""

    name: str
    source: str
    """What stands after FROM; the namespace is `n`, and what is in it (a model, a dataset) `m`."""
    id: str
    """The column that orders by creation."""
    columns: Mapping[str, Column]
    members: str
    """The query for ids of what is in a namespace, or a model, or a dataset: `{}` is a condition on `n` and `m`."""
    collection: str = "models"
    """What a namespace has in resource names."""
    maps: Mapping[str, Table] = field(default_factory=dict)
    lists: Mapping[str, Table] = field(default_factory=dict)
    records: Mapping[str, Mapping[str, Column]] = field(default_factory=dict)
    """Fields of fields: `code.commit`."""
    text: str = ""
    """Table of the full-text search."""
    only: str = ""
    """The condition on what is there to be found; empty for all."""
    orders: Mapping[str, Ordering] = field(default_factory=dict)
    """Those that are not just a column and then the id."""
