"""Metrics over time on the wire: summaries that fit the points, few points that show the shape, evaluations."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from server.series import (
    HIGHER,
    LOWER,
    UNSPECIFIED,
    define,
    definitions,
    evaluate,
    log,
    read,
    summaries,
)
from server.wire import LIMIT, Wire, name_of

from regsvc.v1 import build_pb2 as bld
from regsvc.v1 import compare_pb2, compare_pb2_grpc
from regsvc.v1 import event_pb2 as ev
from regsvc.v1 import registry_pb2 as reg

NUMBERS = itertools.count()


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
        assert (summary.first_step, summary.first) == own[0]
        assert (summary.last_step, summary.last) == own[-1]
        assert summary.min_step == own[values.index(min(values))][0], "of several the one that came first"
        assert summary.max_step == own[values.index(max(values))][0]
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


def test_the_best_value_is_by_the_defined_direction_else_by_the_name(wire: Wire) -> None:
    build = wire.create_build("series/best")
    points = [(1, 3.0), (2, 1.0), (3, 2.0)]
    log(wire, build, [(key, *point) for key in ("loss", "f1", "cost_saved", "odd") for point in points])

    def best(parent: str) -> dict[str, tuple[int, float, int] | None]:
        return {
            key: (each.direction, each.best, each.best_step) if each.HasField("best") else None
            for (_, key), each in summaries(wire, parent).items()
        }

    guessed = {"loss": (LOWER, 1.0, 2), "f1": (HIGHER, 3.0, 1), "cost_saved": (LOWER, 1.0, 2), "odd": None}
    assert best(build) == guessed
    define(wire, "series/best", "cost_saved", HIGHER)
    define(wire, "series/best", "odd", LOWER)
    define(wire, "series/other", "loss", HIGHER)
    defined = {**guessed, "cost_saved": (HIGHER, 3.0, 1), "odd": (LOWER, 1.0, 2)}
    assert best(build) == defined
    version = wire.push("series/best", {"a": b"1"}, build=build)
    assert best(version.name) == defined
    define(wire, "series/best", "odd", UNSPECIFIED)
    define(wire, "series/best", "odd", UNSPECIFIED)
    assert best(build)["odd"] is None
    assert definitions(wire, "series/best") == {"cost_saved": HIGHER}


def test_compare_marks_the_best_by_the_definitions_of_the_first_model(wire: Wire) -> None:
    compare = compare_pb2_grpc.CompareServiceStub(wire.channel)
    names = [
        wire.push(model, {"a": b"1"}, metadata=reg.VersionMetadata(metrics={"cost_saved": value})).name
        for model, value in (("series/first", 1.0), ("series/second", 2.0))
    ]
    define(wire, "series/first", "cost_saved", HIGHER)

    def marked(*order: str) -> tuple[int, list[float]]:
        answer = compare.Compare(compare_pb2.CompareRequest(names=order), timeout=LIMIT)
        [row] = answer.metrics
        return row.direction, [cell.value for cell in row.values if cell.best]

    assert marked(*names) == (HIGHER, [2.0])
    assert marked(*reversed(names)) == (LOWER, [1.0])


def test_a_definition_is_one_event_and_makes_its_model(wire: Wire) -> None:
    watch = wire.events.WatchEvents(ev.WatchEventsRequest(), timeout=LIMIT)
    assert next(watch).created
    define(wire, "series/defined", "b", HIGHER, request_id="define-once")
    define(wire, "series/defined", "b", LOWER)
    define(wire, "series/defined", "b", HIGHER, request_id="define-once")
    define(wire, "series/defined", "b", LOWER)
    define(wire, "series/defined", "a", HIGHER)

    assert definitions(wire, "series/defined") == {"a": HIGHER, "b": LOWER}
    told = list(itertools.islice((event for message in watch for event in message.events), 4))
    watch.cancel()
    name = name_of("series/defined")
    assert [(event.kind, event.resource, dict(event.attributes)) for event in told] == [
        ("model.created", name, {}),
        ("metric.defined", name, {"key": "b", "direction": "HIGHER"}),
        ("metric.defined", name, {"key": "b", "direction": "LOWER"}),
        ("metric.defined", name, {"key": "a", "direction": "HIGHER"}),
    ]


def test_definitions_that_cannot_be_are_refused(wire: Wire) -> None:
    with wire.refused("NOT_FOUND", "NOT_FOUND"):
        definitions(wire, "series/undefined")
    for key in ("", "a\nb", "k" * 251):
        with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
            define(wire, "series/undefined", key, HIGHER)
    with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
        define(wire, "series/undefined", "a", 7)
    with wire.refused("INVALID_ARGUMENT", "NAME_INVALID"):
        define(wire, "series/Bad Name", "a", HIGHER)
    define(wire, "series/once", "a", HIGHER, request_id="define-reused")
    with wire.refused("INVALID_ARGUMENT", "REQUEST_ID_REUSED"):
        define(wire, "series/once", "a", LOWER, request_id="define-reused")
    with wire.refused("NOT_FOUND", "NOT_FOUND"):  # what is refused makes no model
        definitions(wire, "series/undefined")


def test_a_model_has_at_most_2000_definitions(wire: Wire) -> None:
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: define(wire, "series/many", f"m{number}", HIGHER), range(2000)))
    with wire.refused("RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"):
        define(wire, "series/many", "one-more", HIGHER)
    define(wire, "series/many", "m7", LOWER)
    assert len(definitions(wire, "series/many")) == 2000


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
