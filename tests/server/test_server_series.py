"""Metrics over time on the wire: summaries that fit the points, few points that show the shape, evaluations."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from server.wire import LIMIT, Wire

from regsvc.v1 import build_pb2 as bld
from regsvc.v1 import metric_pb2 as pb
from regsvc.v1 import metric_pb2_grpc
from regsvc.v1 import registry_pb2 as reg

NUMBERS = itertools.count()


def stub(wire: Wire) -> metric_pb2_grpc.MetricServiceStub:
    """MetricService."""
    return metric_pb2_grpc.MetricServiceStub(wire.channel)


def log(wire: Wire, build: str, points: Sequence[tuple[str, int, float]]) -> None:
    """LogMetrics of (key, step, value), a thousand at a time."""
    for start in range(0, len(points), 1000):
        some = [
            bld.MetricPoint(key=key, step=step, value=value)
            for key, step, value in points[start : start + 1000]
        ]
        wire.builds.LogMetrics(bld.LogMetricsRequest(build=build, points=some), timeout=LIMIT)


def read(wire: Wire, parent: str, key: str, **fields: object) -> list[tuple[int, float]]:
    """ReadSeries."""
    request = pb.ReadSeriesRequest(parent=parent, key=key, **fields)  # type: ignore[arg-type]
    return [
        (point.step, point.value)
        for message in stub(wire).ReadSeries(request, timeout=LIMIT)
        for point in message.points
    ]


def summaries(wire: Wire, parent: str) -> dict[tuple[str, str], pb.SeriesSummary]:
    """ListSeries by (source, key)."""
    found = stub(wire).ListSeries(pb.ListSeriesRequest(parent=parent), timeout=LIMIT).series
    return {(each.source, each.key): each for each in found}


def evaluate(wire: Wire, version: str, source: str, request_id: str = "", **metrics: float) -> None:
    """AddEvaluation."""
    points = [pb.EvaluationPoint(key=key, value=value, step=7) for key, value in metrics.items()]
    request = pb.AddEvaluationRequest(version=version, source=source, points=points, request_id=request_id)
    stub(wire).AddEvaluation(request, timeout=LIMIT)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.lists(
            st.tuples(
                st.sampled_from(["a", "b"]),
                st.integers(-5, 5),
                st.floats(allow_nan=False, allow_infinity=False),
            ),
            min_size=1,
            max_size=8,
        ),
        min_size=1,
        max_size=5,
    )
)
def test_summaries_are_those_of_the_points_however_they_came(
    wire: Wire, batches: list[list[tuple[str, int, float]]]
) -> None:
    build = wire.create_build(f"series/p{next(NUMBERS)}")
    for batch in batches:
        log(wire, build, batch)
    points = [point for batch in batches for point in batch]

    found = summaries(wire, build)

    assert {key for _, key in found} == {key for key, _, _ in points}
    for (_, key), summary in found.items():
        own = [(step, value) for name, step, value in points if name == key]
        values = [value for _, value in own]
        assert (summary.count, summary.min, summary.max) == (len(own), min(values), max(values))
        assert (summary.last_step, summary.last) == own[-1]
        assert read(wire, build, key) == sorted(own, key=lambda point: point[0])


def test_a_long_series_is_read_whole_or_by_few_points_that_show_its_shape(wire: Wire) -> None:
    build = wire.create_build("series/long")
    values = np.sin(np.arange(25_000) / 500)
    values[12_345] = 40.0
    log(wire, build, [("wave", step, float(value)) for step, value in enumerate(values)])

    whole = read(wire, build, "wave")
    few = read(wire, build, "wave", max_points=200)

    assert whole == list(enumerate(values))
    assert len(few) == 200
    assert (few[0], few[-1]) == (whole[0], whole[-1])
    assert set(few) <= set(whole)
    assert (12_345, 40.0) in few, "a spike is what a picture is looked at for"
    assert [step for step, _ in few] == sorted(step for step, _ in few)
    assert read(wire, build, "wave", max_points=30_000) == whole


def test_equal_steps_are_thinned_too(wire: Wire) -> None:
    build = wire.create_build("series/equal")
    log(wire, build, [("m", 0, float(number % 7)) for number in range(1000)])
    assert len(read(wire, build, "m", max_points=10)) == 10


def test_evaluations_are_added_under_their_source_and_change_nothing_sealed(wire: Wire) -> None:
    build = wire.create_build("series/evaluated")
    log(wire, build, [("f1", 1, 0.5), ("f1", 2, 0.75)])
    version = wire.push("series/evaluated", {"a": b"1"}, build=build)

    evaluate(wire, version.name, "nightly", f1=0.5, loss=0.25)
    evaluate(wire, version.name, "nightly", f1=0.875)
    evaluate(wire, version.name, "production", request_id="once", f1=0.125)
    evaluate(wire, version.name, "production", request_id="once", f1=0.125)

    found = summaries(wire, version.name)
    assert {key: (each.count, each.last) for key, each in found.items()} == {
        ("", "f1"): (2, 0.75),
        ("nightly", "f1"): (2, 0.875),
        ("nightly", "loss"): (1, 0.25),
        ("production", "f1"): (1, 0.125),
    }
    assert read(wire, version.name, "f1") == [(1, 0.5), (2, 0.75)]
    assert read(wire, version.name, "f1", source="nightly") == [(7, 0.5), (7, 0.875)]
    now = wire.registry.GetVersion(reg.GetVersionRequest(name=version.name), timeout=LIMIT).version
    assert now.metadata == version.metadata
    assert now.record_digest == version.record_digest


def test_a_watcher_gets_each_point_once_across_a_reconnect(wire: Wire) -> None:
    build = wire.create_build("series/watched")
    log(wire, build, [("m", step, float(step)) for step in range(2500)])
    seen, seq = [], 0
    while len(seen) < 2500:  # a new stream for each message
        watch = wire.builds.WatchBuild(bld.WatchBuildRequest(build=build, after_seq=seq), timeout=LIMIT)
        message = next(watch)
        seen += [point.step for point in message.metrics]
        seq = message.seq
        watch.cancel()
    assert seen == list(range(2500))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_refused_by_name_and_nothing_is_kept(wire: Wire, value: float) -> None:
    version = wire.push("series/finite", {"a": b"1"})
    with wire.refused("INVALID_ARGUMENT", "METRIC_NOT_FINITE") as metadata:
        evaluate(wire, version.name, "nightly", good=1.0, bad=value)
    assert metadata["key"] == "bad"
    assert summaries(wire, version.name) == {}


def test_evaluations_that_cannot_be_are_refused(wire: Wire) -> None:
    version = wire.push("series/refused", {"a": b"1"})
    with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
        evaluate(wire, version.name, "nightly")
    with wire.refused("INVALID_ARGUMENT", "NAME_INVALID"):
        evaluate(wire, version.name, "", f1=1.0)
    with wire.refused("INVALID_ARGUMENT", "NAME_INVALID"):
        evaluate(wire, version.name, "a\nb", f1=1.0)
    with wire.refused("NOT_FOUND", "NOT_FOUND"):
        evaluate(wire, version.name[:-1] + "9", "nightly", f1=1.0)
    with wire.refused("RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"):
        evaluate(wire, version.name, "nightly", **{f"m{number}": 1.0 for number in range(1001)})
    for part in range(2):
        evaluate(wire, version.name, f"many{part}", **{f"m{number}": 1.0 for number in range(1000)})
    with wire.refused("RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"):
        evaluate(wire, version.name, "one-more", f1=1.0)
    with wire.refused("NOT_FOUND", "NOT_FOUND"):
        read(wire, version.name, "nothing")
    with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
        read(wire, version.name, "m1", source="many0", max_points=1)
