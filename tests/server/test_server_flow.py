"""Streams beyond the limit are refused with a hint, stalled ones lose their slot, and old connections are replaced."""

from __future__ import annotations

import contextlib
import json
import queue
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from server.wire import LIMIT, Wire, file_messages
from support import Server, run_cli, wait_until

from regsvc.v1 import artifact_pb2 as art

MIB = 1 << 20
BIG = bytes(range(256)) * (32 * MIB // 256)
"""More than flow control lets a server send to a client that does not read."""


@contextmanager
def refused() -> Iterator[list[float]]:
    """The block must be refused with BUSY; gives the seconds of the hint afterwards."""
    hints: list[float] = []
    with pytest.raises(grpc.RpcError) as caught:
        yield hints
    status = rpc_status.from_call(caught.value)
    assert status is not None
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    assert status.details[0].Unpack(info)
    assert (caught.value.code(), info.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "BUSY")
    assert status.details[1].Unpack(retry)
    hints.append(retry.retry_delay.ToMilliseconds() / 1000)


def log_lines(server: Server, method: str) -> list[dict[str, object]]:
    found = [json.loads(line) for line in server.stderr]
    return [line for line in found if str(line.get("method", "")).endswith(method)]


def test_streams_that_wait_too_long_are_refused_with_a_hint(start_server: Callable[..., Server]) -> None:
    server = start_server("--max-bulk-streams", "1", "--bulk-wait", "0.2")
    with Wire(server) as wire:
        version = wire.push("team/flow", {"f": BIG}).name
        request = art.ReadFileRequest(version=version, path="f")
        reading = wire.artifacts.ReadFile(request, timeout=LIMIT)
        assert next(reading).data
        with refused() as hints:
            next(wire.artifacts.ReadFile(request, timeout=LIMIT))
        assert 0 < hints[0] <= 30
        # Uploads have slots of their own.
        upload = wire.start("team/flow")
        fed: queue.SimpleQueue[art.WriteFileRequest | None] = queue.SimpleQueue()
        fed.put(art.WriteFileRequest(upload=upload, path="a", data=b"x"))
        writing = wire.artifacts.WriteFile.future(iter(fed.get, None), timeout=LIMIT)
        wait_until(lambda: wire.upload(upload).files, what="the first bytes")
        with refused():
            wire.write_file(upload, "b", b"y")
        fed.put(art.WriteFileRequest(offset=1, finish=True))
        fed.put(None)
        assert writing.result().file.complete
        reading.cancel()
        wait_until(lambda: wire.read_file(version, "f") == BIG, what="a slot")
    assert {"code": "RESOURCE_EXHAUSTED", "reason": "BUSY"}.items() <= log_lines(server, "/ReadFile")[
        0
    ].items()


def test_the_client_waits_as_it_is_told(start_server: Callable[..., Server], tmp_path: Path) -> None:
    server = start_server("--max-bulk-streams", "1", "--bulk-wait", "0.1")
    with Wire(server) as wire:
        wire.push("team/flow", {"f": BIG})
        reading = wire.artifacts.ReadFile(
            art.ReadFileRequest(version="namespaces/team/models/flow/versions/1", path="f"), timeout=LIMIT
        )
        assert next(reading).data
        pulled = threading.Thread(target=server.cli, args=("pull", "team/flow", str(tmp_path / "out")))
        pulled.start()
        wait_until(
            lambda: any(line.get("reason") == "BUSY" for line in log_lines(server, "/ReadChunks")),
            what="a refusal",
        )
        reading.cancel()
        pulled.join()
    assert (tmp_path / "out/f").read_bytes() == BIG


def test_an_upload_that_stalls_loses_its_slot_and_resumes(start_server: Callable[..., Server]) -> None:
    server = start_server("--max-bulk-streams", "1", "--stall-timeout", "0.3")
    data = random.Random(3).randbytes(3 * MIB)
    with Wire(server) as wire:
        upload = wire.start("team/stall")
        fed: queue.SimpleQueue[art.WriteFileRequest | None] = queue.SimpleQueue()
        messages = list(file_messages(upload, "a", data))
        fed.put(messages[0])
        stalled = wire.artifacts.WriteFile.future(iter(fed.get, None), timeout=LIMIT)
        wire.write_file(upload, "b", b"another stream gets the slot")
        with wire.refused("UNAVAILABLE", "STALLED"):
            stalled.result()
        fed.put(None)
        committed = wire.upload(upload).files[0].committed_size
        wire.artifacts.WriteFile(file_messages(upload, "a", data, committed), timeout=LIMIT)
        version = wire.commit(upload).name
        assert wire.read_file(version, "a") == data


@pytest.mark.parametrize("method", ["ReadFile", "ReadChunks"])
def test_a_download_that_stalls_loses_its_slot(start_server: Callable[..., Server], method: str) -> None:
    server = start_server("--max-bulk-streams", "1", "--stall-timeout", "0.3")
    with Wire(server) as wire, Wire(server) as other:
        # Equal chunks would be one message of ReadChunks.
        data = random.Random(4).randbytes(32 * MIB)
        version = wire.push("team/stall", {"f": data}).name
        if method == "ReadFile":
            stalled = wire.artifacts.ReadFile(art.ReadFileRequest(version=version, path="f"), timeout=LIMIT)
        else:
            ranges = [art.FileRange(path="f")]
            request = art.ReadChunksRequest(version=version, ranges=ranges)
            stalled = wire.artifacts.ReadChunks(request, timeout=LIMIT)
        assert next(stalled).data
        assert other.read_file(version, "f") == data  # gets the slot
        with wire.refused("UNAVAILABLE", "STALLED"):
            for _ in stalled:
                pass

    def stalls() -> list[dict[str, object]]:
        return [line for line in log_lines(server, f"/{method}") if line.get("reason") == "STALLED"]

    wait_until(stalls, what="the line in the log")
    assert stalls()[0]["code"] == "UNAVAILABLE"
    assert stalls()[0]["messages"]


def test_slow_but_steady_streams_are_left_alone(start_server: Callable[..., Server]) -> None:
    # Several times what flow control keeps between the two, which is how often a slow reader is seen to read.
    server = start_server("--stall-timeout", "1")
    with Wire(server) as wire:
        data = random.Random(5).randbytes(40 * MIB)
        upload = wire.start("team/slow")

        def slowly() -> Iterator[art.WriteFileRequest]:
            for message in file_messages(upload, "f", data):
                time.sleep(0.05)  # the pace is what this is about
                yield message

        assert wire.artifacts.WriteFile(slowly(), timeout=LIMIT).file.complete
        version = wire.commit(upload).name
        got = []
        for part in wire.artifacts.ReadFile(art.ReadFileRequest(version=version, path="f"), timeout=LIMIT):
            time.sleep(0.05)  # the pace is what this is about
            got.append(part.data)
        assert b"".join(got) == data


def test_a_pull_outlasts_its_connections(start_server: Callable[..., Server], tmp_path: Path) -> None:
    server = start_server("--max-connection-age", "0.3")
    data = random.Random(6).randbytes(24 * MIB)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "f").write_bytes(data)
    run_cli("push", str(tmp_path / "in"), "team/age", endpoint=server.endpoint)
    with SlowProxy(server.endpoint) as proxy:
        run_cli("pull", "team/age", str(tmp_path / "out"), endpoint=proxy.endpoint)
        assert proxy.connections > 2
    assert (tmp_path / "out/f").read_bytes() == data
    assert len(log_lines(server, "/ReadChunks")) > 1


class SlowProxy:
    """Forwards to `target`, down at about 20 MB/s for each connection."""

    def __init__(self, target: str) -> None:
        self.connections = 0
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> SlowProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                self.connections += 1
                for source, sink, pause in ((client, server, 0.0), (server, client, 0.003)):
                    threading.Thread(target=_forward, args=(source, sink, pause), daemon=True).start()


def _forward(source: socket.socket, sink: socket.socket, pause: float) -> None:
    with source, sink:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                time.sleep(pause)
                sink.sendall(data)
        for each in (source, sink):  # closing alone does not wake the thread of the other direction
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
