"""Schedules and triggers of a real server, that is killed and started again."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from pysqlite3 import dbapi2 as sqlite
from server import automation as auto
from server.wire import LIMIT, Wire, name_of
from support import Server, wait_until

from regsvc.v1 import build_pb2 as bld
from regsvc.v1 import dataset_pb2, dataset_pb2_grpc, metric_pb2, metric_pb2_grpc, run_pb2
from regsvc.v1 import registry_pb2 as reg
from regsvc.v1 import template_pb2 as pb

QUEUED, FAILED = bld.BUILD_STATE_QUEUED, bld.BUILD_STATE_FAILED
YEARLY = "0 0 1 1 *"


def set_due(server: Server, seconds: float) -> None:
    """In a registry that is not running: every schedule fires in so many seconds."""
    with sqlite.connect(str(server.data / "catalog.sqlite")) as connection:
        at = time.time_ns() // 1000 + int(seconds * 1_000_000)
        connection.execute("UPDATE templates SET next_run_at = ? WHERE next_run_at IS NOT NULL", [at])
    connection.close()


def trigger(filter: str) -> dict[str, object]:
    return {"triggers": [pb.TemplateTrigger(filter=filter)]}


def evaluate(wire: Wire, version: str, **metrics: float) -> None:
    points = [metric_pb2.EvaluationPoint(key=key, value=value) for key, value in metrics.items()]
    request = metric_pb2.AddEvaluationRequest(version=version, source="check", points=points)
    metric_pb2_grpc.MetricServiceStub(wire.channel).AddEvaluation(request, timeout=LIMIT)


def set_alias(wire: Wire, model: str, version: str) -> None:
    request = reg.SetAliasRequest(name=f"{name_of(model)}/aliases/prod", version=version)
    wire.registry.SetAlias(request, timeout=LIMIT)


def settled(wire: Wire) -> None:
    """Everything that has happened has been looked at: a trigger has fired for what happened after it."""
    filter = 'kind == "template.set" && resource.endsWith("/mark")'
    auto.put(wire, "mark/er", **trigger(filter))
    number = len(auto.builds(wire, "mark/er"))
    auto.put(wire, "mark/er", "mark", description=str(time.time_ns()))
    wait_until(lambda: len(auto.builds(wire, "mark/er")) > number)
    auto.claim(wire, auto.builds(wire, "mark/er")[-1].name)


def test_a_schedule_fires_by_itself_and_once_over_kills(server: Server) -> None:
    with Wire(server) as wire:
        auto.put(wire, "sch/once", schedule=pb.TemplateSchedule(cron=YEARLY))
    server.kill()
    set_due(server, 2)
    server.start()
    with Wire(server) as wire:
        wait_until(lambda: auto.builds(wire, "sch/once"))
        [build] = auto.builds(wire, "sch/once")
        assert (build.state, build.run.trigger) == (QUEUED, "schedule")
        assert build.run.cause.endswith("Z")
        assert auto.get(wire, "sch/once").next_run_time.ToSeconds() > time.time() + 60
    for _ in range(2):
        server.kill()
        server.start()
    with Wire(server) as wire:
        settled(wire)
        assert len(auto.builds(wire, "sch/once")) == 1


@pytest.mark.parametrize(("policy", "count"), [("SKIP", 0), ("RUN_ONCE", 1)])
def test_what_was_missed_while_the_server_was_away(server: Server, policy: str, count: int) -> None:
    with Wire(server) as wire:
        schedule = pb.TemplateSchedule(cron=YEARLY, missed=f"MISSED_POLICY_{policy}")  # type: ignore[arg-type]
        auto.put(wire, "sch/missed", schedule=schedule)
    server.kill()
    set_due(server, -3600)
    for _ in range(2):
        server.start()
        with Wire(server) as wire:
            wait_until(lambda: auto.get(wire, "sch/missed").next_run_time.ToSeconds() > time.time())
            assert len(auto.builds(wire, "sch/missed")) == count
        server.kill()


def test_a_metric_out_of_bounds_queues_one_build_while_it_waits(server: Server) -> None:
    with Wire(server) as wire:
        version = wire.push("trg/model", {"w": b"1"}).name
        low = 'kind == "version.evaluated" && model == "trg/model" && double(attributes["metric.f1"]) < 0.6'
        auto.put(wire, "trg/retrain", **trigger(low))
        evaluate(wire, version, f1=0.9)
        evaluate(wire, version, auc=0.1)
        settled(wire)
        assert auto.builds(wire, "trg/retrain") == []
        evaluate(wire, version, f1=0.5)
        wait_until(lambda: auto.builds(wire, "trg/retrain"))
        evaluate(wire, version, f1=0.4)
        settled(wire)
        [build] = auto.builds(wire, "trg/retrain")
        assert (build.run.trigger, build.run.cause.isdigit()) == ("event", True)
        auto.claim(wire, build.name)
        evaluate(wire, version, f1=0.3)
        wait_until(lambda: len(auto.builds(wire, "trg/retrain")) == 2)
    server.kill()
    server.start()
    with Wire(server) as wire:
        settled(wire)
        assert len(auto.builds(wire, "trg/retrain")) == 2


def test_events_that_come_while_the_server_is_killed_over_and_over_queue_once_each(server: Server) -> None:
    with Wire(server) as wire:
        auto.put(wire, "trg/kills", **trigger('kind == "alias.set" && model == "trg/kills-of"'))
        versions = [wire.push("trg/kills-of", {"w": bytes([i])}).name for i in range(2)]
    for turn in range(4):
        with Wire(server) as wire:
            set_alias(wire, "trg/kills-of", versions[turn % 2])
        server.kill()  # before or after the trigger has looked
        server.start()
        with Wire(server) as wire:
            wait_until(lambda: len(auto.builds(wire, "trg/kills")) == turn + 1)  # noqa: B023
            auto.claim(wire, auto.builds(wire, "trg/kills")[-1].name)
    with Wire(server) as wire:
        settled(wire)
        found = auto.builds(wire, "trg/kills")
        assert len(found) == len({each.run.cause for each in found}) == 4


def test_a_template_does_not_run_itself(server: Server) -> None:
    with Wire(server) as wire:
        auto.put(wire, "trg/own", **trigger('model == "trg/own" && kind != "template.set"'))
        build = auto.start(wire, "trg/own").name
        auto.claim(wire, build)
        version = wire.push("trg/own", {"w": b"1"}, build).name
        wire.finish(build)
        set_alias(wire, "trg/own", version)
        evaluate(wire, version, f1=0.1)
        settled(wire)
        assert len(auto.builds(wire, "trg/own")) == 1
        other = wire.push("trg/own", {"w": b"2"}).name
        wait_until(lambda: len(auto.builds(wire, "trg/own")) == 2)
        assert other.endswith("/versions/2")


def test_a_paused_template_rests_and_what_happened_meanwhile_does_not_count(server: Server) -> None:
    with Wire(server) as wire:
        when = trigger('kind == "alias.set" && model == "trg/paused-of"')
        auto.put(wire, "trg/paused", paused=True, **when)
        version = wire.push("trg/paused-of", {"w": b"1"}).name
        other = wire.push("trg/paused-of", {"w": b"2"}).name
        set_alias(wire, "trg/paused-of", version)
        auto.put(wire, "trg/paused", **when)
        settled(wire)
        assert auto.builds(wire, "trg/paused") == []
        set_alias(wire, "trg/paused-of", other)
        wait_until(lambda: auto.builds(wire, "trg/paused"))
        assert auto.start(wire, "trg/paused").state == QUEUED


def test_a_trigger_whose_template_names_what_does_not_exist_leaves_a_failed_build(server: Server) -> None:
    with Wire(server) as wire:
        inputs = [run_pb2.TemplateInput(version=f"{name_of('trg/gone')}/aliases/prod", folder="in")]
        auto.put(wire, "trg/refs", inputs=inputs, **trigger('kind == "model.created"'))
        wire.push("trg/new", {"w": b"1"})
        wait_until(lambda: auto.builds(wire, "trg/refs"))
        [build] = auto.builds(wire, "trg/refs")
        assert build.state == FAILED
        assert "trg/gone does not exist" in build.reason


def test_a_new_version_of_a_dataset_runs_what_waits_for_it(server: Server) -> None:
    with Wire(server) as wire:
        stub = dataset_pb2_grpc.DatasetServiceStub(wire.channel)
        prefix = "namespaces/trg/datasets/rows/"
        auto.put(wire, "trg/data", **trigger(f'kind == "dataset.created" && resource.startsWith("{prefix}")'))
        for dataset, digest in (("other", "1" * 64), ("rows", "2" * 64)):
            parent = f"namespaces/trg/datasets/{dataset}"
            request = dataset_pb2.RegisterDatasetRequest(parent=parent, digest=digest)
            stub.RegisterDataset(request, timeout=LIMIT)
        wait_until(lambda: auto.builds(wire, "trg/data"))
        settled(wire)
        assert len(auto.builds(wire, "trg/data")) == 1


def test_a_server_that_stops_ends_its_tasks(start_server: Callable[..., Server]) -> None:
    server = start_server()
    with Wire(server) as wire:
        auto.put(wire, "sch/stop", schedule=pb.TemplateSchedule(cron="* * * * *"), **trigger('kind == "x"'))
    assert server.stop() == 0
    assert not [line for line in server.stderr if "Traceback" in line or "ERROR" in line]
