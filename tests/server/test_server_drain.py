"""Starting, settings, draining, and what generic tools see."""

from __future__ import annotations

import json
import math
import os
import queue
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from blake3 import blake3
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from server.wire import LIMIT, Wire, expect_error, file_messages, lines, name_of
from support import Server, run_cli, wait_until

from regsvc.server.config import SettingInvalid, load
from regsvc.v1 import artifact_pb2 as art
from regsvc.v1 import build_pb2 as bld
from regsvc.v1 import capabilities_pb2 as cap
from regsvc.v1 import event_pb2 as evt

SERVICES = {"ArtifactService", "BuildService", "CapabilitiesService", "EventService", "RegistryService"}
BUF = str(Path(sys.executable).parent / "buf")


def serve(*args: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return run_cli("serve", *args, endpoint="127.0.0.1:1", check=False, env=env or {})


def test_a_drain_ends_tails_and_lets_an_upload_in_flight_finish(server: Server) -> None:
    data = random.Random(9).randbytes(3 << 20)
    fed: queue.SimpleQueue[art.WriteFileRequest | None] = queue.SimpleQueue()
    with Wire(server) as wire:
        build = wire.create_build("d/drain")
        wire.append(build, lines(1, b"x"))
        upload = wire.start("d/drain")
        streams = [
            wire.builds.ReadLog(bld.ReadLogRequest(build=build, follow=True), timeout=LIMIT),
            wire.builds.WatchBuild(bld.WatchBuildRequest(build=build), timeout=LIMIT),
            wire.events.WatchEvents(evt.WatchEventsRequest(), timeout=LIMIT),
        ]
        for stream in streams:
            next(stream)
        health = wire.health.Watch(health_pb2.HealthCheckRequest(), timeout=LIMIT)
        assert next(health).status == health_pb2.HealthCheckResponse.SERVING
        call = wire.artifacts.WriteFile.future(iter(fed.get, None), timeout=LIMIT)
        messages = list(file_messages(upload, "a", data, digest=blake3(data).hexdigest()))
        fed.put(messages[0])
        wait_until(lambda: wire.upload(upload).files, what="the first bytes")
        os.kill(server.pid, signal.SIGTERM)
        assert next(health).status == health_pb2.HealthCheckResponse.NOT_SERVING
        for stream in streams:
            with pytest.raises(grpc.RpcError) as told:
                list(stream)
            assert told.value.code() == grpc.StatusCode.UNAVAILABLE
        with expect_error("UNAVAILABLE", None, server.data):
            wire.start("d/drain")
        for message in messages[1:]:
            fed.put(message)
        fed.put(None)
        assert call.result().file.complete
        version = wire.commit(upload)
        assert version.number == 1
    assert server.process is not None
    assert server.process.wait(timeout=LIMIT) == 0
    assert "Traceback" not in "".join(server.stderr)
    server.stop()
    server.start()
    with Wire(server) as wire:
        assert wire.read_version(version.name) == {"a": data}


def test_an_idle_server_stops_at_once_with_status_0(server: Server) -> None:
    with Wire(server) as wire:
        wire.push("d/idle", {"a": b"1"})
    assert server.stop(timeout=15) == 0
    assert list((server.data / "packs" / "open").glob("*.pack")) == []


def test_an_upload_that_never_ends_does_not_outlive_the_grace(start_server: Callable[..., Server]) -> None:
    server = start_server("--grace", "0.5")
    fed: queue.SimpleQueue[art.WriteFileRequest | None] = queue.SimpleQueue()
    with Wire(server) as wire:
        upload = wire.start("d/stuck")
        call = wire.artifacts.WriteFile.future(iter(fed.get, None), timeout=LIMIT)
        fed.put(next(file_messages(upload, "a", b"1", finish=False)))
        wait_until(lambda: wire.upload(upload).files, what="the first byte")
        assert server.stop(timeout=20) == 0
        fed.put(None)
        assert call.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


def test_a_dead_reader_does_not_hold_up_the_drain(server: Server) -> None:
    with Wire(server) as wire:
        build = wire.create_build("d/dead")
        for seq in range(1, 65, 8):
            wire.append(build, lines(seq, *[b"z" * (256 << 10)] * 8))
        dead = wire.builds.ReadLog(bld.ReadLogRequest(build=build, follow=True), timeout=LIMIT)
        next(dead)
        assert server.stop(timeout=20) == 0


def test_a_unix_address_works(start_server: Callable[..., Server], tmp_path: Path) -> None:
    server = start_server(listen=f"unix:{tmp_path}/s")
    assert server.endpoint == f"unix:{tmp_path}/s"
    with Wire(server) as wire:
        assert wire.read_version(wire.push("d/unix", {"a": b"1"}).name) == {"a": b"1"}


def test_settings_come_from_flags_over_environment_over_file(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("upload_lease = 11\nbuild_lease = 12\nheartbeat = 13\n")
    env = {"REGSVC_CONFIG": str(file), "REGSVC_BUILD_LEASE": "22", "REGSVC_HEARTBEAT": "23"}
    with Wire(start_server("--heartbeat", "33", env=env)) as wire:
        got = wire.capabilities.GetCapabilities(cap.GetCapabilitiesRequest(), timeout=LIMIT).capabilities
    assert (got.upload_lease_ms, got.build_lease_ms, got.heartbeat_interval_ms) == (11_000, 22_000, 33_000)
    assert got.max_chunk_bytes == 2 << 20
    assert got.store_id
    assert list(got.codecs) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ({"upload_lease": 0.0}, "upload_lease"),
        ({"heartbeat": math.nan}, "heartbeat"),
        ({"build_lease": math.inf}, "build_lease"),
        ({"heartbeat": "soon"}, "heartbeat"),
        ({"grace": -1.0}, "grace"),
        ({"bulk_threads": 0}, "bulk_threads"),
        ({"listen": "nowhere"}, "listen"),
        ({"listen": "127.0.0.1:99999"}, "listen"),
        ({"listen": ":1"}, "listen"),
        ({"log_level": "loud"}, "log_level"),
        ({"data": None}, "data"),
    ],
)
def test_bad_settings_are_named(flags: dict[str, object], named: str) -> None:
    with pytest.raises(SettingInvalid, match=named):
        load({"data": Path("d"), **flags}, {})
    name, value = next(iter(flags.items()))
    if value is not None:
        with pytest.raises(SettingInvalid, match=named):
            load({"data": Path("d")}, {f"REGSVC_{name.upper()}": str(value)})


