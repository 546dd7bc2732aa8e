"""Metrics and params that cannot be, by raw calls: each has its documented code, and nothing of the call is kept."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from server.series import define, evaluate, log, read, stub, summaries
from server.wire import LIMIT, Wire

from regsvc.v1 import build_pb2 as bld
from regsvc.v1 import metric_pb2 as pb
from regsvc.v1 import registry_pb2 as reg

FIRST, LAST = -(1 << 63), (1 << 63) - 1
HUGE = "k" * 10_000_000
BAD_KEYS = ["", "k" * 251, "é" * 126, "a\nb", "a\x00b", "a\x1b[2J", "a\x85b"]


def test_a_build_is_not_created_with_metrics_finite_or_not(wire: Wire) -> None:
    for value in (0.5, math.nan, math.inf, -math.inf):
        with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
            wire.create_build("bad/created", metadata=reg.VersionMetadata(metrics={"f1": value}))
    assert wire.create_build("bad/created").endswith("/builds/1"), "what is refused takes no number"


@pytest.mark.parametrize("key", BAD_KEYS)
def test_a_bad_key_keeps_the_whole_call_out(wire: Wire, key: str) -> None:
    model = f"bad/key{BAD_KEYS.index(key)}"
    build = wire.create_build(model)
    version = wire.push(model, {"a": b"1"}).name
    good = bld.MetricPoint(key="good", value=1.0)
    points = [good, bld.MetricPoint(key=key, value=1.0)]
    with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
        wire.builds.LogMetrics(bld.LogMetricsRequest(build=build, points=points), timeout=LIMIT)
    with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
        evaluate(wire, version, "nightly", **{"good": 1.0, key: 1.0})
    param = {key: reg.ParamValue(int_value=1)}
    with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
        wire.builds.LogParams(bld.LogParamsRequest(build=build, params=param), timeout=LIMIT)
    upload = wire.start(model)
    wire.write_file(upload, "a", b"2")
    for metadata in (reg.VersionMetadata(params=param), reg.VersionMetadata(metrics={key: 1.0})):
        with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
            wire.commit(upload, metadata=metadata)
    assert summaries(wire, build) == summaries(wire, version) == {}
    assert not wire.build(build).metadata.params
    assert wire.commit(upload).number == 2, "the upload is as it was"


HUGE_CALLS: dict[str, Callable[[Wire, str, str], object]] = {
    "LogMetrics": lambda wire, build, _: log(wire, build, [(HUGE, 0, 1.0)]),
    "AddEvaluation": lambda wire, _, version: evaluate(wire, version, "nightly", **{HUGE: 1.0}),
    "AddEvaluation.source": lambda wire, _, version: evaluate(wire, version, HUGE, f1=1.0),
    "ReadSeries": lambda wire, build, _: read(wire, build, HUGE),
    "DefineMetric": lambda wire, *_: define(wire, "bad/huge", HUGE, 1),
    "LogParams": lambda wire, build, _: wire.builds.LogParams(
        bld.LogParamsRequest(build=build, params={HUGE: reg.ParamValue(int_value=1)}), timeout=LIMIT
    ),
    "CreateBuild": lambda wire, *_: wire.create_build(
        "bad/huge", metadata=reg.VersionMetadata(params={HUGE: reg.ParamValue(int_value=1)})
    ),
}


@pytest.mark.parametrize("call", HUGE_CALLS)
def test_a_key_of_10_mb_is_more_than_a_message_holds(wire: Wire, call: str) -> None:
    build = wire.create_build("bad/huge")
    version = wire.push("bad/huge", {"a": b"1"}).name
    with wire.refused("RESOURCE_EXHAUSTED"):
        HUGE_CALLS[call](wire, build, version)
    log(wire, build, [("loss", 1, 0.5)])
    assert list(summaries(wire, build)) == [("", "loss")]
    assert summaries(wire, version) == {}


def test_steps_of_evaluations_may_be_any_of_64_bits_in_any_order_and_twice(wire: Wire) -> None:
    version = wire.push("bad/steps", {"a": b"1"}).name
    steps = [5, LAST, -1, FIRST, 0, 5, -1, FIRST + 1]
    points = [pb.EvaluationPoint(key="f1", value=place, step=step) for place, step in enumerate(steps)]
    request = pb.AddEvaluationRequest(version=version, source="nightly", points=points)
    stub(wire).AddEvaluation(request, timeout=LIMIT)
    came = [(step, float(place)) for place, step in enumerate(steps)]
    assert read(wire, version, "f1", source="nightly") == sorted(came, key=lambda point: point[0])
    summary = summaries(wire, version)["nightly", "f1"]
    assert (summary.count, summary.first_step, summary.last_step) == (8, 5, FIRST + 1)
    assert (summary.min_step, summary.max_step) == (5, FIRST + 1)


def test_an_evaluation_of_what_is_no_version_is_refused(wire: Wire) -> None:
    build = wire.create_build("bad/versions")
    model = "namespaces/bad/models/versions"
    for version in (
        f"{model}/versions/1",
        f"{model}/aliases/prod",
        f"{model}/versions/b3:{'0' * 64}",
        "namespaces/bad/models/none/versions/1",
    ):
        with wire.refused("NOT_FOUND", "NOT_FOUND"):
            evaluate(wire, version, "nightly", f1=0.5)
    for version in (build, "", "versions/1", f"{model}/versions/0", f"{model}/versions/{LAST}"):
        with wire.refused("INVALID_ARGUMENT", "NAME_INVALID"):
            evaluate(wire, version, "nightly", f1=0.5)
    with wire.refused("NOT_FOUND", "NOT_FOUND"):
        wire.registry.GetModel(reg.GetModelRequest(name="namespaces/bad/models/none"), timeout=LIMIT)


@pytest.mark.parametrize("source", ["", "s" * 101, "é" * 51, "a\nb", "a\x1b[2J"])
def test_a_source_that_is_no_name_is_told_as_such(wire: Wire, source: str) -> None:
    version = wire.push("bad/sources", {"a": b"1"}).name
    with wire.refused("INVALID_ARGUMENT", "NAME_INVALID") as metadata:
        evaluate(wire, version, source, f1=0.5)
    assert set(metadata) == {"source"}
    assert summaries(wire, version) == {}


def test_points_of_an_evaluation_outside_1970_to_9999_are_refused(wire: Wire) -> None:
    version = wire.push("bad/times", {"a": b"1"}).name
    for seconds in (-1, -(2**62), 2**62, 253_402_300_800):
        points = [pb.EvaluationPoint(key="f1", value=1.0), pb.EvaluationPoint(key="f1", value=1.0)]
        points[1].time.seconds = seconds
        request = pb.AddEvaluationRequest(version=version, source="nightly", points=points)
        with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
            stub(wire).AddEvaluation(request, timeout=LIMIT)
    assert summaries(wire, version) == {}


def test_points_for_a_build_that_has_ended_or_never_was_are_refused(wire: Wire) -> None:
    build = wire.create_build("bad/ended")
    log(wire, build, [("loss", 1, 0.5)])
    wire.finish(build)
    with wire.refused("FAILED_PRECONDITION", "BUILD_ENDED") as metadata:
        log(wire, build, [("loss", 2, 0.25)])
    assert metadata["state"] == "SUCCEEDED"
    with wire.refused("NOT_FOUND", "NOT_FOUND"):
        log(wire, build.replace("/builds/1", "/builds/2"), [("loss", 2, 0.25)])
    assert read(wire, build, "loss") == [(1, 0.5)]
