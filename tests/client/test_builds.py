"""A build as the code that makes a model sees it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from support import Server, wait_until

import regsvc
from regsvc import errors
from regsvc.client.builds import BuildCancelled, NoCurrentBuild
from regsvc.client.client import Client
from regsvc.client.connection import Connection
from regsvc.content.comparison import Direction
from regsvc.content.record import DatasetUse
from regsvc.refs import parse_build
from regsvc.v1 import build_pb2


@pytest.fixture
def client(shared_server: Server) -> Iterator[Client]:
    with regsvc.connect(shared_server.endpoint) as client:
        yield client


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(os.urandom(100_000))
    return folder


def end_elsewhere(client: Client, build: str, state: str = "FAILED") -> None:
    request = build_pb2.FinishBuildRequest(name=parse_build(build).wire, state=f"BUILD_STATE_{state}")
    with Connection(client.endpoint) as connection:
        connection.call(connection.builds.FinishBuild, request)


def points(client: Client, build: str) -> list[tuple[str, float, int]]:
    return [
        (point.key, point.value, point.step)
        for update in client.watch_build(build)
        for point in update.metrics
    ]


def test_a_build_records_params_metrics_steps_and_log(client: Client) -> None:
    with client.build("team/fraud", params={"seed": 7}, tags={"git": "abc"}, description="try") as build:
        with build.step("train"):
            build.log_param("lr", 1e-3)
            build.log_params({"layers": 3, "name": "tiny", "frozen": True})
            build.log_metric("loss", 0.3, step=1)
            build.log_metrics({"loss": 0.2, "f1": 0.8}, step=2)
            build.log("epoch 1")
    found = client.get_build(build.name)
    assert (found.state, found.reason, found.description) == ("SUCCEEDED", "", "try")
    assert found.params == {"seed": 7, "lr": 1e-3, "layers": 3, "name": "tiny", "frozen": True}
    assert found.metrics == {"loss": 0.2, "f1": 0.8}
    assert found.tags == {"git": "abc"}
    assert [(step.number, step.name, step.state) for step in found.steps] == [(1, "train", "SUCCEEDED")]
    assert found.ended is not None
    assert [(line.step, line.stream, line.text) for line in client.logs(build.name)] == [
        ("train", "log", "epoch 1")
    ]
    assert points(client, build.name) == [("loss", 0.3, 1), ("loss", 0.2, 2), ("f1", 0.8, 2)]


def test_data_that_a_build_logs_or_uses_is_in_its_record_and_in_that_of_its_version(
    client: Client, model: Path
) -> None:
    known = client.log_dataset(pl.DataFrame({"x": [1, 2, 3]}), "team/known")
    with client.build("team/data") as build:
        logged = build.log_dataset(
            pl.DataFrame({"x": [1, 2]}), "team/january", split="train", uri="s3://lake/x", begin="2026-01-01"
        )
        used = build.use_dataset(
            "team/known", split="test", filter="x > 1", end=datetime(2026, 2, 1, tzinfo=UTC)
        )
        published = build.publish(model)
    assert (used.reference, logged.rows) == (known.reference, 2)
    train, test = client.record(published.reference).record.datasets
    assert train == DatasetUse(
        "namespaces/team/datasets/january/versions/1", "train", "", "2026-01-01", "", logged.digest
    )
    assert (test.split, test.filter, test.end) == ("test", "x > 1", "2026-02-01T00:00:00+00:00")
    assert client.record(build.name).record.datasets == (train, test)
    users = {user.reference for user in client.dataset_users("team/known")}
    assert users == {build.name, published.reference}


def test_data_that_cannot_be_read_is_said_at_the_call_and_the_build_goes_on(
    client: Client, tmp_path: Path
) -> None:
    (tmp_path / "empty.csv").touch()
    with client.build("team/data") as build:
        with pytest.raises(errors.InvalidArgument, match="empty"):
            build.log_dataset(tmp_path / "empty.csv", "team/january")
        with pytest.raises(errors.NotFound):
            build.use_dataset("team/nowhere")
    assert client.get_build(build.name).state == "SUCCEEDED"
    assert not client.record(build.name).record.datasets


def test_a_block_that_raises_fails_its_step_and_build_with_the_reason(client: Client) -> None:
    with pytest.raises(ValueError, match="no data"):
        with client.build("team/fraud") as build, build.step("train"):
            raise ValueError("no data")
    found = client.get_build(build.name)
    assert (found.state, found.reason) == ("FAILED", "ValueError: no data")
    assert [(step.state, step.reason) for step in found.steps] == [("FAILED", "ValueError: no data")]


def test_ctrl_c_cancels(client: Client) -> None:
    with pytest.raises(KeyboardInterrupt):
        with client.build("team/fraud") as build, build.step("train"):
            raise KeyboardInterrupt
    found = client.get_build(build.name)
    assert (found.state, found.steps[0].state) == ("CANCELLED", "CANCELLED")


def test_a_cancel_from_elsewhere_ends_the_block(client: Client) -> None:
    build = client.build("team/fraud")

    def work() -> None:
        with build, build.step("train"):
            client.cancel_build(build.name)
            wait_until(lambda: build.cancel_requested, what="the session hears of the cancel")
            build.log("one more")

    with pytest.raises(BuildCancelled):
        work()
    found = client.get_build(build.name)
    assert (found.state, found.steps[0].state) == ("CANCELLED", "CANCELLED")


def test_a_build_that_ended_elsewhere_raises_at_the_next_call(client: Client) -> None:
    build = client.build("team/fraud")
    end_elsewhere(client, build.name)

    def refused() -> bool:
        try:
            build.log("still there?")
        except errors.BuildEnded:
            return True
        return False

    wait_until(refused, what="the session hears that its build has ended")
    with pytest.raises(errors.BuildEnded):
        build.log_metric("loss", 1.0)
    with pytest.raises(errors.BuildEnded):
        build.finish()


def test_a_metric_that_is_not_finite_is_refused_at_the_call(client: Client) -> None:
    with client.build("team/fraud") as build:
        for value in (float("nan"), float("inf"), float("-inf")):
            with pytest.raises(errors.MetricNotFinite):
                build.log_metrics({"good": 1.0, "loss": value})
        build.log_metric("loss", 0.5)
    assert client.get_build(build.name).metrics == {"loss": 0.5}


@pytest.mark.parametrize("step", [1 << 63, -(1 << 63) - 1, "third", None, float("inf")])
def test_a_step_that_is_none_is_refused_at_the_call(client: Client, step: object) -> None:
    with client.build("team/fraud") as build:
        with pytest.raises(errors.InvalidArgument, match="is no integer of 64 bits"):
            build.log_metric("loss", 0.25, step=step)  # type: ignore[arg-type]
        build.log_metric("loss", 0.5, step=(1 << 63) - 1)
    [series] = client.metrics(build.name)
    assert (series.count, series.last, series.last_step) == (1, 0.5, (1 << 63) - 1)


def test_a_direction_that_is_none_is_refused_at_the_call(client: Client) -> None:
    with client.build("team/directions") as build:
        for key, direction in (("saved", "up"), ("", "higher"), ("saved", 1)):
            with pytest.raises(errors.InvalidArgument):
                build.define_metric(key, direction)  # type: ignore[arg-type]
        build.define_metric("saved", "HIGHER")
        build.define_metric("saved", Direction.LOWER)
    assert client.metric_definitions("team/directions") == {"saved": Direction.LOWER}


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 101, "é" * 51, "\udc80"])
def test_a_bad_step_name_is_refused_at_the_call(client: Client, name: str) -> None:
    with client.build("team/fraud") as build:
        with pytest.raises(errors.InvalidArgument), build.step(name):
            pass
    assert client.get_build(build.name).steps == ()


@pytest.mark.parametrize(
    "params", [{"": 1}, {"k" * 251: 1}, {"a": [1]}, {"a": float("nan")}, {"a": 1 << 63}, {"a": "x" * 20_000}]
)
def test_bad_params_are_refused_at_the_call_and_none_of_them_recorded(
    client: Client, params: dict[str, object]
) -> None:
    with client.build("team/fraud") as build:
        with pytest.raises(errors.InvalidArgument):
            build.log_params({"good": 1, **params})
    assert client.get_build(build.name).params == {}


def test_a_line_belongs_to_the_innermost_step_that_is_open(client: Client) -> None:
    with client.build("team/fraud") as build:
        build.log("none")
        with build.step("outer"):
            build.log("outer")
            with build.step("inner"):
                build.log("inner")
            build.log("outer")
        build.log("none")
    assert [(line.step or "none", line.text) for line in client.logs(build.name)] == [
        (name, name) for name in ("none", "outer", "inner", "outer", "none")
    ]


def test_steps_of_one_name_each_get_a_number(client: Client) -> None:
    with client.build("team/fraud") as build:
        for _ in range(3):
            with build.step("epoch"):
                pass
    assert [(s.number, s.name) for s in client.get_build(build.name).steps] == [
        (n, "epoch") for n in (1, 2, 3)
    ]


def test_a_published_version_has_what_the_build_recorded(client: Client, model: Path) -> None:
    with client.build("team/published") as build:
        build.log_param("lr", 0.1)
        build.log_metric("f1", 0.7, step=1)
        build.log_metric("f1", 0.9, step=2)
        version = build.publish(model, aliases=["candidate"])
    found = client.get_build(build.name)
    assert found.versions == (version.reference,)
    assert version.build == build.name
    assert version.params == {"lr": 0.1}
    assert version.metrics == {"f1": 0.9}
    assert client.version("team/published@candidate").digest == version.digest


def test_builds_are_listed_newest_first(client: Client) -> None:
    names = []
    for _ in range(3):
        with client.build("team/listed") as build:
            names.append(build.name)
    assert [build.name for build in client.builds("team/listed")] == names[::-1]
    with pytest.raises(errors.NotFound):
        list(client.builds("team/never"))


def test_what_the_server_refuses_fails_the_build(client: Client) -> None:
    with Connection(client.endpoint) as connection:
        most = connection.capabilities().max_record_entries
    build = client.build("team/fraud")
    build.log_params({f"p{number}": number for number in range(most + 1)})
    build.log("the log still gets through")
    with pytest.raises(errors.ResourceExhausted):
        build.finish()
    found = client.get_build(build.name)
    assert found.state == "FAILED"
    assert "not everything was recorded" in found.reason
    assert [line.text for line in client.logs(build.name)] == ["the log still gets through"]


def test_closing_the_client_ends_its_builds_with_a_clear_error(shared_server: Server) -> None:
    with regsvc.connect(shared_server.endpoint) as client:
        build = client.build("team/fraud")
        build.log("line")
    wait_until(lambda: build.failure is not None, what="the session notices")
    with pytest.raises(errors.FailedPrecondition, match="client was closed"):
        build.log("another")
    build.close()


def test_finishing_again_does_nothing(client: Client) -> None:
    build = client.build("team/fraud")
    assert build.finish("FAILED", "why").state == "FAILED"
    assert build.finish("SUCCEEDED").state == "FAILED"


def test_training_goes_on_while_the_server_is_away(server: Server) -> None:
    with regsvc.connect(server.endpoint) as client:
        with client.build("team/fraud") as build:
            build.log("before")
            build.flush()
            server.kill()
            began = time.monotonic()
            with build.step("train"):
                for step in range(2500):
                    build.log_metric("loss", 1 / (step + 1), step=step)
                build.log("during")
                build.log_param("lr", 0.5)
                build.define_metric("cost_saved", "higher")
            assert time.monotonic() - began < 5
            server.start()
        found = client.get_build(build.name)
        assert (found.state, found.params) == ("SUCCEEDED", {"lr": 0.5})
        assert client.metric_definitions("team/fraud") == {"cost_saved": Direction.HIGHER}
        assert [(step.name, step.state) for step in found.steps] == [("train", "SUCCEEDED")]
        assert [(line.step, line.text) for line in client.logs(build.name)] == [
            ("", "before"),
            ("train", "during"),
        ]
        assert points(client, build.name) == [("loss", 1 / (step + 1), step) for step in range(2500)]


def test_metrics_come_once_and_in_order_through_restarts(server: Server) -> None:
    with regsvc.connect(server.endpoint) as client:
        with client.build("team/fraud") as build:
            for step in range(6000):
                build.log_metric("loss", step / 7, step=step)
                if step in (1000, 4000):
                    server.kill()
                    server.start()
                if step % 50 == 0:
                    time.sleep(0.001)  # so that points are on their way at every moment
        assert points(client, build.name) == [("loss", step / 7, step) for step in range(6000)]


PUBLISHER = """
import sys, time, regsvc
build = regsvc.connect(sys.argv[1]).build("team/lost")
build.log("started")
build.flush()
print(build.name, flush=True)
time.sleep(600)
"""


def test_a_build_whose_publisher_vanishes_is_lost(start_server: Callable[..., Server]) -> None:
    server = start_server("--build-lease", "2")
    publisher = subprocess.Popen(
        [sys.executable, "-c", PUBLISHER, server.endpoint], stdout=subprocess.PIPE, text=True
    )
    assert publisher.stdout is not None
    name = publisher.stdout.readline().strip()
    with regsvc.connect(server.endpoint) as client:
        assert client.get_build(name).state == "RUNNING"
        publisher.send_signal(signal.SIGKILL)
        publisher.wait()
        publisher.stdout.close()
        assert [line.text for line in client.logs(name, follow=True)] == ["started"]  # ends with the build
        assert client.get_build(name).state == "LOST"


def test_watching_a_build_ends_with_it_and_shows_its_steps(client: Client) -> None:
    with client.build("team/fraud") as build:
        with build.step("train"):
            build.log("line")
    updates = list(client.watch_build(build.name))
    assert updates[-1].final
    states = {step.name: step.state for update in updates for step in update.steps}
    assert states == {"train": "SUCCEEDED"}
    last = [update.build for update in updates if update.build is not None][-1]
    assert last.state == "SUCCEEDED"


def test_there_is_no_current_build_outside_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REGSVC_BUILD", raising=False)
    with pytest.raises(NoCurrentBuild, match="runs in no build"):
        regsvc.current_build()


def test_the_current_build_is_recorded_directly_where_the_socket_is_not(client: Client) -> None:
    build = client.build("team/fraud")
    script = (
        "import regsvc; build = regsvc.current_build(); build.log_param('lr', 0.1)\n"
        "build.define_metric('odd', 'lower')\n"
        "with build.step('train'): build.log_metric('loss', 0.5, step=3)"
    )
    env = {**os.environ, "REGSVC_BUILD": parse_build(build.name).wire, "REGSVC_ENDPOINT": build.endpoint}
    subprocess.run([sys.executable, "-c", script], env=env, check=True)
    found = client.get_build(build.name)
    assert (found.params, found.metrics) == ({"lr": 0.1}, {"loss": 0.5})
    assert client.metric_definitions("team/fraud")["odd"] is Direction.LOWER
    assert [(step.name, step.state) for step in found.steps] == [("train", "SUCCEEDED")]
    build.finish()
