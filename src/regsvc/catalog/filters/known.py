"""What can be asked of versions, builds, models and datasets."""

from __future__ import annotations

from collections.abc import Mapping

from regsvc.catalog.filters.kinds import Column, Kind, Ordering, Table, Type

_CUT = 200
"""Long texts are ordered by so many characters: page tokens have to hold them."""


def _within(table: str, owner: str) -> str:
    """The query for the ids of what models, or datasets, have; conditions are on `m` and `n`."""
    return (
        f"SELECT z.id FROM {table} z WHERE z.{owner}_id IN"  # noqa: S608 - names only, here and below
        f" (SELECT m.id FROM {owner}s m JOIN namespaces n ON n.id = m.namespace_id WHERE {{}})"
    )


def _named(members: str, whole: str) -> dict[str, Column]:
    return {
        field: Column(Type.STRING, sql, members.format(f"{sql} {{}}"), ranged=True)
        for field, sql in ((whole, "n.name || '/' || m.name"), ("namespace", "n.name"), ("name", "m.name"))
    }


def _by(table: str, type: Type, column: str, alias: str) -> Column:
    """A column that has an index of its own."""
    return Column(type, f"{alias}.{column}", f"SELECT z.id FROM {table} z WHERE z.{column} {{}}", ranged=True)  # noqa: S608


def _text(sql: str) -> Column:
    return Column(Type.STRING, sql, order=f"substr({sql}, 1, {_CUT})")


def _record(owner: str, column: str, *, indexed: bool = False, cut: bool = False) -> Column:
    sql = f"coalesce((SELECT r.{column} FROM {owner}_records r WHERE r.{owner}_id = {owner[0]}.id), '')"  # noqa: S608
    # The indexes leave out what is empty, and a query has to say so.
    ids = f"SELECT z.{owner}_id FROM {owner}_records z WHERE z.{column} <> '' AND z.{column} {{}}"  # noqa: S608
    return Column(Type.STRING, sql, ids if indexed else "", order=f"substr({sql}, 1, {_CUT})" if cut else "")


def _code(owner: str) -> Mapping[str, Column]:
    return {
        name: _record(owner, f"code_{name}", indexed=name == "commit")
        for name in ("commit", "branch", "remote")
    }


def _orders(table: str, letter: str) -> dict[str, Ordering]:
    """By name, a walk through the models goes to what they have; CROSS JOIN keeps SQLite from another way."""
    owned = f"CROSS JOIN {table} {letter} ON {letter}.model_id = m.id"
    by_model = Ordering(
        ("n.name", "m.name", f"{letter}.number"),
        f"namespaces n CROSS JOIN models m ON m.namespace_id = n.id {owned}",
    )
    return {
        "created": Ordering((f"{letter}.id",)),
        "namespace": by_model,
        "model": by_model,
        "name": Ordering(
            ("m.name", "m.namespace_id", f"{letter}.number"),
            f"models m CROSS JOIN namespaces n ON n.id = m.namespace_id {owned}",
        ),
    }


def _maps(owner: str, metrics: Table) -> dict[str, Table]:
    return {
        "metrics": metrics,
        "params": Table(f"{owner}_params x", f"x.{owner}_id", {"value": Column(Type.PARAM, "x")}, "x.key"),
        "tags": Table(f"{owner}_tags x", f"x.{owner}_id", {"value": Column(Type.STRING, "x.value")}, "x.key"),
        "packages": Table(
            f"{owner}_records x JOIN environment_packages p ON p.environment_id = x.environment_id",
            f"x.{owner}_id",
            {"value": Column(Type.STRING, "p.version")},
            "p.name",
        ),
    }


def _datasets(owner: str) -> Table:
    return Table(
        f"{owner}_datasets x JOIN dataset_versions y ON y.id = x.dataset_version_id"
        " JOIN datasets d ON d.id = y.dataset_id JOIN namespaces dn ON dn.id = d.namespace_id",
        f"x.{owner}_id",
        {
            "name": Column(Type.STRING, "d.name"),
            "namespace": Column(Type.STRING, "dn.name"),
            "number": Column(Type.INT, "y.number"),
            "split": Column(Type.STRING, "x.split"),
        },
        indexed=("name",),
        driving=f"datasets d CROSS JOIN namespaces dn ON dn.id = d.namespace_id CROSS JOIN dataset_versions y"
        f" ON y.dataset_id = d.id CROSS JOIN {owner}_datasets x ON x.dataset_version_id = y.id",
    )


