"""TemplateService and ClaimBuild by raw gRPC."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from server import automation as auto
from server.wire import LIMIT, Wire, lines, name_of
from support import Server

from regsvc.v1 import build_pb2 as bld
from regsvc.v1 import registry_pb2 as reg
from regsvc.v1 import run_pb2
from regsvc.v1 import template_pb2 as pb

QUEUED, RUNNING = bld.BUILD_STATE_QUEUED, bld.BUILD_STATE_RUNNING


def whole() -> dict[str, object]:
    """Every field that a client sets."""
    return {
        "description": "every night",
        "steps": [auto.step("python", "train.py", "${params.rate}"), auto.step("true", called="test")],
        "source": run_pb2.TemplateSource(
            git=run_pb2.GitSource(url="https://git.example/x.git", commit="main")
        ),
        "params": {
            "rate": reg.ParamValue(double_value=1.0),
            "n": reg.ParamValue(int_value=2**53 + 1),
            "deep": reg.ParamValue(bool_value=True),
            "kind": auto.text("ü"),
        },
        "environment": {"SEED": "0"},
        "inputs": [run_pb2.TemplateInput(version=f"{name_of('tpl/data')}/versions/latest", folder="in/data")],
        "outputs": [pb.TemplateOutput(path="model", promote="candidate")],
        "timeout_seconds": 60,
        "retries": pb.TemplateRetries(lost=2, failed=1, backoff_seconds=5),
        "labels": ["gpu"],
        "schedule": pb.TemplateSchedule(
            cron="0 3 * * *",
            time_zone="Europe/Berlin",
            missed=pb.MISSED_POLICY_RUN_ONCE,
            overlap=pb.OVERLAP_POLICY_QUEUE,
        ),
        "triggers": [pb.TemplateTrigger(filter='kind == "alias.set"')],
        "author": "ann",
    }


def test_what_is_set_is_what_is_got_and_setting_it_again_changes_nothing(wire: Wire) -> None:
    made = auto.put(wire, "tpl/whole", **whole())
    assert (made.revision, made.author) == (1, "ann")
    assert made.HasField("update_time")
    assert made.next_run_time.ToSeconds() > made.update_time.ToSeconds()
    bare = pb.Template(name=auto.name("tpl/whole"), **whole())  # type: ignore[arg-type]
    same = pb.Template.FromString(made.SerializeToString())
    for field in ("revision", "update_time", "next_run_time"):
        same.ClearField(field)
    assert same == bare
    assert auto.get(wire, "tpl/whole") == made
    assert auto.put(wire, "tpl/whole", **whole()) == made
    changed = auto.put(wire, "tpl/whole", **{**whole(), "paused": True})
    assert changed.revision == 2
    assert not changed.HasField("next_run_time")
    assert not auto.get(wire, "tpl/whole", revision=1).paused
    with wire.refused("NOT_FOUND"):
        auto.get(wire, "tpl/whole", revision=3)


def test_a_revision_that_was_not_expected_is_refused(wire: Wire) -> None:
    message = pb.Template(name=auto.name("tpl/expect"), steps=[auto.step()])
    request = pb.SetTemplateRequest(template=message, expect_revision=1)
    with wire.refused("ABORTED", "ETAG_MISMATCH") as metadata:
        wire.templates.SetTemplate(request, timeout=LIMIT)
    assert metadata["revision"] == "0"
    request.expect_revision = 0
    wire.templates.SetTemplate(request, timeout=LIMIT)
    wire.templates.SetTemplate(request, timeout=LIMIT)  # the same call again, whose answer was lost
    message.description = "other"
    with wire.refused("ABORTED", "ETAG_MISMATCH"):
        wire.templates.SetTemplate(pb.SetTemplateRequest(template=message, expect_revision=0), timeout=LIMIT)


def test_lists_and_deletes(wire: Wire) -> None:
    for template in ("b", "a"):
        auto.put(wire, "tpl/lists", template)
    request = pb.ListTemplatesRequest(parent=name_of("tpl/lists"), page_size=1)
    first = wire.templates.ListTemplates(request, timeout=LIMIT)
    request.page_token = first.next_page_token
    second = wire.templates.ListTemplates(request, timeout=LIMIT)
    found = [each.name.rpartition("/")[2] for each in (*first.templates, *second.templates)]
    assert (found, second.next_page_token) == (["a", "b"], "")
    every = wire.templates.ListTemplates(
        pb.ListTemplatesRequest(parent="namespaces/-/models/-", page_size=1000), timeout=LIMIT
    )
    assert {auto.name("tpl/lists", "a"), auto.name("tpl/lists", "b")} <= {t.name for t in every.templates}
    build = auto.start(wire, "tpl/lists", "a")
    gone = pb.DeleteTemplateRequest(name=auto.name("tpl/lists", "a"))
    for _ in range(2):
        wire.templates.DeleteTemplate(gone, timeout=LIMIT)
    with wire.refused("NOT_FOUND"):
        auto.start(wire, "tpl/lists", "a")
    # What it queued is still taken, and its revisions go on.
    assert auto.claim(wire, build.name).template.name == gone.name
    assert auto.put(wire, "tpl/lists", "a", description="again").revision == 2
    assert wire.build(build.name).run.revision == 1
    with wire.refused("NOT_FOUND"):
        wire.templates.ListTemplates(pb.ListTemplatesRequest(parent=name_of("tpl/none")), timeout=LIMIT)


BAD = [
    ({"steps": []}, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
    ({"steps": [pb.TemplateStep(name="x")]}, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
    ({"steps": [pb.TemplateStep(name="", command=["true"])]}, "INVALID_ARGUMENT", "NAME_INVALID"),
    ({"steps": [auto.step(), auto.step()]}, "INVALID_ARGUMENT", "NAME_INVALID"),
    ({"steps": [auto.step("a\0b")]}, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
    ({"steps": [auto.step("x" * 300_000)]}, "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"),
    ({"params": {"x": reg.ParamValue()}}, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
    ({"params": {"x": reg.ParamValue(double_value=float("nan"))}}, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
    ({"params": {"x": auto.text("a\0b")}}, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
    ({"environment": {"X": "a\0b"}}, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
    ({"environment": {"1X": ""}}, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
    ({"environment": {"REGSVC_ENDPOINT": "x"}}, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
    ({"inputs": [run_pb2.TemplateInput(version="x", folder="in")]}, "INVALID_ARGUMENT", "NAME_INVALID"),
    *(
        (
            {"inputs": [run_pb2.TemplateInput(version="namespaces/a/models/b/versions/1", folder=folder)]},
            "INVALID_ARGUMENT",
            "INVALID_ARGUMENT",
        )
        for folder in ("", "/abs", "a/../b", "..", ".")
    ),
    ({"outputs": [pb.TemplateOutput(path="../x")]}, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
    ({"outputs": [pb.TemplateOutput(path="x", promote="latest")]}, "INVALID_ARGUMENT", "NAME_INVALID"),
    ({"source": run_pb2.TemplateSource(version="team/x")}, "INVALID_ARGUMENT", "NAME_INVALID"),
    ({"source": run_pb2.TemplateSource()}, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
    *(
        (
            {"source": run_pb2.TemplateSource(git=run_pb2.GitSource(url=url, commit=commit))},
            "INVALID_ARGUMENT",
            "INVALID_ARGUMENT",
        )
        for url, commit in (
            ("https://u:secret-word@git.example/x", "main"),
            ("https://secret-word@git.example/x", "main"),
            ("--upload-pack=x", "main"),
            ("https://git.example/x", "--x"),
            ("https://git.example/x", ""),
            ("https://[bad/x", "main"),
        )
    ),
    ({"retries": pb.TemplateRetries(lost=21)}, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
    ({"retries": pb.TemplateRetries(backoff_seconds=86_401)}, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
    ({"labels": ["a"] * 2}, "INVALID_ARGUMENT", "NAME_INVALID"),
    ({"labels": [f"l{i}" for i in range(21)]}, "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"),
    ({"schedule": pb.TemplateSchedule(cron="0 3 * * *", missed=7)}, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),  # type: ignore[arg-type]
    *(
        ({"schedule": pb.TemplateSchedule(cron=line)}, "INVALID_ARGUMENT", "SCHEDULE_INVALID")
        for line in ("", "0 0 30 2 *", "0 0 31 4,6,9,11 *", "61 * * * *", "* * * * * *", "@daily", "x" * 500)
    ),
    (
        {"schedule": pb.TemplateSchedule(cron="0 3 * * *", time_zone="Europe/Atlantis")},
        "INVALID_ARGUMENT",
        "SCHEDULE_INVALID",
    ),
    ({"triggers": [pb.TemplateTrigger(filter="kind ==")]}, "INVALID_ARGUMENT", "FILTER_INVALID"),
    ({"triggers": [pb.TemplateTrigger()]}, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
    ({"author": "a\nb"}, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
]


@pytest.mark.parametrize(("fields", "code", "reason"), BAD)
def test_a_template_that_cannot_be_is_refused_and_nothing_is_made(
    wire: Wire, fields: dict[str, object], code: str, reason: str
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        auto.put(wire, "tpl/bad", **fields)
    assert "secret-word" not in (caught.value.details() or "")
    with wire.refused(code, reason):
        auto.put(wire, "tpl/bad", **fields)
    with wire.refused("NOT_FOUND"):
        auto.get(wire, "tpl/bad")


def test_a_run_is_queued_with_everything_resolved(wire: Wire) -> None:
    wire.push("tpl/data", {"rows": b"1"})
    made = auto.put(wire, "tpl/run", **{**whole(), "schedule": None, "triggers": []})
    build = auto.start(wire, "tpl/run", params={"rate": reg.ParamValue(double_value=0.5)}, author="bob")
    assert build.state == QUEUED
    assert build.run.template == made.name
    assert (build.run.revision, build.run.trigger, build.run.author, build.run.attempt) == (
        1,
        "call",
        "bob",
        1,
    )
    assert build.run.inputs[0].version.startswith(f"{name_of('tpl/data')}/versions/")
    assert build.run.inputs[0].version.rpartition("/")[2].isdigit()
    assert build.run.source.git.commit == "main"
    assert list(build.run.labels) == ["gpu"]
    params = build.metadata.params
    assert (params["rate"].double_value, params["n"].int_value, params["deep"].bool_value) == (
        0.5,
        2**53 + 1,
        True,
    )
    assert wire.build(build.name) == build
    assert auto.builds(wire, "tpl/run") == [build]
    # The same call again is the same build.
    again = [auto.start(wire, "tpl/run", request_id="r-1").name for _ in range(2)]
    assert again[0] == again[1] != build.name


def test_a_reference_that_does_not_exist_and_a_param_that_is_missing_are_told_when_it_is_run(
    wire: Wire,
) -> None:
    for number, fields in enumerate(
        (
            {"inputs": [run_pb2.TemplateInput(version=f"{name_of('tpl/nothing')}/versions/1", folder="in")]},
            {"source": run_pb2.TemplateSource(version=f"{name_of('tpl/nothing')}/aliases/prod")},
        )
    ):
        auto.put(wire, "tpl/refs", f"t{number}", **fields)
        with wire.refused("NOT_FOUND"):
            auto.start(wire, "tpl/refs", f"t{number}")
    auto.put(wire, "tpl/refs", "p", steps=[auto.step("x", "--rate=${params.rate}")])
    with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT") as metadata:
        auto.start(wire, "tpl/refs", "p")
    assert metadata["key"] == "rate"
    assert auto.builds(wire, "tpl/refs") == []
    auto.start(wire, "tpl/refs", "p", params={"rate": auto.text("1")})
    with wire.refused("RESOURCE_EXHAUSTED"):
        auto.start(wire, "tpl/refs", "p", params={"rate": auto.text("x" * 20_000)})
    for call in (
        lambda params: auto.start(wire, "tpl/refs", "p", params=params),
        lambda params: auto.rerun(wire, f"{name_of('tpl/refs')}/builds/1", params=params),
    ):
        with wire.refused("INVALID_ARGUMENT"):
            call({"rate": auto.text("a\0b")})


def test_one_of_many_that_claim_a_build_gets_it_and_may_ask_again(wire: Wire) -> None:
    auto.put(wire, "tpl/race")
    build = auto.start(wire, "tpl/race").name
    barrier = threading.Barrier(8)

    def attempt(number: int) -> str:
        barrier.wait()
        try:
            return auto.claim(wire, build, f"host-{number}", f"s{number}").build.run.runner
        except grpc.RpcError as error:
            return "" if error.code() is grpc.StatusCode.FAILED_PRECONDITION else "a defect"

    with ThreadPoolExecutor(8) as pool:
        winners = [each for each in pool.map(attempt, range(8)) if each]
    assert len(winners) == 1
    number = winners[0].removeprefix("host-")
    taken = auto.claim(wire, build, winners[0], f"s{number}")
    assert (taken.build.state, taken.build.run.runner) == (RUNNING, winners[0])
    assert taken.build.run.HasField("start_time")
    assert taken.template.steps[0].command == ["true"]
    with wire.refused("FAILED_PRECONDITION", "BUILD_TAKEN") as metadata:
        auto.claim(wire, build, winners[0], "another start of the same host")
    assert metadata["runner"] == winners[0]
    wire.finish(build)
    with wire.refused("FAILED_PRECONDITION", "BUILD_ENDED"):
        auto.claim(wire, build, winners[0], f"s{number}")


def test_what_no_template_made_is_neither_taken_nor_run_again(wire: Wire) -> None:
    build = wire.create_build("tpl/own")
    assert not wire.build(build).HasField("run")
    with wire.refused("FAILED_PRECONDITION", "NOT_QUEUED"):
        auto.claim(wire, build)
    with wire.refused("FAILED_PRECONDITION", "NOT_RUN"):
        auto.rerun(wire, build)
    with wire.refused("INVALID_ARGUMENT", "NAME_INVALID"):
        auto.claim(wire, build, runner="Host 1")
    with wire.refused("INVALID_ARGUMENT"):
        auto.claim(wire, build, session="")
    with wire.refused("NOT_FOUND"):
        auto.claim(wire, f"{name_of('tpl/own')}/builds/99")


def test_a_queued_build_takes_nothing_from_publishers_and_is_followed_to_its_end(wire: Wire) -> None:
    auto.put(wire, "tpl/follow")
    build = auto.start(wire, "tpl/follow").name
    calls: list[Callable[[], object]] = [
        lambda: wire.builds.Heartbeat(bld.HeartbeatRequest(build=build), timeout=LIMIT),
        lambda: wire.builds.StartStep(bld.StartStepRequest(build=build, step="x"), timeout=LIMIT),
        lambda: wire.append(build, lines(1, b"x")),
        lambda: wire.finish(build),
        lambda: wire.start("tpl/follow", build),
    ]
    for call in calls:
        with wire.refused("FAILED_PRECONDITION", "BUILD_QUEUED"):
            call()
    watch = wire.builds.WatchBuild(bld.WatchBuildRequest(build=build), timeout=LIMIT)
    log = wire.builds.ReadLog(bld.ReadLogRequest(build=build, follow=True), timeout=LIMIT)
    assert next(each.build.state for each in watch if each.HasField("build")) == QUEUED
    auto.claim(wire, build)
    assert next(each.build.state for each in watch if each.HasField("build")) == RUNNING
    wire.append(build, lines(1, b"hello"))
    assert [line.text for line in next(page for page in log if page.lines).lines] == [b"hello"]
    wire.finish(build)
    assert list(watch)[-1].final
    assert not [line for page in log for line in page.lines]


def test_a_queued_build_is_cancelled_at_once_and_nobody_takes_it(wire: Wire) -> None:
    auto.put(wire, "tpl/cancel")
    build = auto.start(wire, "tpl/cancel").name
    for _ in range(2):
        ended = auto.cancel(wire, build)
        assert (ended.state, ended.cancel_requested) == (bld.BUILD_STATE_CANCELLED, True)
    with wire.refused("FAILED_PRECONDITION", "BUILD_ENDED"):
        auto.claim(wire, build)


def test_a_rerun_repeats_source_inputs_and_params(wire: Wire) -> None:
    first = wire.push("tpl/again-data", {"rows": b"1"})
    auto.put(
        wire,
        "tpl/again",
        inputs=[run_pb2.TemplateInput(version=f"{name_of('tpl/again-data')}/versions/latest", folder="in")],
        params={"rate": auto.text("1"), "kind": auto.text("x")},
    )
    old = auto.start(wire, "tpl/again", params={"rate": auto.text("2")})
    auto.claim(wire, old.name)
    request = bld.LogParamsRequest(build=old.name, params={"rows": auto.text("counted by the build")})
    wire.builds.LogParams(request, timeout=LIMIT)
    wire.push("tpl/again-data", {"rows": b"2"})
    auto.put(wire, "tpl/again", steps=[auto.step("other")])
    new = auto.rerun(wire, old.name, params={"kind": auto.text("y")}, author="eve", request_id="again-1")
    assert (
        auto.rerun(wire, old.name, params={"kind": auto.text("y")}, author="eve", request_id="again-1") == new
    )
    assert new.run.inputs[0].version == first.name == old.run.inputs[0].version
    assert (new.run.revision, new.run.author, new.run.rerun_of) == (1, "eve", old.name)
    params = {key: value.string_value for key, value in new.metadata.params.items()}
    assert params == {"rate": "2", "kind": "y"}
    assert list(wire.build(old.name).run.followed_by) == [new.name]


def test_the_queue_survives_a_kill_and_what_was_taken_stays_taken(server: Server) -> None:
    with Wire(server) as wire:
        auto.put(wire, "tpl/kill")
        waiting, taken = (auto.start(wire, "tpl/kill").name for _ in range(2))
        auto.claim(wire, taken)
    server.kill()
    server.start()
    with Wire(server) as wire:
        assert wire.build(waiting).state == QUEUED
        assert auto.claim(wire, taken).build.state == RUNNING
        with wire.refused("FAILED_PRECONDITION", "BUILD_TAKEN"):
            auto.claim(wire, taken, "host-2", "s2")
        wire.finish(taken)
        assert auto.claim(wire, waiting).build.state == RUNNING


def test_the_queue_of_a_model_is_bounded(server: Server) -> None:
    with Wire(server) as wire:
        auto.put(wire, "tpl/full")
        with ThreadPoolExecutor(32) as pool:
            made = list(pool.map(lambda _: auto.start(wire, "tpl/full").name, range(1000)))
        assert len(set(made)) == 1000
        with wire.refused("RESOURCE_EXHAUSTED", "QUEUE_FULL"):
            auto.start(wire, "tpl/full")
        with wire.refused("RESOURCE_EXHAUSTED", "QUEUE_FULL"):
            auto.rerun(wire, made[0])
        auto.cancel(wire, made[0])
        auto.start(wire, "tpl/full")
