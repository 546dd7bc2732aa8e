"""Builds: states, steps, metrics, cancelling, publishing, watching."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from server.wire import LIMIT, Wire, lines, name_of
from support import Server, wait_until

from regsvc.v1 import build_pb2 as bld
from regsvc.v1 import registry_pb2 as reg

ENDS = [bld.BUILD_STATE_SUCCEEDED, bld.BUILD_STATE_FAILED, bld.BUILD_STATE_CANCELLED]


def start_step(wire: Wire, build: str, step: str, request_id: str = "") -> bld.Step:
    request = bld.StartStepRequest(build=build, step=step, request_id=request_id)
    return wire.builds.StartStep(request, timeout=LIMIT).step


def finish_step(wire: Wire, build: str, number: int, state: int = bld.STEP_STATE_SUCCEEDED) -> bld.Step:
    request = bld.FinishStepRequest(build=build, number=number, state=state)  # type: ignore[arg-type]
    return wire.builds.FinishStep(request, timeout=LIMIT).step


def log_metrics(wire: Wire, build: str, *points: tuple[str, float, int], request_id: str = "") -> None:
    made = [bld.MetricPoint(key=key, value=value, step=step) for key, value, step in points]
    wire.builds.LogMetrics(
        bld.LogMetricsRequest(build=build, points=made, request_id=request_id), timeout=LIMIT
    )


def watch(wire: Wire, build: str, after: int = 0) -> list[bld.WatchBuildResponse]:
    """Every message of a watch of an ended build."""
    return list(wire.builds.WatchBuild(bld.WatchBuildRequest(build=build, after_seq=after), timeout=LIMIT))


@pytest.mark.parametrize("state", ENDS)
def test_a_build_ends_once_and_takes_nothing_afterwards(wire: Wire, state: int) -> None:
    build = wire.create_build("b/ends")
    assert wire.build(build).state == bld.BUILD_STATE_RUNNING
    step = start_step(wire, build, "train")
    ended = wire.finish(build, state, "because")
    assert (ended.state, ended.reason) == (state, "because")
    assert ended.HasField("end_time")
    assert ended.steps[0].state != bld.STEP_STATE_RUNNING
    again = wire.finish(build, state, "another reason")
    assert (again.state, again.reason, again.end_time) == (state, "because", ended.end_time)
    name = bld.BuildState.Name(state).removeprefix("BUILD_STATE_")
    other = next(end for end in ENDS if end != state)
    for call in (
        lambda: wire.finish(build, other),
        lambda: start_step(wire, build, "more"),
        lambda: finish_step(wire, build, step.number, bld.STEP_STATE_FAILED),
        lambda: log_metrics(wire, build, ("loss", 1.0, 1)),
        lambda: wire.builds.LogParams(bld.LogParamsRequest(build=build), timeout=LIMIT),
        lambda: wire.builds.Heartbeat(bld.HeartbeatRequest(build=build), timeout=LIMIT),
        lambda: wire.append(build, lines(1, b"late")),
        lambda: wire.start("b/ends", build),
    ):
        with wire.refused("FAILED_PRECONDITION", "BUILD_ENDED") as metadata:
            call()
        assert metadata["state"] == name


def test_a_build_ends_only_in_an_end_state(wire: Wire) -> None:
    build = wire.create_build("b/states")
    for state in (bld.BUILD_STATE_UNSPECIFIED, bld.BUILD_STATE_RUNNING, bld.BUILD_STATE_LOST, 99):
        with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
            wire.finish(build, state)
    for step_state in (bld.STEP_STATE_UNSPECIFIED, bld.STEP_STATE_RUNNING, 99):
        with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
            finish_step(wire, build, 1, step_state)


def test_steps_are_numbered_and_end_idempotently(wire: Wire) -> None:
    build = wire.create_build("b/steps")
    assert [start_step(wire, build, "train").number for _ in range(3)] == [1, 2, 3]
    ended = finish_step(wire, build, 2)
    assert finish_step(wire, build, 2) == ended
    with wire.refused("FAILED_PRECONDITION", "STEP_ENDED"):
        finish_step(wire, build, 2, bld.STEP_STATE_FAILED)
    for number in (0, 4, 2**32 - 1):
        with wire.refused("NOT_FOUND", "NOT_FOUND"):
            finish_step(wire, build, number)
    for name in ("", "x" * 101, "a\nb", "a\x1b[2J"):
        with wire.refused("INVALID_ARGUMENT", "NAME_INVALID"):
            start_step(wire, build, name)
    states = [step.state for step in wire.build(build).steps]
    assert states == [bld.STEP_STATE_RUNNING, bld.STEP_STATE_SUCCEEDED, bld.STEP_STATE_RUNNING]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_metrics_must_be_finite_and_all_or_none_are_taken(wire: Wire, value: float) -> None:
    build = wire.create_build("b/finite")
    with wire.refused("INVALID_ARGUMENT", "METRIC_NOT_FINITE") as metadata:
        log_metrics(wire, build, ("good", 1.0, 1), ("bad", value, 1))
    assert metadata["key"] == "bad"
    assert not wire.build(build).metadata.metrics
    upload = wire.start("b/finite")
    wire.write_file(upload, "a", b"1")
    with wire.refused("INVALID_ARGUMENT", "METRIC_NOT_FINITE"):
        wire.commit(upload, metadata=reg.VersionMetadata(metrics={"f1": value}))


def test_metric_points_of_any_time_are_taken_or_refused_as_arguments(wire: Wire) -> None:
    build = wire.create_build("b/times")
    for seconds in (2**62, -(2**62), 253_402_300_800):
        point = bld.MetricPoint(key="loss", value=1.0)
        point.time.seconds = seconds
        with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
            wire.builds.LogMetrics(bld.LogMetricsRequest(build=build, points=[point]), timeout=LIMIT)
        line = bld.LogLine(seq=1, text=b"x")
        line.time.seconds = seconds
        with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
            wire.append(build, [line])
    log_metrics(wire, build, ("loss", 1e308, 2**63 - 1), ("loss", -0.0, -(2**63)))
    points = [point for message in watch_now(wire, build) for point in message.metrics]
    assert [(point.value, point.step) for point in points] == [(1e308, 2**63 - 1), (-0.0, -(2**63))]


def watch_now(wire: Wire, build: str) -> list[bld.WatchBuildResponse]:
    """The first message of a watch."""
    call = wire.builds.WatchBuild(bld.WatchBuildRequest(build=build), timeout=LIMIT)
    first = [next(call)]
    call.cancel()
    return first


def test_too_many_points_series_and_params_are_refused(wire: Wire) -> None:
    build = wire.create_build("b/many")
    with wire.refused("RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"):
        log_metrics(wire, build, *[("loss", 1.0, i) for i in range(1001)])
    for start in (0, 1000):
        log_metrics(wire, build, *[(f"m{i}", 1.0, 0) for i in range(start, start + 1000)])
    with wire.refused("RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"):
        log_metrics(wire, build, ("one more", 1.0, 0))
    log_metrics(wire, build, ("m0", 2.0, 1))
    assert len(wire.build(build).metadata.metrics) == 2000
    params = {f"p{i}": reg.ParamValue(int_value=i) for i in range(2001)}
    with wire.refused("RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"):
        wire.builds.LogParams(bld.LogParamsRequest(build=build, params=params), timeout=LIMIT)
    assert not wire.build(build).metadata.params


BAD_METADATA = {
    "too many tags": ("RESOURCE_EXHAUSTED", reg.VersionMetadata(tags={f"t{i}": "" for i in range(2001)})),
    "long value": (
        "RESOURCE_EXHAUSTED",
        reg.VersionMetadata(params={"k": reg.ParamValue(string_value="v" * 16_385)}),
    ),
    "long tag": ("RESOURCE_EXHAUSTED", reg.VersionMetadata(tags={"k": "ü" * 8_193})),
    "long description": ("RESOURCE_EXHAUSTED", reg.VersionMetadata(description="d" * 65_537)),
    "control key": ("INVALID_ARGUMENT", reg.VersionMetadata(tags={"a\nb": ""})),
    "c1 key": ("INVALID_ARGUMENT", reg.VersionMetadata(params={"a\x9bb": reg.ParamValue(int_value=1)})),
    "empty key": ("INVALID_ARGUMENT", reg.VersionMetadata(params={"": reg.ParamValue(int_value=1)})),
    "long key": ("INVALID_ARGUMENT", reg.VersionMetadata(tags={"k" * 251: ""})),
    "no value": ("INVALID_ARGUMENT", reg.VersionMetadata(params={"k": reg.ParamValue()})),
    "NaN param": (
        "INVALID_ARGUMENT",
        reg.VersionMetadata(params={"k": reg.ParamValue(double_value=math.nan)}),
    ),
}


@pytest.mark.parametrize(("code", "data"), BAD_METADATA.values(), ids=BAD_METADATA.keys())
def test_bad_records_are_refused_at_every_door(wire: Wire, code: str, data: reg.VersionMetadata) -> None:
    build = wire.create_build("b/records")
    upload = wire.start("b/records")
    wire.write_file(upload, "a", b"1")
    with wire.refused(code, code):
        wire.create_build("b/records", metadata=data)
    with wire.refused(code, code):
        wire.commit(upload, metadata=data)
    if not data.description:
        with wire.refused(code, code):
            request = bld.LogParamsRequest(build=build, params=data.params, tags=data.tags)
            wire.builds.LogParams(request, timeout=LIMIT)
    assert not wire.versions("b/records")


def test_values_of_every_type_come_back_as_they_were(wire: Wire) -> None:
    params = {
        "text": reg.ParamValue(string_value=""),
        "big": reg.ParamValue(int_value=2**63 - 1),
        "small": reg.ParamValue(int_value=-(2**63)),
        "zero": reg.ParamValue(int_value=0),
        "real": reg.ParamValue(double_value=1e-320),
        "no": reg.ParamValue(bool_value=False),
        "ключ": reg.ParamValue(string_value="\x00 \u2028 ü"),
    }
    data = reg.VersionMetadata(description="d\nd", params=params, tags={"t": "v\x00"}, metrics={"m": -1e308})
    version = wire.push("b/values", {"a": b"1"}, metadata=data)
    assert version.metadata == data


def test_a_version_of_a_build_takes_its_params_metrics_and_log(wire: Wire) -> None:
    build = wire.create_build("b/publish", metadata=reg.VersionMetadata(tags={"git": "abc"}))
    params = {"lr": reg.ParamValue(double_value=0.1), "bs": reg.ParamValue(int_value=8)}
    wire.builds.LogParams(bld.LogParamsRequest(build=build, params=params), timeout=LIMIT)
    log_metrics(wire, build, ("loss", 3.0, 1), ("loss", 2.0, 2))
    wire.append(build, lines(1, b"hello"))
    named = reg.VersionMetadata(params={"bs": reg.ParamValue(int_value=16)}, metrics={"f1": 0.5})
    version = wire.push("b/publish", {"a": b"1"}, build, metadata=named)
    assert version.build == build
    assert version.metadata.params["bs"].int_value == 16
    assert version.metadata.params["lr"].double_value == 0.1
    assert dict(version.metadata.metrics) == {"loss": 2.0, "f1": 0.5}
    assert dict(version.metadata.tags) == {"git": "abc"}
    assert wire.build(build).versions == [version.name]
    wire.finish(build)
    get = reg.GetVersionRequest(name=version.name)
    wait_until(lambda: wire.registry.GetVersion(get, timeout=LIMIT).version.log_digest, what="the sealed log")
    assert wire.registry.GetVersion(get, timeout=LIMIT).version.log_digest == wire.build(build).log_digest


def test_publishing_into_a_build_of_another_model_or_one_that_ended_is_refused(wire: Wire) -> None:
    build = wire.create_build("b/mine")
    with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT") as _:
        wire.start("b/other", build)
    with wire.refused("NOT_FOUND", "NOT_FOUND"):
        wire.start("b/mine", f"{name_of('b/mine')}/builds/99")
    upload = wire.start("b/mine", build)
    wire.write_file(upload, "a", b"1")
    wire.finish(build)
    with wire.refused("FAILED_PRECONDITION", "BUILD_ENDED"):
        wire.commit(upload)
    assert not wire.versions("b/mine")


def test_cancel_reaches_the_publisher_and_is_idempotent(wire: Wire) -> None:
    build = wire.create_build("b/cancel")
    beat = bld.HeartbeatRequest(build=build)
    assert not wire.builds.Heartbeat(beat, timeout=LIMIT).cancel_requested
    for _ in range(2):
        cancelled = wire.builds.CancelBuild(bld.CancelBuildRequest(name=build), timeout=LIMIT).build
        assert (cancelled.state, cancelled.cancel_requested) == (bld.BUILD_STATE_RUNNING, True)
    assert wire.builds.Heartbeat(beat, timeout=LIMIT).cancel_requested
    acks = wire.builds.AppendLog(iter([bld.AppendLogRequest(build=build)]), timeout=LIMIT)
    assert all(ack.cancel_requested for ack in acks)
    wire.finish(build, bld.BUILD_STATE_CANCELLED)
    wire.builds.CancelBuild(bld.CancelBuildRequest(name=build), timeout=LIMIT)
    done = wire.create_build("b/cancel")
    wire.finish(done)
    with wire.refused("FAILED_PRECONDITION", "BUILD_ENDED"):
        wire.builds.CancelBuild(bld.CancelBuildRequest(name=done), timeout=LIMIT)


def test_a_build_whose_publisher_vanishes_is_lost(start_server: Callable[..., Server]) -> None:
    with Wire(start_server("--build-lease", "0.4")) as wire:
        silent, alive = wire.create_build("b/lost"), wire.create_build("b/lost")
        start_step(wire, silent, "train")
        seen = wire.builds.WatchBuild(bld.WatchBuildRequest(build=silent), timeout=LIMIT)

        def lost() -> bool:
            wire.builds.Heartbeat(bld.HeartbeatRequest(build=alive), timeout=LIMIT)
            return wire.build(silent).state == bld.BUILD_STATE_LOST

        wait_until(lost, what="LOST")
        assert wire.build(alive).state == bld.BUILD_STATE_RUNNING
        ended = wire.build(silent)
        assert ended.reason
        assert ended.steps[0].state == bld.STEP_STATE_CANCELLED
        last = list(seen)[-1]
        assert (last.final, last.build.state) == (True, bld.BUILD_STATE_LOST)


def test_watch_shows_a_snapshot_then_changes_then_the_end(wire: Wire) -> None:
    build = wire.create_build("b/watch")
    start_step(wire, build, "fetch")
    log_metrics(wire, build, ("loss", 3.0, 1))
    call = wire.builds.WatchBuild(bld.WatchBuildRequest(build=build), timeout=LIMIT)
    first = next(call)
    assert first.build.state == bld.BUILD_STATE_RUNNING
    assert [(step.number, step.name) for step in first.steps] == [(1, "fetch")]
    assert [point.value for point in first.metrics] == [3.0]
    finish_step(wire, build, 1)
    change = next(call)
    assert change.seq > first.seq
    assert [(step.number, step.state) for step in change.steps] == [(1, bld.STEP_STATE_SUCCEEDED)]
    assert not change.metrics
    wire.append(build, lines(1, b"x", b"y"))
    assert next(call).log_seq == 2
    wire.finish(build)
    rest = list(call)
    assert rest[-1].final
    assert rest[-1].build.state == bld.BUILD_STATE_SUCCEEDED
    for after in (rest[-1].seq + 10, 2**63, 2**64 - 1):
        with wire.refused("OUT_OF_RANGE", "OUT_OF_RANGE"):
            watch(wire, build, after)


def test_a_watch_that_resumes_sees_every_point_once_and_every_step(wire: Wire) -> None:
    build = wire.create_build("b/resume")
    start_step(wire, build, "early")
    expected = []
    for batch in range(5):
        points = [("loss", float(i), i) for i in range(batch * 900, batch * 900 + 900)]
        log_metrics(wire, build, *points)
        expected += [value for _, value, _ in points]
    start_step(wire, build, "late")
    wire.finish(build, bld.BUILD_STATE_FAILED, "why")
    whole = watch(wire, build)
    assert [point.value for message in whole for point in message.metrics] == expected
    assert {step.name for message in whole for step in message.steps} == {"early", "late"}
    assert [message.build.reason for message in whole if message.HasField("build")][-1] == "why"
    seen: list[float] = []
    steps: set[str] = set()
    after, final = 0, False
    while not final:  # a connection that breaks after every message
        call = wire.builds.WatchBuild(bld.WatchBuildRequest(build=build, after_seq=after), timeout=LIMIT)
        message = next(call)
        call.cancel()
        after, final = message.seq, message.final
        seen += [point.value for point in message.metrics]
        steps |= {step.name for step in message.steps}
    assert seen == expected
    assert steps == {"early", "late"}


def test_the_end_of_a_build_ends_its_steps_in_the_same_message(wire: Wire) -> None:
    build = wire.create_build("b/endsteps")
    start_step(wire, build, "train")
    call = wire.builds.WatchBuild(bld.WatchBuildRequest(build=build), timeout=LIMIT)
    next(call)
    wire.finish(build, bld.BUILD_STATE_FAILED)
    states = {}
    for message in call:
        states |= {step.number: step.state for step in message.steps}
    assert states == {1: bld.STEP_STATE_CANCELLED}


def test_quiet_streams_carry_heartbeats(start_server: Callable[..., Server]) -> None:
    with Wire(start_server("--heartbeat", "0.1")) as wire:
        build = wire.create_build("b/quiet")
        wire.append(build, lines(1, b"x"))
        log = wire.builds.ReadLog(bld.ReadLogRequest(build=build, follow=True), timeout=LIMIT)
        assert [line.seq for line in next(log).lines] == [1]
        beats = [next(log) for _ in range(3)]
        assert [(len(beat.lines), beat.seq) for beat in beats] == [(0, 1)] * 3
        watched = wire.builds.WatchBuild(bld.WatchBuildRequest(build=build), timeout=LIMIT)
        seq = next(watched).seq
        for _ in range(3):
            beat = next(watched)
            assert beat == bld.WatchBuildResponse(seq=seq)
        log.cancel()
        watched.cancel()


def test_unknown_builds_are_not_found_and_bad_names_refused(wire: Wire) -> None:
    missing = f"{name_of('b/unknown')}/builds/1"
    for name, code, reason in (
        (missing, "NOT_FOUND", "NOT_FOUND"),
        ("", "INVALID_ARGUMENT", "NAME_INVALID"),
        (missing + "\n", "INVALID_ARGUMENT", "NAME_INVALID"),
        (missing.replace("/1", "/0"), "INVALID_ARGUMENT", "NAME_INVALID"),
        (missing.replace("/1", "/" + "9" * 30), "INVALID_ARGUMENT", "NAME_INVALID"),
    ):
        calls = (
            wire.build,
            wire.finish,
            lambda name: start_step(wire, name, "s"),
            lambda name: finish_step(wire, name, 1),
            lambda name: log_metrics(wire, name, ("a", 1.0, 1)),
            lambda name: wire.append(name, lines(1, b"x")),
            wire.log,
            lambda name: watch(wire, name),
            lambda name: wire.builds.CancelBuild(bld.CancelBuildRequest(name=name), timeout=LIMIT),
            lambda name: wire.builds.Heartbeat(bld.HeartbeatRequest(build=name), timeout=LIMIT),
            lambda name: wire.builds.LogParams(bld.LogParamsRequest(build=name), timeout=LIMIT),
        )
        for call in calls:
            with wire.refused(code, reason):
                call(name)
