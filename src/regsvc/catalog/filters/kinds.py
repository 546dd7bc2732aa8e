"""What can be asked of versions, builds and models: each field with its type and its SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Type(Enum):
    """Types of CEL, as far as fields have them."""

    BOOL = "bool"
    NUMBER = "number"
    STRING = "string"
    TIMESTAMP = "timestamp"
    """Microseconds since 1970 in SQL."""
    DIGEST = "digest"
    """A string of hex digits in CEL, bytes in SQL."""
    PARAM = "param"
    """A string, a number or a bool: each in a column of its own."""


@dataclass(frozen=True)
class Column:
    """A field that has one value."""

    type: Type
    sql: str


@dataclass(frozen=True)
class Table:
    """A map from strings, or a list, that has a table of its own.

    `source` is what stands after FROM; `owner` its column with the id of what is searched.
    """

    source: str
    owner: str
    fields: Mapping[str, Column]
    """Of a list's elements; one that is "" is the element itself. Of a map: "key" and "value"."""
    key: str = ""
    """Column of a map's key; empty for lists."""


@dataclass(frozen=True)
class Kind:
    """What can be searched."""

    name: str
    source: str
    """What stands after FROM; namespaces are `n` and models `m`."""
    id: str
    """The column that orders by creation."""
    columns: Mapping[str, Column]
    maps: Mapping[str, Table] = field(default_factory=dict)
    lists: Mapping[str, Table] = field(default_factory=dict)
    records: Mapping[str, Mapping[str, Column]] = field(default_factory=dict)
    """Fields of fields: `code.commit`."""
    commits: str = ""
    """The query for ids by `code.commit`, which has an index."""
    text: str = ""
    """Table of the full-text search."""
    orders: Mapping[str, str] = field(default_factory=dict)
    """Column by what may be ordered by, beside metrics and params."""


_MODEL = {
    "model": Column(Type.STRING, "n.name || '/' || m.name"),
    "namespace": Column(Type.STRING, "n.name"),
    "name": Column(Type.STRING, "m.name"),
}


def _param_columns(alias: str) -> Mapping[str, Column]:
    return {"value": Column(Type.PARAM, alias)}


def _tables(owner: str) -> tuple[dict[str, Table], dict[str, Table]]:
    """Maps and lists of versions, or builds."""
    maps = {
        "params": Table(f"{owner}_params x", f"x.{owner}_id", _param_columns("x"), "x.key"),
        "tags": Table(f"{owner}_tags x", f"x.{owner}_id", {"value": Column(Type.STRING, "x.value")}, "x.key"),
        "packages": Table(
            f"{owner}_records x JOIN environment_packages p ON p.environment_id = x.environment_id",
            f"x.{owner}_id",
            {"value": Column(Type.STRING, "p.version")},
            "p.name",
        ),
    }
    lists = {
        "datasets": Table(
            f"{owner}_datasets x JOIN dataset_versions y ON y.id = x.dataset_version_id"
            " JOIN datasets d ON d.id = y.dataset_id JOIN namespaces dn ON dn.id = d.namespace_id",
            f"x.{owner}_id",
            {
                "name": Column(Type.STRING, "d.name"),
                "namespace": Column(Type.STRING, "dn.name"),
                "number": Column(Type.NUMBER, "y.number"),
                "split": Column(Type.STRING, "x.split"),
            },
        ),
    }
    return maps, lists


def _record(owner: str, column: str, outer: str) -> Column:
    sql = f"(SELECT r.{column} FROM {owner}_records r WHERE r.{owner}_id = {outer}.id)"  # noqa: S608 - names only
    return Column(Type.STRING, sql)


_VERSION_MAPS, _VERSION_LISTS = _tables("version")
_BUILD_MAPS, _BUILD_LISTS = _tables("build")