_OF_VERSIONS = _within("versions", "model")
_OF_BUILDS = _within("builds", "model")
_OF_MODELS = "SELECT m.id FROM models m JOIN namespaces n ON n.id = m.namespace_id WHERE {}"
_OF_DATASETS = _within("dataset_versions", "dataset")

VERSIONS = Kind(
    name="versions",
    source="versions v JOIN models m ON m.id = v.model_id JOIN namespaces n ON n.id = m.namespace_id",
    id="v.id",
    members=_OF_VERSIONS,
    columns={
        **_named(_OF_VERSIONS, "model"),
        "number": _by("versions", Type.INT, "number", "v"),
        "created": _by("versions", Type.TIMESTAMP, "created_at", "v"),
        "size": _by("versions", Type.INT, "size", "v"),
        "files": Column(Type.INT, "v.file_count"),
        "digest": Column(
            Type.DIGEST,
            "v.digest",
            # A look at each model: they are few beside the versions, and an index of digests alone is not there.
            "SELECT z.id FROM models y CROSS JOIN versions z ON z.model_id = y.id AND z.digest {}",
            order="lower(hex(v.digest))",
        ),
        "description": _text("v.description"),
        "author": Column(
            Type.STRING,
            "v.author",
            # The index leaves out what is empty, and a query has to say so.
            "SELECT z.id FROM versions z WHERE z.author <> '' AND z.author {}",
            ranged=True,
        ),
        "bad": Column(Type.BOOL, "(v.bad = 1)"),
        "archived": Column(Type.BOOL, "(v.archived_at IS NOT NULL)"),
        "framework": _record("version", "framework", indexed=True),
        "format": _record("version", "format"),
        "image": _record("version", "image"),
        "card": _record("version", "card", cut=True),
    },
    maps=_maps(
        "version",
        Table("version_metrics x", "x.version_id", {"value": Column(Type.DOUBLE, "x.value")}, "x.key"),
    ),
    lists={
        "datasets": _datasets("version"),
        "aliases": Table("set_aliases x", "x.version_id", {"": Column(Type.STRING, "x.name")}, indexed=("",)),
        "labels": Table(
            "version_labels x", "x.version_id", {"": Column(Type.STRING, "x.label")}, indexed=("",)
        ),
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
            indexed=("name",),
        ),
        "evaluations": Table(
            "evaluation_series x",
            "x.version_id",
            {
                "source": Column(Type.STRING, "x.source"),
                "key": Column(Type.STRING, "x.key"),
                "value": Column(Type.DOUBLE, "x.last_value"),
                "min": Column(Type.DOUBLE, "x.min_value"),
                "max": Column(Type.DOUBLE, "x.max_value"),
            },
            indexed=("key",),
        ),
    },
    records={"code": _code("version")},
    text="version_text",
    orders=_orders("versions", "v"),
    # The plus keeps the order from being taken from the index of those that are not deleted.
    only="+v.deleted_at IS NULL",
)

