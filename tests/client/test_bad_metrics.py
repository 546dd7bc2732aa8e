"""Metrics and params that cannot be, by the SDK and the command line: told by name, and nothing is kept."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support import Server

import regsvc
from regsvc import errors
from regsvc.client.client import Client

NO_NUMBERS = ["nan", "inf", "-inf", "1e999"]
HUGE = "k" * 10_000_000


@pytest.fixture
def client(shared_server: Server) -> Iterator[Client]:
    with regsvc.connect(shared_server.endpoint) as client:
        yield client


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    file = tmp_path / "w"
    file.write_bytes(b"w")
    return file


@pytest.mark.parametrize("number", NO_NUMBERS)
def test_the_sdk_refuses_what_is_not_finite_wherever_it_is_given(
    client: Client, weights: Path, number: str
) -> None:
    model, bad = f"bad/sdk{NO_NUMBERS.index(number)}", {"good": 1.0, "bad": float(number)}
    reference = client.push(weights, model).reference
    with pytest.raises(errors.MetricNotFinite, match="'bad'"):
        client.push(weights, model, metrics=bad)
    with pytest.raises(errors.MetricNotFinite, match="'bad'"):
        client.evaluate(reference, "nightly", bad)
    with pytest.raises(errors.MetricNotFinite, match="'bad'"):
        client.evaluate(reference, "nightly", {"bad": {1: 1.0, 2: float(number)}})
    with client.build(model) as build, pytest.raises(errors.MetricNotFinite, match="'bad'"):
        build.log_metrics(bad)
    assert client.metrics(reference) == client.metrics(build.name) == []
    assert [version.number for version in client.versions(model)] == [1]


@pytest.mark.parametrize("number", NO_NUMBERS)
def test_the_command_line_refuses_what_is_not_finite_in_one_line(
    shared_server: Server, client: Client, weights: Path, tmp_path: Path, number: str
) -> None:
    model = f"bad/cli{NO_NUMBERS.index(number)}"
    reference = client.push(weights, model).reference
    table, objects = tmp_path / "p.csv", tmp_path / "p.jsonl"
    table.write_text(f"key,value\ngood,1\nbad,{number}\n")
    spelled = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(number, number)
    objects.write_text(f'{{"key": "good", "value": 1}}\n{{"key": "bad", "value": {spelled}}}\n')
    for arguments, told in (
        (("push", str(weights), model, "--metric", "good=1", "--metric", f"bad={number}"), ""),
        (("evaluate", reference, "nightly", "--metric", "good=1", "--metric", f"bad={number}"), ""),
        (("evaluate", reference, "nightly", "--file", str(table)), "p.csv, line 3: "),
        (("evaluate", reference, "nightly", "--file", str(objects)), "p.jsonl, line 2: "),
    ):
        done = shared_server.cli(*arguments, check=False)
        assert done.returncode == 1
        [line] = done.stderr.splitlines()
        assert f"{told}metric 'bad' is " in line
    assert client.metrics(reference) == []
    assert [version.number for version in client.versions(model)] == [1]


def test_a_script_in_a_build_sees_the_error_and_may_go_on(shared_server: Server, client: Client) -> None:
    script = (
        "import regsvc\n"
        "build = regsvc.current_build()\n"
        "for value in (float('nan'), float('inf'), 10**400, 'much', None):\n"
        "    try: build.log_metric('loss', value)\n"
        "    except regsvc.errors.InvalidArgument as error: print(type(error).__name__, error.message)\n"
        "build.log_metric('loss', 0.5)\n"
    )
    run = ("build", "run", "bad/script", "--", sys.executable, "-c", script)
    told = [line for line in shared_server.cli(*run).stdout.splitlines() if line]
    assert [line.split(" ")[0] for line in told] == ["MetricNotFinite"] * 2 + ["InvalidArgument"] * 3
    assert all("'loss'" in line for line in told)
    [series] = client.metrics("bad/script/builds/1")
    assert (series.count, series.last) == (1, 0.5)


def test_steps_may_come_in_any_order_twice_and_below_0(client: Client, weights: Path) -> None:
    steps = [3, -(1 << 63), 3, (1 << 63) - 1, -1, 0]
    with client.build("bad/steps") as build:
        for place, step in enumerate(steps):
            build.log_metric("loss", place, step=step)
        reference = build.publish(weights).reference
    client.evaluate(reference, "nightly", {"loss": dict.fromkeys(steps, 0.5)})
    points = [(point.step, point.value) for point in client.series(reference, "loss")]
    came = [(step, float(place)) for place, step in enumerate(steps)]
    assert points == sorted(came, key=lambda point: point[0])
    evaluated = [point.step for point in client.series(reference, "loss", source="nightly")]
    assert evaluated == sorted(set(steps))
    for step in (1 << 63, -(1 << 63) - 1, "third", None):
        with pytest.raises(errors.InvalidArgument, match="is no integer of 64 bits"):
            client.evaluate(reference, "nightly", {"loss": 1.0}, step=step)  # type: ignore[arg-type]


def test_100_000_params_in_one_call_are_refused_and_the_push_may_be_repeated(
    client: Client, weights: Path
) -> None:
    many = {f"p{number}": number for number in range(100_000)}
    with pytest.raises(errors.ResourceExhausted, match="100000 params"):
        client.push(weights, "bad/many", params=many)
    with pytest.raises(errors.ResourceExhausted, match="100000 params"):
        client.build("bad/many", params=many)
    with client.build("bad/many", params=dict(list(many.items())[:2_000])) as build:
        pass
    assert build.name == "bad/many/builds/1"
    assert len(client.get_build(build.name).params) == 2_000
    assert client.push(weights, "bad/many").reference == "bad/many:1"


def test_what_is_10_mb_long_is_refused_at_the_call_by_name(client: Client, weights: Path) -> None:
    reference = client.push(weights, "bad/long").reference
    with client.build("bad/long") as build:
        for wrong in (
            lambda: build.log_metric(HUGE, 1.0),
            lambda: build.log_param(HUGE, 1),
            lambda: build.log_param("p", HUGE),
            lambda: client.push(weights, "bad/long", params={"p": HUGE}),
            lambda: client.push(weights, "bad/long", params={HUGE: 1}),
            lambda: client.push(weights, "bad/long", metrics={HUGE: 1.0}),
            lambda: client.build("bad/long", params={"p": HUGE}),
            lambda: client.evaluate(reference, "nightly", {HUGE: 1.0}),
            lambda: client.define_metric("bad/long", HUGE, "higher"),
        ):
            with pytest.raises(errors.InvalidArgument) as refused:
                wrong()  # type: ignore[no-untyped-call]
            assert len(refused.value.message) < 300, "the name is cut"
        for wrong in (
            lambda: client.evaluate(reference, HUGE, {"f1": 1.0}),
            lambda: client.series(reference, HUGE),
        ):
            with pytest.raises((errors.InvalidArgument, errors.ResourceExhausted)) as refused:
                wrong()  # type: ignore[no-untyped-call]
            assert len(refused.value.message) < 300
        build.log_metric("loss", 0.5)
    assert client.get_build(build.name).metrics == {"loss": 0.5}
    assert client.metrics(reference) == []


def test_an_evaluation_of_what_is_no_version_is_refused_in_one_line(
    shared_server: Server, client: Client, weights: Path, tmp_path: Path
) -> None:
    client.push(weights, "bad/evaluated")
    points = tmp_path / "p.csv"
    points.write_text("key,value\nf1,1\n")
    for reference, status in (
        ("bad/evaluated:2", 1),
        ("bad/evaluated@prod", 1),
        (f"bad/evaluated@b3:{'0' * 64}", 1),
        ("bad/none", 1),
        ("bad/evaluated/builds/1", 1),
    ):
        for given in (("--metric", "f1=1"), ("--file", str(points))):
            done = shared_server.cli("evaluate", reference, "nightly", *given, check=False)
            assert done.returncode == status
            assert len(done.stderr.splitlines()) == 1
    with pytest.raises(errors.NotFound, match="bad/evaluated:2"):
        client.evaluate("bad/evaluated:2", "nightly", {"f1": 1.0})
    for time in (datetime(1969, 12, 31, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC)):
        with pytest.raises(errors.InvalidArgument, match="1970"):
            client.evaluate("bad/evaluated", "nightly", {"f1": 1.0}, time=time)
    assert client.metrics("bad/evaluated") == []


def test_values_that_are_no_numbers_are_a_usage_error(shared_server: Server) -> None:
    for value in ("f1=much", "f1=", "f1", "=1"):
        done = shared_server.cli("evaluate", "bad/m", "nightly", "--metric", value, check=False)
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
