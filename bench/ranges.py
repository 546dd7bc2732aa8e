"""Small reads out of a large file: how long until the bytes are there.

Run by itself it prints medians in milliseconds; the server is the one that REGSVC_ENDPOINT names.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import Any

from processes import registry, regsvc, run, run_json

SOURCES = str(Path(__file__).with_name("sources.py"))
MODEL = "bench/ranges"
READ = 64 << 10
_CHUNK = 1 << 20
_TIMES = 100


def measure(folder: Path, mib: int, rounds: int) -> list[dict[str, Any]]:
    """On a safetensors file of `mib` tensors of 1 MiB: each round has a new client process. Raises `Failed`."""
    folder.mkdir()
    try:
        run([sys.executable, SOURCES, "tensors", str(mib), str(folder)])
        with registry(folder / "data") as server:
            environment = {"REGSVC_ENDPOINT": server.endpoint, "REGSVC_CACHE": "off", "REGSVC_STATE": "off"}
            run_json(regsvc("push", str(folder / "base"), MODEL, "--json"), environment)
            shutil.rmtree(folder / "base")
            command = [sys.executable, str(Path(__file__))]
            return [run_json(command, environment)[0] for _ in range(rounds)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _plain(path: str, offsets: Iterable[int]) -> float:
    """First bytes by ReadFile, with the generated stubs only."""
    import grpc

    from regsvc.v1 import artifact_pb2 as pb
    from regsvc.v1 import artifact_pb2_grpc

    with grpc.insecure_channel(os.environ["REGSVC_ENDPOINT"]) as channel:
        stub = artifact_pb2_grpc.ArtifactServiceStub(channel)
        namespace, _, name = MODEL.partition("/")
        version = f"namespaces/{namespace}/models/{name}/versions/1"

        def first_byte(offset: int) -> None:
            call = stub.ReadFile(pb.ReadFileRequest(version=version, path=path, offset=offset, limit=READ))
            next(iter(call))
            call.cancel()

        return _median(first_byte, offsets)


def _answer() -> dict[str, float]:
    """No chunk is asked for twice: what a client keeps of earlier reads does not help it."""
    import regsvc

    with regsvc.connect() as client:
        [listed] = client.files(f"{MODEL}:1")
        chunks = range(0, listed.size - 2 * _CHUNK, _CHUNK)
        offsets = [
            begin + random.randrange(_CHUNK) for begin in random.sample(chunks, min(_TIMES, len(chunks)))
        ]
        plain = _plain(listed.path, offsets)
        with client.open(f"{MODEL}:1", listed.path) as file:
            opened = _median(lambda offset: file.pread(offset, READ), offsets)
        tensors = client.tensors(f"{MODEL}:1")
        names = random.sample(list(tensors), min(_TIMES, len(tensors)))
        return {
            "file_bytes": listed.size,
            "read_file_ms": plain,
            "open_ms": opened,
            "tensor_ms": _median(tensors.read, names),
        }


def _median(work: Callable[[Any], object], of: Iterable[Any]) -> float:
    times = []
    for item in of:
        started = time.perf_counter()
        work(item)
        times.append(time.perf_counter() - started)
    return median(times) * 1000


if __name__ == "__main__":
    print(json.dumps(_answer()))
