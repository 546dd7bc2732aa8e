"""Small reads out of large files: `ranges.py VERSION`, a resource name, prints medians in milliseconds.

Runs as a process of its own, on the server that REGSVC_ENDPOINT names.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from processes import Server, run_json

READ = 64 << 10
_TIMES = 100


def measure(server: Server, model: str) -> dict[str, Any]:
    """Medians in milliseconds on version 1 of a model."""
    answer, _ = run_json([sys.executable, str(Path(__file__)), model], {"REGSVC_ENDPOINT": server.endpoint})
    return answer


def _plain(model: str) -> dict[str, float]:
    """First bytes by ReadFile, with the generated stubs only."""
    import grpc

    from regsvc.v1 import artifact_pb2 as pb
    from regsvc.v1 import artifact_pb2_grpc

    with grpc.insecure_channel(os.environ["REGSVC_ENDPOINT"]) as channel:
        stub = artifact_pb2_grpc.ArtifactServiceStub(channel)
        namespace, _, name = model.partition("/")
        version = f"namespaces/{namespace}/models/{name}/versions/1"
        [listing] = stub.ReadManifest(pb.ReadManifestRequest(version=version))
        largest = max(listing.files, key=lambda file: file.size)

        def read() -> None:
            offset = random.randrange(largest.size - READ)
            request = pb.ReadFileRequest(version=version, path=largest.path, offset=offset, limit=READ)
            call = stub.ReadFile(request)
            next(iter(call))
            call.cancel()

        return {"read_file_ms": _median(read), "file_bytes": largest.size}


def _by_sdk(model: str) -> dict[str, float]:
    """The same through a file object, and whole tensors."""
    import regsvc

    found = {}
    with regsvc.connect() as client:
        path = max(client.files(f"{model}:1"), key=lambda file: file.size).path
        with client.open(f"{model}:1", path) as file:
            size = file.seek(0, 2)
            found["open_ms"] = _median(lambda: file.pread(random.randrange(size - READ), READ))
        if path.endswith(".safetensors"):
            tensors = client.tensors(f"{model}:1")
            names = [name for name in tensors if name.endswith(".gate")]
            found["tensor_ms"] = _median(lambda: tensors.read(random.choice(names)))
    return found


def _median(work: Callable[[], object]) -> float:
    work()
    times = []
    for _ in range(_TIMES):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return median(times) * 1000


if __name__ == "__main__":
    print(json.dumps({**_plain(sys.argv[1]), **_by_sdk(sys.argv[1])}))