VERSIONS = Kind(
    name="versions",
    source="versions v JOIN models m ON m.id = v.model_id JOIN namespaces n ON n.id = m.namespace_id",
    id="v.id",
    columns={
        **_MODEL,
        "number": Column(Type.NUMBER, "v.number"),
        "created": Column(Type.TIMESTAMP, "v.created_at"),
        "size": Column(Type.NUMBER, "v.size"),
        "files": Column(Type.NUMBER, "v.file_count"),
        "digest": Column(Type.DIGEST, "v.digest"),
        "description": Column(Type.STRING, "v.description"),
        "framework": _record("version", "framework", "v"),
        "format": _record("version", "format", "v"),
        "image": _record("version", "image", "v"),
        "card": _record("version", "card", "v"),
    },
    maps={
        **_VERSION_MAPS,
        "metrics": Table(
            "version_metrics x", "x.version_id", {"value": Column(Type.NUMBER, "x.value")}, "x.key"
        ),
    },
    lists={
        **_VERSION_LISTS,
        "aliases": Table("aliases x", "x.version_id", {"": Column(Type.STRING, "x.name")}),
        "labels": Table("version_labels x", "x.version_id", {"": Column(Type.STRING, "x.label")}),
        "parents": Table(
            "version_parents x",
            "x.version_id",
            {
                "name": Column(Type.STRING, "x.name"),
                "relation": Column(
                    Type.STRING,
                    "CASE x.relation WHEN 1 THEN 'fine-tuned' WHEN 2 THEN 'quantised' WHEN 3 THEN 'merged'"
                    " WHEN 4 THEN 'distilled' WHEN 5 THEN 'converted' ELSE '' END",
                ),
            },
        ),
    },
    records={
        "code": {name: _record("version", f"code_{name}", "v") for name in ("commit", "branch", "remote")}
    },
    commits="SELECT x.version_id FROM version_records x WHERE x.code_commit <> '' AND x.code_commit = ?",
    text="version_text",
    orders={"created": "v.id", "number": "v.number", "size": "v.size", "name": "n.name || '/' || m.name"},
)

BUILDS = Kind(
    name="builds",
    source="builds b JOIN models m ON m.id = b.model_id JOIN namespaces n ON n.id = m.namespace_id",
    id="b.id",
    columns={
        **_MODEL,
        "number": Column(Type.NUMBER, "b.number"),
        "created": Column(Type.TIMESTAMP, "b.created_at"),
        "ended": Column(Type.TIMESTAMP, "b.ended_at"),
        "state": Column(
            Type.STRING,
            "CASE b.state WHEN 1 THEN 'RUNNING' WHEN 2 THEN 'SUCCEEDED' WHEN 3 THEN 'FAILED'"
            " WHEN 4 THEN 'CANCELLED' ELSE 'LOST' END",
        ),
        "reason": Column(Type.STRING, "b.reason"),
        "description": Column(Type.STRING, "b.description"),
        "framework": _record("build", "framework", "b"),
        "image": _record("build", "image", "b"),
    },
    maps={
        **_BUILD_MAPS,
        "metrics": Table(
            "metric_series x", "x.build_id", {"value": Column(Type.NUMBER, "x.last_value")}, "x.key"
        ),
    },
    lists=_BUILD_LISTS,
    records={
        "code": {name: _record("build", f"code_{name}", "b") for name in ("commit", "branch", "remote")}
    },
    commits="SELECT x.build_id FROM build_records x WHERE x.code_commit <> '' AND x.code_commit = ?",
    orders={"created": "b.id", "number": "b.number", "name": "n.name || '/' || m.name"},
)

MODELS = Kind(
    name="models",
    source="models m JOIN namespaces n ON n.id = m.namespace_id",
    id="m.id",
    columns={
        **_MODEL,
        "created": Column(Type.TIMESTAMP, "m.created_at"),
        "updated": Column(Type.TIMESTAMP, "m.updated_at"),
        "versions": Column(Type.NUMBER, "m.last_version"),
        "description": Column(Type.STRING, "m.description"),
    },
    lists={"aliases": Table("aliases x", "x.model_id", {"": Column(Type.STRING, "x.name")})},
    text="model_text",
    orders={"created": "m.id", "name": "n.name || '/' || m.name"},
)
