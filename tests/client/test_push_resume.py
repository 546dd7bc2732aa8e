"""Push across kills of either side: what arrived is not sent again, and one version comes of it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

from cutting_proxy import CuttingProxy
from support import Server, wait_until

import regsvc
from regsvc.client import reading
from regsvc.client.connection import Connection
from regsvc.client.scan import scan
from regsvc.v1 import artifact_pb2

SIZE = 48 << 20


def test_a_push_outlasts_a_kill_of_the_server(server: Server, tmp_path: Path) -> None:
    for name in ("a", "b", "c", "d"):
        (tmp_path / name).write_bytes(os.urandom(SIZE // 4))
    with CuttingProxy(server.endpoint, up=SIZE // 2) as proxy, regsvc.connect(proxy.endpoint) as client:
        pushed: list[regsvc.PushResult] = []
        pushing = threading.Thread(target=lambda: pushed.append(client.push(tmp_path, "team/killed")))
        pushing.start()
        assert proxy.reached.wait(60)
        server.kill()
        proxy.release()
        server.start()
        pushing.join(120)
        assert len(pushed) == 1
        assert (pushed[0].number, pushed[0].bytes) == (1, SIZE)
        assert pushed[0].bytes_sent < 2 * SIZE
        assert len(list(client.versions("team/killed"))) == 1
        again = client.push(tmp_path, "team/killed")
        assert (again.digest, again.chunks_sent) == (pushed[0].digest, 0)


def test_a_push_goes_on_after_a_cut(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(os.urandom(SIZE))
    with CuttingProxy(server.endpoint, up=SIZE // 2) as proxy, regsvc.connect(proxy.endpoint) as client:
        pushed: list[regsvc.PushResult] = []
        pushing = threading.Thread(target=lambda: pushed.append(client.push(tmp_path, "team/cut")))
        pushing.start()
        assert proxy.reached.wait(60)
        proxy.release()
        pushing.join(120)
        assert pushed[0].bytes == SIZE
        # What was under way at the cut is sent twice at most: the window of gRPC and the message in work.
        assert SIZE <= pushed[0].bytes_sent < SIZE + SIZE // 2


def test_the_push_after_a_killed_one_sends_what_is_missing(server: Server, tmp_path: Path) -> None:
    size = 96 << 20  # what a dead process sent counts once the server has sealed its pack of 64 MiB
    (tmp_path / "a").write_bytes(os.urandom(size))
    with CuttingProxy(server.endpoint, up=size - (8 << 20)) as proxy:
        command = [
            sys.executable,
            "-m",
            "regsvc",
            "--server",
            proxy.endpoint,
            "push",
            str(tmp_path),
            "team/p",
        ]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        assert proxy.reached.wait(60), process.communicate()
        process.kill()
        process.communicate()
    first = next(reading.windows(scan(tmp_path)))[0].chunks[0].digest
    with Connection(server.endpoint) as connection:
        wait_until(lambda: _has(connection, first), what="sealing")
    with regsvc.connect(server.endpoint) as client:
        pushed = client.push(tmp_path, "team/p")
        assert pushed.number == 1
        assert pushed.bytes_sent < size // 2


def _has(connection: Connection, digest: bytes) -> bool:
    start = artifact_pb2.StartUploadRequest(parent="namespaces/team/models/p")
    upload = connection.call(connection.artifacts.StartUpload, start).upload.name
    ask = artifact_pb2.FindMissingChunksRequest(upload=upload, digests=[digest])
    missing = connection.call(connection.artifacts.FindMissingChunks, ask).missing
    connection.call(connection.artifacts.AbortUpload, artifact_pb2.AbortUploadRequest(name=upload))
    return not missing


def test_an_upload_that_lapsed_begins_again(start_server, tmp_path: Path) -> None:
    server = start_server("--upload-lease", "0.2")
    (tmp_path / "a").write_bytes(os.urandom(SIZE))
    with CuttingProxy(server.endpoint, up=SIZE // 2) as proxy, regsvc.connect(proxy.endpoint) as client:
        pushed: list[regsvc.PushResult] = []
        pushing = threading.Thread(target=lambda: pushed.append(client.push(tmp_path, "team/lapsed")))
        pushing.start()
        assert proxy.reached.wait(60)
        server.kill()  # the lease goes on while it is down
        server.flags = ()
        server.start()
        proxy.release()
        pushing.join(120)
        assert pushed[0].bytes == SIZE
        wait_until(lambda: len(list(client.versions("team/lapsed"))) == 1)