BUILDS = Kind(
    name="builds",
    source="builds b JOIN models m ON m.id = b.model_id JOIN namespaces n ON n.id = m.namespace_id",
    id="b.id",
    members=_OF_BUILDS,
    columns={
        **_named(_OF_BUILDS, "model"),
        "number": _by("builds", Type.INT, "number", "b"),
        "created": _by("builds", Type.TIMESTAMP, "created_at", "b"),
        "ended": _by("builds", Type.TIMESTAMP, "ended_at", "b"),
        "state": Column(
            Type.STRING,
            "CASE b.state WHEN 1 THEN 'RUNNING' WHEN 2 THEN 'SUCCEEDED' WHEN 3 THEN 'FAILED'"
            " WHEN 4 THEN 'CANCELLED' WHEN 6 THEN 'QUEUED' ELSE 'LOST' END",
            "SELECT z.id FROM builds z CROSS JOIN (SELECT 1 AS state, 'RUNNING' AS name"
            " UNION ALL SELECT 2, 'SUCCEEDED' UNION ALL SELECT 3, 'FAILED' UNION ALL SELECT 4, 'CANCELLED'"
            " UNION ALL SELECT 5, 'LOST' UNION ALL SELECT 6, 'QUEUED') y WHERE y.name {} AND z.state = y.state",
        ),
        "reason": _text("b.reason"),
        "description": _text("b.description"),
        "framework": _record("build", "framework"),
        "image": _record("build", "image"),
    },
    maps=_maps(
        "build",
        Table("metric_series x", "x.build_id", {"value": Column(Type.DOUBLE, "x.last_value")}, "x.key"),
    ),
    lists={"datasets": _datasets("build")},
    records={"code": _code("build")},
    orders=_orders("builds", "b"),
)

MODELS = Kind(
    name="models",
    source="models m JOIN namespaces n ON n.id = m.namespace_id",
    id="m.id",
    members=_OF_MODELS,
    columns={
        **_named(_OF_MODELS, "model"),
        "created": Column(Type.TIMESTAMP, "m.created_at"),
        "updated": _by("models", Type.TIMESTAMP, "updated_at", "m"),
        "versions": Column(
            Type.INT,
            "coalesce((SELECT z.number FROM versions z WHERE z.model_id = m.id AND z.deleted_at IS NULL"
            " AND z.archived_at IS NULL ORDER BY z.number DESC LIMIT 1), 0)",
        ),
        "description": _text("m.description"),
    },
    lists={
        "aliases": Table("set_aliases x", "x.model_id", {"": Column(Type.STRING, "x.name")}, indexed=("",))
    },
    text="model_text",
    orders={
        "created": Ordering(("m.id",)),
        "namespace": Ordering(("n.name", "m.name")),
        "model": Ordering(("n.name", "m.name")),
        "name": Ordering(("m.name", "m.namespace_id")),
    },
)

DATASETS = Kind(
    name="datasets",
    source="dataset_versions y JOIN datasets m ON m.id = y.dataset_id JOIN namespaces n ON n.id = m.namespace_id",
    id="y.id",
    members=_OF_DATASETS,
    collection="datasets",
    columns={
        **_named(_OF_DATASETS, "dataset"),
        "number": Column(Type.INT, "y.number"),
        "created": _by("dataset_versions", Type.TIMESTAMP, "created_at", "y"),
        "uri": _by("dataset_versions", Type.STRING, "uri", "y"),
        "digest": Column(
            Type.DIGEST,
            "y.digest",
            "SELECT z.id FROM datasets d CROSS JOIN dataset_versions z ON z.dataset_id = d.id AND z.digest {}",
            order="lower(hex(y.digest))",
        ),
        "rows": Column(Type.INT, "coalesce(y.row_count, 0)"),
        "columns": Column(Type.INT, "coalesce(y.column_count, 0)"),
        "latest": Column(Type.BOOL, "(y.number = m.last_version)"),
    },
    lists={
        "users": Table(
            "version_datasets x JOIN versions v ON v.id = x.version_id AND v.deleted_at IS NULL"
            " JOIN models vm ON vm.id = v.model_id JOIN namespaces vn ON vn.id = vm.namespace_id",
            "x.dataset_version_id",
            {
                "model": Column(Type.STRING, "vn.name || '/' || vm.name"),
                "number": Column(Type.INT, "v.number"),
                "split": Column(Type.STRING, "x.split"),
            },
        ),
    },
    text="dataset_text",
    orders={
        "created": Ordering(("y.id",)),
        **dict.fromkeys(
            ("namespace", "dataset"),
            Ordering(
                ("n.name", "m.name", "y.number"),
                "namespaces n CROSS JOIN datasets m ON m.namespace_id = n.id"
                " CROSS JOIN dataset_versions y ON y.dataset_id = m.id",
            ),
        ),
        "name": Ordering(("m.name", "m.namespace_id", "y.number")),
    },
)

KINDS = {kind.name: kind for kind in (VERSIONS, BUILDS, MODELS, DATASETS)}
