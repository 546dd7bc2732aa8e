"""What searches cost among very many versions, and what a push costs there.

The versions are written by SQL, twenty metrics and twenty params each; nothing here has files.
"""

from __future__ import annotations

import random
import shutil
import sqlite3
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
from processes import Failed, registry

from regsvc.v1 import artifact_pb2, artifact_pb2_grpc, registry_pb2, search_pb2, search_pb2_grpc

ENTRIES = 20
"""Metrics, and params, of one version."""
MODELS = 100
PUSHES = 60
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
    try:
        with registry(folder / "data") as server:
            empty = _pushes(server.endpoint, "empty")
        _fill(folder / "data" / "catalog.sqlite", versions)
        with registry(folder / "data") as server:
            full = _pushes(server.endpoint, "full")
            with grpc.insecure_channel(server.endpoint) as channel:
                stub = search_pb2_grpc.SearchServiceStub(channel)
                selective = {name: _searches(stub, text, "", rounds) for name, text in SELECTIVE.items()}
                broad = {name: _searches(stub, text, order, rounds) for name, (text, order) in BROAD.items()}
        return {
            "versions": versions,
            "selective_ms": selective,
            "broad_ms": broad,
            "push_empty_ms": statistics.median(empty),
            "push_full_ms": statistics.median(full),
            "catalog_bytes": (folder / "data" / "catalog.sqlite").stat().st_size,
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


def _pushes(endpoint: str, model: str) -> list[float]:
    """Milliseconds of commits of versions with all their metrics and params."""
    took = []
    with grpc.insecure_channel(endpoint) as channel:
        stub = artifact_pb2_grpc.ArtifactServiceStub(channel)
        for number in range(PUSHES):
            start = artifact_pb2.StartUploadRequest(parent=f"namespaces/bench/models/{model}")
            upload = stub.StartUpload(start, timeout=60).upload.name
            file = artifact_pb2.WriteFileRequest(upload=upload, path="a", data=b"x", finish=True)
            stub.WriteFile(iter([file]), timeout=60)
            metadata = registry_pb2.VersionMetadata(
                metrics={f"m{place}": random.random() for place in range(ENTRIES)},
                params={
                    f"p{place}": registry_pb2.ParamValue(double_value=random.random())
                    for place in range(ENTRIES)
                },
                tags={"stage": "eval", "number": str(number)},
            )
            began = time.perf_counter()
            stub.CommitUpload(artifact_pb2.CommitUploadRequest(upload=upload, metadata=metadata), timeout=60)
            took.append(1000 * (time.perf_counter() - began))
    return took


def _fill(catalog: Path, count: int) -> None:
    """Write `count` versions. Indexes are made afterwards, as filling them row by row takes ten times as long."""
    rng = random.Random(1)
    with sqlite3.connect(catalog) as database:
        database.execute("PRAGMA synchronous=OFF")
        database.execute("PRAGMA cache_size=-400000")
        first = database.execute("SELECT coalesce(max(id), 0) + 1 FROM versions").fetchone()[0]
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
            numbers = range(begin, min(count, begin + _BATCH))
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
        for _, sql in later:
            database.execute(sql)
    database.close()


def _entries(rng: random.Random, letter: str) -> Iterator[tuple[str, float]]:
    """Random numbers, by key; the last is low where the first is high."""
    numbers = [rng.random() for _ in range(ENTRIES - 1)]
    return iter(
        sorted((f"{letter}{place}", number) for place, number in enumerate([*numbers, 1 - numbers[0]]))
    )
