"""Many writers and readers of series at once, odd steps, and calls that are too large: nothing lost, nothing half."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from server.series import evaluate, log, read, summaries
from server.wire import LIMIT, Wire

import regsvc
from regsvc.v1 import build_pb2 as bld
from regsvc.v1 import registry_pb2 as reg

WRITER = """
import sys, threading, uuid
from regsvc.client.connection import Connection
from regsvc.v1 import build_pb2
endpoint, build, process = sys.argv[1], sys.argv[2], int(sys.argv[3])
def write(writer):
    for start in range(0, 2000, 40):
        points = [
            build_pb2.MetricPoint(key="shared", value=writer * 10_000 + n, step=n % 7 - n)
            for n in range(start, start + 40)
        ]
        request = build_pb2.LogMetricsRequest(build=build, points=points, request_id=uuid.uuid4().hex)
        connection.call(connection.builds.LogMetrics, request)
with Connection(endpoint) as connection:
    threads = [threading.Thread(target=write, args=[2 * process + thread]) for thread in range(2)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
"""


def watched(wire: Wire, build: str) -> list[tuple[int, float]]:
    """(step, value) of all points that WatchBuild has now, in the order in which they came."""
    found: list[tuple[int, float]] = []
    with_end = wire.build(build).state != bld.BUILD_STATE_RUNNING
    assert with_end, "else the watch does not end"
    for message in wire.builds.WatchBuild(bld.WatchBuildRequest(build=build), timeout=LIMIT):
        found += [(point.step, point.value) for point in message.metrics]
    return found


def test_publishers_in_two_processes_append_to_one_series_and_nothing_is_lost(wire: Wire) -> None:
    build = wire.create_build("writers/shared")
    command = [sys.executable, "-c", WRITER, wire.server.endpoint, build]
    processes = [subprocess.Popen([*command, str(number)]) for number in range(2)]
    assert [process.wait(timeout=LIMIT) for process in processes] == [0, 0]
    wire.finish(build)

    came = watched(wire, build)
    summary = summaries(wire, build)["", "shared"]

    written = {(n % 7 - n, float(writer * 10_000 + n)) for writer in range(4) for n in range(2000)}
    assert len(came) == len(written) == summary.count
    assert set(came) == written
    for writer in range(4):  # each publisher's own points came in its order
        own = [value for _, value in came if writer * 10_000 <= value < writer * 10_000 + 2000]
        assert own == sorted(own)
    values = [value for _, value in came]
    assert (summary.first_step, summary.first) == came[0]
    assert (summary.last_step, summary.last) == came[-1]
    assert (summary.min, summary.max) == (0.0, 31_999.0)
    assert summary.min_step == came[values.index(0.0)][0]
    assert summary.max_step == came[values.index(31_999.0)][0]
    assert read(wire, build, "shared") == sorted(came, key=lambda point: point[0])


def test_points_are_watched_live_and_in_order_while_the_series_is_read(wire: Wire) -> None:
    build = wire.create_build("writers/live")
    total, batch = 6_000, 60
    seen: list[int] = []
    seen_some = threading.Event()

    def watch() -> None:
        for message in wire.builds.WatchBuild(bld.WatchBuildRequest(build=build), timeout=LIMIT):
            seen.extend(point.step for point in message.metrics)
            if seen:
                seen_some.set()

    def publish() -> None:
        for start in range(0, total, batch):
            log(wire, build, [("m", step, float(step)) for step in range(start, start + batch)])
            if start == 0:
                assert seen_some.wait(LIMIT), "the first points were not seen while the build runs"
        wire.finish(build)

    def read_on() -> list[int]:
        lengths = [0]
        while lengths[-1] < total:
            points = read(wire, build, "m")
            assert points == [(step, float(step)) for step in range(len(points))]
            few = read(wire, build, "m", max_points=20)
            assert few[0] == (0, 0.0)
            assert [step for step, _ in few] == sorted({step for step, _ in few})
            lengths.append(len(points))
        return lengths

    with ThreadPoolExecutor(3) as pool:
        watching, publishing = pool.submit(watch), pool.submit(publish)
        assert seen_some.wait(LIMIT)
        lengths = pool.submit(read_on).result(LIMIT)
        publishing.result(LIMIT)
        watching.result(LIMIT)
    assert seen == list(range(total))
    assert lengths == sorted(lengths)


EXTREME = [(1 << 63) - 1, (1 << 53) + 1, 1 << 53, 0, -1, -1, -(1 << 53) - 1, -(1 << 63)]


def test_steps_of_64_bits_come_back_exactly_and_in_order(wire: Wire) -> None:
    build = wire.create_build("writers/extreme")
    log(wire, build, [("m", step, float(place)) for place, step in enumerate(EXTREME)])
    ordered = sorted(((step, float(place)) for place, step in enumerate(EXTREME)), key=lambda each: each[0])
    assert read(wire, build, "m") == ordered
    summary = summaries(wire, build)["", "m"]
    assert (summary.first_step, summary.last_step) == (EXTREME[0], EXTREME[-1])
    assert (summary.min_step, summary.max_step) == (EXTREME[0], EXTREME[-1])
    few = read(wire, build, "m", max_points=4)
    assert (few[0], few[-1]) == (ordered[0], ordered[-1])
    assert set(few) <= set(ordered)


def test_steps_that_no_double_tells_apart_are_thinned(wire: Wire) -> None:
    build = wire.create_build("writers/large")
    spike = [("m", (1 << 60) + step, 50.0 if step == 500 else step % 3 / 10) for step in range(1_000)]
    log(wire, build, spike)
    few = read(wire, build, "m", max_points=50)
    assert len(few) == 50
    assert ((1 << 60) + 500, 50.0) in few


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_one_value_that_is_no_number_keeps_the_whole_call_out(wire: Wire, value: float) -> None:
    build = wire.create_build("writers/finite")
    points = [(f"m{place}", place, 1.0) for place in range(999)]
    with wire.refused("INVALID_ARGUMENT", "METRIC_NOT_FINITE") as metadata:
        log(wire, build, [*points, ("culprit", 7, value)])
    assert metadata["key"] == "culprit"
    assert summaries(wire, build) == {}


def test_a_call_whose_last_series_is_one_too_many_adds_to_none(wire: Wire) -> None:
    build = wire.create_build("writers/series")
    for start in (0, 1000):
        log(wire, build, [(f"m{number}", 0, 1.0) for number in range(start, start + 1000)])
    with wire.refused("RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"):
        log(wire, build, [("m0", 1, 2.0), ("m2000", 0, 1.0)])
    found = summaries(wire, build)
    assert len(found) == 2000
    assert {each.count for each in found.values()} == {1}

    version = wire.push("writers/series", {"a": b"1"}, build=build)
    for start in (0, 1000):
        evaluate(wire, version.name, "nightly", **{f"e{n}": 1.0 for n in range(start, start + 1000)})
    found = summaries(wire, version.name)
    assert len(found) == 4000
    with wire.refused("RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"):
        evaluate(wire, version.name, "nightly", e0=1.0, e2000=1.0)
    assert summaries(wire, version.name) == found


COUNTS = itertools.count()
MANY = {f"p{number}": reg.ParamValue(int_value=number) for number in range(100_000)}
HUGE = {"p": reg.ParamValue(string_value="x" * 10_000_000)}
LONG = {"p": reg.ParamValue(string_value="x" * 20_000)}


@pytest.mark.parametrize(
    ("params", "reason"),
    [(MANY, "RESOURCE_EXHAUSTED"), (LONG, "RESOURCE_EXHAUSTED"), (HUGE, None)],
    ids=["100,000", "20 KB", "10 MB"],
)
def test_params_that_are_too_much_are_refused_and_none_is_kept(
    wire: Wire, params: dict[str, reg.ParamValue], reason: str | None
) -> None:
    model = f"writers/params{next(COUNTS)}"
    build = wire.create_build(model)
    metadata = reg.VersionMetadata(params=params)
    with wire.refused("RESOURCE_EXHAUSTED", reason):
        wire.builds.LogParams(bld.LogParamsRequest(build=build, params=params), timeout=LIMIT)
    assert not wire.build(build).metadata.params
    with wire.refused("RESOURCE_EXHAUSTED", reason):
        wire.create_build(model, metadata=metadata)
    upload = wire.start(model)
    wire.write_file(upload, "a", b"1")
    with wire.refused("RESOURCE_EXHAUSTED", reason):
        wire.commit(upload, metadata=metadata)
    version = wire.commit(upload)
    assert (version.number, len(version.metadata.params)) == (1, 0)
    assert wire.create_build(model).endswith("/builds/2"), "the refused build took no number"


def test_the_sdk_tells_of_params_that_are_too_much(wire: Wire) -> None:
    with regsvc.connect(wire.server.endpoint) as client:
        build = client.build("writers/sdk")
        with pytest.raises(regsvc.InvalidArgument, match="param 'p' is longer than 16384 bytes"):
            build.log_params({"p": "x" * 10_000_000})
        build.log_params({f"p{number}": number for number in range(100_000)})
        with pytest.raises(regsvc.RegsvcError, match="100000 params in one message, at most 2000"):
            build.flush()
        assert build.finish().params == {}
