"""Catalogs of older releases: opened, they say what they would say had they been written today."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlite_utils
from pysqlite3 import dbapi2 as sqlite

from regsvc.catalog import aliases, builds, metrics
from regsvc.catalog.aliases import Move
from regsvc.catalog.database import Catalog, Reader, Transaction
from regsvc.catalog.metrics import MetricPoint, Summary
from regsvc.catalog.records import Metadata
from regsvc.catalog.requests import Request
from regsvc.catalog.schema import MIGRATIONS
from regsvc.refs import AliasName, ModelName
from regsvc.service.limits import Limits
from regsvc.service.promotions import Promotions, Rollback

SERIES = [
    [MetricPoint("loss", value, step, at) for at, (step, value) in enumerate(points)]
    for points in (
        [(5, 2.0), (3, 1.0), (9, 1.0), (-7, 4.0), (8, 4.0), (1, 3.0)],
        [(1 << 60, -1e300)],
        [(place % 40, float(value)) for place, value in enumerate(random.Random(3).choices(range(9), k=500))],
    )
]
"""Extremes that come twice, steps in no order, one point alone."""
OLDER_SUMMARY = "key, point_count, last_value, last_step, last_at, min_value, max_value"


def test_series_of_an_older_catalog_have_their_beginning_and_extremes(tmp_path: Path) -> None:
    connection = sqlite.connect(str(tmp_path / "old"), isolation_level=None)
    MIGRATIONS.apply(sqlite_utils.Database(connection), stop_before="best_values")
    write_older(connection)
    connection.close()

    migrated, written = Catalog(tmp_path / "old"), Catalog(tmp_path / "new")
    try:
        expected = written.write(write_today)
        assert migrated.read(of_builds) == expected
        assert migrated.read(of_versions) == [replace(each, source="nightly") for each in expected]
    finally:
        migrated.close()
        written.close()


def write_older(connection: Any) -> None:
    """A build and a version with each series, in the tables and columns of that time."""
    connection.execute("INSERT INTO namespaces VALUES (1, 'n', 0)")
    connection.execute(
        "INSERT INTO models (id, namespace_id, name, created_at, updated_at) VALUES (1, 1, 'm', 0, 0)"
    )
    for number, points in enumerate(SERIES, 1):
        connection.execute(
            "INSERT INTO builds (id, model_id, number, state, created_at, lease_until) VALUES (?, 1, ?, 1, 0, 0)",
            [number, number],
        )
        connection.execute(
            "INSERT INTO versions (id, model_id, number, digest, file_count, size, stored_size, created_at)"
            " VALUES (?, 1, ?, x'00', 0, 0, 0, 0)",
            [number, number],
        )
        for owner, columns, own in (
            ("metric", "build_id", [number]),
            ("evaluation", "source, version_id", ["nightly", number]),
        ):
            values, last = [point.value for point in points], points[-1]
            row = [*own, "loss", len(points), last.value, last.step, last.at, min(values), max(values)]
            series = connection.execute(
                f"INSERT INTO {owner}_series ({columns}, {OLDER_SUMMARY}) VALUES ({', '.join('?' * len(row))})",  # noqa: S608
                row,
            ).lastrowid
            more, those = (", build_id, revision", f", {number}, 1") if owner == "metric" else ("", "")
            connection.executemany(
                f"INSERT INTO {owner}_points (series_id, step, value, at{more}) VALUES (?, ?, ?, ?{those})",  # noqa: S608
                [(series, point.step, point.value, point.at) for point in points],
            )


def write_today(tx: Transaction) -> Sequence[Summary]:
    """The summaries of the same points, which come one by one, so that each is merged with those before it."""
    for points in SERIES:
        build = builds.find(tx, builds.create(tx, ModelName("n", "m"), Metadata(), 1))
        for point in points:
            metrics.append(tx, build, [point])
    return of_builds(tx)


def of_builds(db: Reader) -> Sequence[Summary]:
    return [each for owner in ids(db, "builds") for each in metrics.of_build(db, owner)]


def of_versions(db: Reader) -> Sequence[Summary]:
    return [each for owner in ids(db, "versions") for each in metrics.of_version(db, owner)]


def ids(db: Reader, table: str) -> Iterable[int]:
    return [row[0] for row in db.rows(f"SELECT id FROM {table} ORDER BY id")]  # noqa: S608


def test_moves_of_an_older_catalog_were_set_by_nobody_known(tmp_path: Path) -> None:
    connection = sqlite.connect(str(tmp_path / "old"), isolation_level=None)
    MIGRATIONS.apply(sqlite_utils.Database(connection), stop_before="promotion")
    write_older_alias(connection)
    connection.close()
    migrated = Catalog(tmp_path / "old")
    try:
        name = AliasName(ModelName("n", "m"), "prod")
        changes = migrated.read(lambda db: aliases.history(db, aliases.find(db, name), 1 << 60, 10))
        assert [(each.version.number, each.author, each.reason, each.kind) for each in changes] == [
            (2, "", "", aliases.Kind.SET),
            (1, "", "", aliases.Kind.SET),
        ]
        back = Promotions(migrated, Limits()).rollback(
            Rollback(name, None, None, Move()), Request("", "", b"")
        )
        assert back.alias.version.number == 1
    finally:
        migrated.close()


def write_older_alias(connection: Any) -> None:
    """An alias that named version 1 and names version 2."""
    connection.execute("INSERT INTO namespaces VALUES (1, 'n', 0)")
    connection.execute(
        "INSERT INTO models (id, namespace_id, name, created_at, updated_at) VALUES (1, 1, 'm', 0, 0)"
    )
    for number in (1, 2):
        connection.execute(
            "INSERT INTO versions (id, model_id, number, digest, file_count, size, stored_size, created_at)"
            " VALUES (?, 1, ?, x'00', 0, 0, 0, 0)",
            [number, number],
        )
    connection.execute("INSERT INTO aliases VALUES (1, 1, 'prod', 2, 7)")
    connection.execute("INSERT INTO alias_changes VALUES (1, 1, 1, NULL, 5), (2, 1, 2, 1, 7)")