@pytest.mark.parametrize("text", ["unknown_key = 1", "listen = [", 'heartbeat = "soon"', "\x00"])
def test_a_bad_settings_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(SettingInvalid):
        load({"data": tmp_path}, {}, tmp_path / "s.toml")
    with pytest.raises(SettingInvalid, match=r"none\.toml"):
        load({"data": tmp_path}, {}, tmp_path / "none.toml")


def test_bad_settings_exit_2_and_make_nothing(tmp_path: Path) -> None:
    done = serve("--data", str(tmp_path / "d"), "--upload-lease", "0")
    assert done.returncode == 2
    assert "upload_lease" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "d").exists()


def test_what_cannot_be_used_is_told_in_one_line(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for data, listen in (
        (tmp_path / "file" / "below", "127.0.0.1:0"),
        (tmp_path / "other", server.endpoint),
    ):
        done = serve("--data", str(data), "--listen", listen, "--log-level", "error")
        assert done.returncode == 1, (data, listen)
        assert "Traceback" not in done.stderr
        assert not done.stdout


def test_health_and_reflection_name_every_service(wire: Wire) -> None:
    for service in ("", *(f"regsvc.v1.{name}" for name in SERVICES)):
        checked = wire.health.Check(health_pb2.HealthCheckRequest(service=service), timeout=LIMIT)
        assert checked.status == health_pb2.HealthCheckResponse.SERVING
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    stub = reflection_pb2_grpc.ServerReflectionStub(wire.channel)
    [answer] = stub.ServerReflectionInfo(iter([request]), timeout=LIMIT)
    listed = {service.name for service in answer.list_services_response.service}
    assert listed >= {f"regsvc.v1.{name}" for name in SERVICES} | {"grpc.health.v1.Health"}


def curl(wire: Wire, method: str, body: dict[str, object]) -> subprocess.CompletedProcess[str]:
    url = f"http://{wire.server.endpoint}/regsvc.v1.{method}"
    command = [BUF, "curl", "--protocol", "grpc", "--http2-prior-knowledge", url, "-d", json.dumps(body)]
    return subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)


def test_buf_curl_calls_by_reflection(wire: Wire) -> None:
    version = wire.push("d/curl", {"a": b"1"}, aliases=["prod"])
    done = curl(wire, "RegistryService/GetModel", {"name": name_of("d/curl")})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["model"]["aliases"][0]["version"] == version.name
    listed = curl(wire, "RegistryService/ListVersions", {"parent": name_of("d/curl")})
    assert json.loads(listed.stdout)["versions"][0]["digest"] == version.digest
    missing = curl(wire, "RegistryService/GetModel", {"name": name_of("d/none")})
    assert missing.returncode != 0
    assert json.loads(missing.stderr)["details"][0]["type"] == "google.rpc.ErrorInfo"
