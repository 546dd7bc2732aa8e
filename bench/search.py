"""What searches cost among very many versions, and what a push costs there.

The versions are written by SQL, twenty metrics and twenty params each; nothing here has files. Pushes go by turns to an
empty registry and to the full one: right after its indexes were made, when their leaves are full and each new entry
splits one, and when it has grown for a while, as registries do.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sqlite3
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
from processes import Failed, registry

from regsvc.v1 import artifact_pb2, artifact_pb2_grpc, registry_pb2, search_pb2, search_pb2_grpc

ENTRIES = 20
"""Metrics, and params, of one version."""
MODELS = 100
PUSHES = 100
WARMING = 20
"""Pushes before those that are timed."""
GROWN = 4000
"""Versions that are written one by one, at the end. Each key has some 3,500 leaves, and a split makes room in three."""
_BATCH = 20_000
_CREATED = 1_767_225_600_000_000
"""2026-01-01, in microseconds; a version each second."""

SELECTIVE = {
    "metric": "metrics.m0 > 0.9999",
    "metric and tag": 'metrics.m0 > 0.9997 && tags.stage == "eval"',
    "param": "params.p1 < 0.0001",
    "label": '"rare" in labels',
    "text": 'text("zebra")',
}
"""Each finds about a hundred of a million."""
BROAD = {
    "metric": ("metrics.m0 > 0.2", ""),
    "two metrics": ("metrics.m0 > 0.5 && metrics.m1 > 0.5", ""),
    "ordered by metric": ("metrics.m0 > 0.2", "metrics.m2 desc"),
    "ordered by size": ("metrics.m0 > 0.2", "size desc"),
    "created": ('created > timestamp("2026-01-02T00:00:00Z")', ""),
    "tag or metric": ('tags.stage == "train" || metrics.m3 > 0.9', ""),
    "two that hardly meet": ("metrics.m0 > 0.5 && metrics.m19 > 0.49999", ""),
    "two that hardly meet, by size": ("metrics.m0 > 0.5 && metrics.m19 > 0.49999", "size desc"),
}


def measure(folder: Path, *, versions: int, rounds: int) -> dict[str, Any]:
    """Milliseconds of each search, of its first page of 100, at the service's wire; and of pushes. Raises `Failed`."""
    folder.mkdir()
    catalog = folder / "data" / "catalog.sqlite"
    grown = min(GROWN, versions // 4)
    try:
        rng = random.Random(1)
        with registry(folder / "data") as server:
            _push(server.endpoint, "first", rng)
        _fill(catalog, versions - grown, rng)
        packed = _pushes(folder, rng)
        _grow(catalog, range(versions - grown, versions), rng)
        pushes = _pushes(folder, rng)
        with registry(folder / "data") as server, grpc.insecure_channel(server.endpoint) as channel:
            stub = search_pb2_grpc.SearchServiceStub(channel)
            selective = {name: _searches(stub, text, "", rounds) for name, text in SELECTIVE.items()}
            broad = {name: _searches(stub, text, order, rounds) for name, (text, order) in BROAD.items()}
        return {
            "versions": versions,
            "selective_ms": selective,
            "broad_ms": broad,
            "push_ms": pushes,
            "push_packed_ms": packed,
            "catalog_bytes": catalog.stat().st_size,
        }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _searches(stub: Any, text: str, order: str, rounds: int) -> dict[str, float]:
    """Median and worst of `rounds` after a first one, and how many were found."""
    request = search_pb2.SearchRequest(filter=text, order_by=order, page_size=100)
    found = len(stub.Search(request, timeout=60).versions)
    if not found:
        raise Failed(f"{text} finds nothing")
    took = []
    for _ in range(max(rounds, 3)):
        began = time.perf_counter()
        stub.Search(request, timeout=60)
        took.append(1000 * (time.perf_counter() - began))
    return {"p50": statistics.median(took), "max": max(took), "found": found}


def _pushes(folder: Path, rng: random.Random) -> dict[str, dict[str, float]]:
    """Milliseconds of commits of versions with all their metrics and params, to the full registry and an empty one."""
    os.sync()  # what was written by SQL is not left to be written back meanwhile
    took: dict[str, list[float]] = {"full": [], "empty": []}
    try:
        with registry(folder / "data") as full, registry(folder / "empty") as empty:
            for number in range(WARMING + PUSHES):
                for name, server in (("full", full), ("empty", empty)):
                    milliseconds = _push(server.endpoint, "pushed", rng)
                    if number >= WARMING:
                        took[name].append(milliseconds)
    finally:
        shutil.rmtree(folder / "empty", ignore_errors=True)
    return {
        name: {"p50": statistics.median(each), "mean": statistics.mean(each), "max": max(each)}
        for name, each in took.items()
    }


def _push(endpoint: str, model: str, rng: random.Random) -> float:
    """Milliseconds of the commit."""
    with grpc.insecure_channel(endpoint) as channel:
        stub = artifact_pb2_grpc.ArtifactServiceStub(channel)
        start = artifact_pb2.StartUploadRequest(parent=f"namespaces/bench/models/{model}")
        upload = stub.StartUpload(start, timeout=60).upload.name
        file = artifact_pb2.WriteFileRequest(upload=upload, path="a", data=b"x", finish=True)
        stub.WriteFile(iter([file]), timeout=60)
        metadata = registry_pb2.VersionMetadata(
            metrics=dict(_entries(rng, "m")),
            params={key: registry_pb2.ParamValue(double_value=value) for key, value in _entries(rng, "p")},
            tags={"stage": "eval", "number": str(rng.random())},
        )
        began = time.perf_counter()
        stub.CommitUpload(artifact_pb2.CommitUploadRequest(upload=upload, metadata=metadata), timeout=60)
        return 1000 * (time.perf_counter() - began)


def _fill(catalog: Path, count: int, rng: random.Random) -> None:
    """Write `count` versions. Indexes are made afterwards, as filling them row by row takes ten times as long."""
    with _opened(catalog) as database:
        later = database.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
            " AND tbl_name IN ('versions', 'version_metrics', 'version_params', 'version_tags', 'version_labels')"
        ).fetchall()
        for name, _ in later:
            database.execute(f"DROP INDEX {name}")
        namespace = database.execute("SELECT id FROM namespaces WHERE name = 'bench'").fetchone()[0]
        for model in range(MODELS):
            database.execute(
                "INSERT INTO models (id, namespace_id, name, created_at, updated_at, last_version)"
                " VALUES (?, ?, ?, 0, 0, ?)",
                [1000 + model, namespace, f"model-{model}", count // MODELS + 1],
            )
        for begin in range(0, count, _BATCH):
            _write(database, range(begin, min(count, begin + _BATCH)), rng)
        for _, sql in later:
            database.execute(sql)


def _grow(catalog: Path, numbers: Sequence[int], rng: random.Random) -> None:
    """Write more versions, each into all indexes."""
    with _opened(catalog) as database:
        for number in numbers:
            _write(database, [number], rng)


@contextlib.contextmanager
def _opened(catalog: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(catalog)) as database, database:
        database.execute("PRAGMA synchronous=OFF")
        database.execute("PRAGMA cache_size=-400000")
        yield database


def _write(database: sqlite3.Connection, numbers: Sequence[int], rng: random.Random) -> None:
    first = database.execute("SELECT coalesce(max(id), 0) + 1 FROM versions").fetchone()[0] - numbers[0]
    database.executemany(
        "INSERT INTO versions (id, model_id, number, digest, file_count, size, stored_size, created_at)"
        " VALUES (?, ?, ?, ?, 1, ?, 0, ?)",
        (
            (
                first + n,
                1000 + n % MODELS,
                n // MODELS + 1,
                rng.randbytes(32),
                rng.randrange(1 << 40),
                _CREATED + n * 1_000_000,
            )
            for n in numbers
        ),
    )
    for table, letter in (("metrics", "m"), ("params", "p")):
        column = "value" if table == "metrics" else "double_value"
        database.executemany(
            f"INSERT INTO version_{table} (version_id, key, {column}) VALUES (?, ?, ?)",  # noqa: S608
            ((first + n, key, value) for n in numbers for key, value in _entries(rng, letter)),
        )
    database.executemany(
        "INSERT INTO version_tags (version_id, key, value) VALUES (?, 'stage', ?)",
        ((first + n, ("train", "eval", "prod")[n % 3]) for n in numbers),
    )
    database.executemany(
        "INSERT INTO version_labels (version_id, label) VALUES (?, ?)",
        ((first + n, "rare" if n % 10_000 == 0 else "common") for n in numbers),
    )
    database.executemany(
        "INSERT INTO version_text (rowid, name, description, card, labels) VALUES (?, 'bench', ?, '', '')",
        ((first + n, "zebra" if n % 10_000 == 1 else "horse") for n in numbers),
    )


def _entries(rng: random.Random, letter: str) -> Iterator[tuple[str, float]]:
    """Random numbers, by key; the last is low where the first is high."""
    numbers = [rng.random() for _ in range(ENTRIES - 1)]
    return iter(
        sorted((f"{letter}{place}", number) for place, number in enumerate([*numbers, 1 - numbers[0]]))
    )
