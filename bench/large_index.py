"""A catalog with very many chunks: what `FindMissingChunks` and a start cost on it.

The rows are written by SQL, and the packs are empty files of the right names: nothing here reads a chunk's bytes.
"""

from __future__ import annotations

import hashlib
import random
import sqlite3
import statistics
import time
from pathlib import Path
from typing import Any

import grpc
from processes import Failed, registry

from regsvc.v1 import artifact_pb2, artifact_pb2_grpc

ASKED = 8192
"""Digests of one FindMissingChunks."""
_PACK_CHUNKS = 64
"""Chunks of a pack of 64 MiB."""


class LargeIndex:
    """A data directory with `chunks` rows in its index, their digests spread evenly."""

    def __init__(self, data: Path, chunks: int) -> None:
        self._data = data
        self._chunks = chunks
        with registry(data):
            pass  # makes the catalog
        packs = {n: _digest(-n).hex()[:32] for n in range(1, chunks // _PACK_CHUNKS + 2)}
        for name in packs.values():
            (data / "packs" / name[:2] / f"{name}.pack").touch()
        with sqlite3.connect(data / "catalog.sqlite") as database:
            database.executemany(
                "INSERT INTO packs (id, name, size, records, created_at, noted) VALUES (?, ?, ?, ?, 0, 1)",
                ((n, name, 64 << 20, _PACK_CHUNKS) for n, name in packs.items()),
            )
            database.executemany(
                "INSERT INTO chunks (digest, pack_id, record_offset, stored_size, raw_size, codec)"
                " VALUES (?, ?, ?, 1000000, 1048576, 3)",
                ((_digest(n), n // _PACK_CHUNKS + 1, n % _PACK_CHUNKS << 20) for n in range(chunks)),
            )
        database.close()

    def measure(self, rounds: int) -> dict[str, Any]:
        """Medians of `rounds`: seconds to start, and milliseconds to ask for digests. Raises `Failed`.

        `all_present_first_ms` is the first request of a server, whose caches of the catalog are empty yet.
        """
        starts, first, following, half, again = [], [], [], [], []
        for number in range(rounds):
            began = time.monotonic()
            with registry(self._data) as server:
                starts.append(time.monotonic() - began)
                with grpc.insecure_channel(server.endpoint) as channel:
                    stub = artifact_pb2_grpc.ArtifactServiceStub(channel)
                    start = artifact_pb2.StartUploadRequest(parent="namespaces/bench/models/index")
                    upload = stub.StartUpload(start, timeout=60).upload.name
                    wanted = random.Random(number).sample(range(self._chunks), 5 * ASKED // 2)
                    all_there, others, half_there = (
                        wanted[:ASKED],
                        wanted[ASKED : -ASKED // 2],
                        wanted[-ASKED // 2 :],
                    )
                    first.append(_ask(stub, upload, all_there, 0))
                    following.append(_ask(stub, upload, others, 0))
                    again.append(_ask(stub, upload, all_there, 0))
                    absent = range(self._chunks, self._chunks + ASKED - len(half_there))
                    half.append(_ask(stub, upload, [*half_there, *absent], len(absent)))
                    stub.AbortUpload(artifact_pb2.AbortUploadRequest(name=upload), timeout=60)
        return {
            "chunks": self._chunks,
            "asked": ASKED,
            "start_seconds": statistics.median(starts),
            "all_present_ms": statistics.median(following),
            "all_present_first_ms": statistics.median(first),
            "half_present_ms": statistics.median(half),
            "all_pinned_before_ms": statistics.median(again),
        }


def _ask(stub: Any, upload: str, numbers: list[int], missing: int) -> float:
    request = artifact_pb2.FindMissingChunksRequest(upload=upload, digests=[_digest(n) for n in numbers])
    began = time.monotonic()
    found = stub.FindMissingChunks(request, timeout=60).missing
    took = (time.monotonic() - began) * 1000
    if len(found) != missing:
        raise Failed(f"{len(found)} chunks are missing, not {missing}")
    return took


def _digest(number: int) -> bytes:
    return hashlib.blake2b(number.to_bytes(8, "big", signed=True), digest_size=32).digest()
