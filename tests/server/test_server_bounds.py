"""Memory and time are bounded by configuration, whatever the client sends or fails to read (I8)."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from server.wire import LIMIT, Wire, lines, peak_memory
from support import Server, wait_until

from regsvc.v1 import artifact_pb2 as art
from regsvc.v1 import build_pb2 as bld
from regsvc.v1 import registry_pb2 as reg

MIB = 1 << 20


def test_readers_of_a_long_log_that_do_not_read_cost_little(start_server: Callable[..., Server]) -> None:
    server = start_server()
    with Wire(server) as wire:
        build = wire.create_build("team/long")
        text, count = b"\0" * 1000, 20_000  # each byte takes six in JSON
        for first in range(1, count, 1000):
            wire.append(build, lines(first, *[text] * 1000))
        before = peak_memory(server)
        calls = [wire.builds.ReadLog(bld.ReadLogRequest(build=build)) for _ in range(30)]
        for call in calls:
            assert next(iter(call)).lines
        assert len(wire.log(build)) == count
        assert peak_memory(server) - before < 200 * MIB
        for call in calls:
            call.cancel()


def test_a_page_of_large_records_is_not_gathered_before_it_is_weighed(
    start_server: Callable[..., Server],
) -> None:
    server = start_server()
    with Wire(server) as wire:
        tags = {f"t{number}": "x" * 15_000 for number in range(60)}
        for _ in range(100):
            wire.builds.CreateBuild(
                bld.CreateBuildRequest(
                    parent="namespaces/team/models/wide", metadata=reg.VersionMetadata(tags=tags)
                ),
                timeout=LIMIT,
            )
        before = peak_memory(server)
        seen, token = 0, ""
        while True:
            page = wire.builds.ListBuilds(
                bld.ListBuildsRequest(parent="namespaces/team/models/wide", page_size=1000, page_token=token),
                timeout=LIMIT,
            )
            assert page.ByteSize() < 4 * MIB
            seen, token = seen + len(page.builds), page.next_page_token
            if not token:
                break
        assert seen == 100
        assert peak_memory(server) - before < 150 * MIB


def many_points(wire: Wire, build: str) -> None:
    points = [bld.MetricPoint()] * 500_000
    wire.builds.LogMetrics(bld.LogMetricsRequest(build=build, points=points), timeout=LIMIT)


def many_lines(wire: Wire, build: str) -> None:
    wire.append(build, [bld.LogLine()] * 500_000)


def many_params(wire: Wire, build: str) -> None:
    params = {str(number): reg.ParamValue(bool_value=True) for number in range(100_000)}
    wire.builds.LogParams(bld.LogParamsRequest(build=build, params=params), timeout=LIMIT)


def many_recipes(wire: Wire, build: str) -> None:
    upload = wire.start("team/tiny")
    wire.write_chunks(art.WriteChunksRequest(upload=upload, recipes=[art.RecipePart()] * 500_000))


def many_frames(wire: Wire, build: str) -> None:
    upload = wire.start("team/tiny")
    wire.write_chunks(art.WriteChunksRequest(upload=upload, frames=[art.ChunkFrame()] * 500_000))


@pytest.mark.parametrize("send", [many_points, many_lines, many_params, many_recipes, many_frames])
def test_very_many_tiny_entries_are_refused_at_once(
    shared_server: Server, send: Callable[[Wire, str], None]
) -> None:
    with Wire(shared_server) as wire:
        build = wire.create_build("team/tiny")
        with wire.refused("RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"):
            send(wire, build)


def test_bytes_that_are_no_message_are_told_as_such(shared_server: Server) -> None:
    with Wire(shared_server) as wire:
        call = wire.channel.stream_unary("/regsvc.v1.ArtifactService/WriteChunks")
        with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
            call(iter([b"\xff\xff\xff no protobuf"]), timeout=LIMIT)


def test_downloads_beyond_the_limit_wait_for_their_turn(start_server: Callable[..., Server]) -> None:
    server = start_server("--max-bulk-streams", "2")
    with Wire(server) as wire:
        version = wire.push("team/big", {"f": bytes(range(256)) * (64 * MIB // 256)}).name
        request = art.ReadFileRequest(version=version, path="f")
        stalled = [wire.artifacts.ReadFile(request) for _ in range(2)]
        for call in stalled:
            assert next(call).data
        done = threading.Event()

        def third() -> None:
            if len(wire.read_file(version, "f")) == 64 * MIB:
                done.set()

        thread = threading.Thread(target=third)
        thread.start()
        assert not done.wait(0.5)
        for call in stalled:
            call.cancel()
        wait_until(done.is_set, LIMIT, "the third download")
        thread.join()
