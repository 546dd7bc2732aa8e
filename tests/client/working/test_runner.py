"""What a runner makes of a template: real runner processes, a real server, real repositories."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from fleet import Fleet, python, shell
from support import Server, wait_until

import regsvc
from regsvc.client.working.build_runner import BuildRunner, Happening
from regsvc.errors import InvalidArgument
from regsvc.v1 import run_pb2, runner_pb2, runner_pb2_grpc, template_pb2

Output = template_pb2.TemplateOutput
Input = run_pb2.TemplateInput

STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
"""A process that does not end when it is asked to."""


@pytest.fixture
def fleet(server: Server, tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(server, tmp_path)
    yield made
    made.close()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "train.py").write_text(
        "import os, pathlib, regsvc\n"
        "build = regsvc.current_build()\n"
        "rate = float(os.environ['REGSVC_PARAM_LR'])\n"
        "with build.step('epochs'):\n"
        "    for epoch in range(3):\n"
        "        print('epoch', epoch)\n"
        "        build.log_metric('f1', rate * (epoch + 1), step=epoch)\n"
        "pathlib.Path('model').mkdir()\n"
        "pathlib.Path('model/weights').write_text(open('data/rows').read() * 3)\n"
    )
    for command in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-qm", "first"]):
        git(folder, *command)
    return folder


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=A", "-c", "user.email=a@example.org", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def push(fleet: Fleet, model: str, name: str, text: str) -> str:
    folder = fleet.folder / f"pushed-{name}"
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)
    return fleet.client.push(folder, model).reference


def test_a_version_is_made_from_a_commit_and_an_input(fleet: Fleet, repository: Path) -> None:
    push(fleet, "team/rows", "rows", "a,b\n")
    template = fleet.template(
        ("train", (sys.executable, "train.py")),
        ("say", ("echo", "rate ${params.lr}")),
        source=run_pb2.TemplateSource(git=run_pb2.GitSource(url=str(repository), commit="main")),
        inputs=[Input(version="namespaces/team/models/rows/versions/latest", folder="data")],
        outputs=[Output(path="model", promote="candidate")],
        params={"lr": {"double_value": 0.1}},
    )
    build = fleet.run(template, params={"lr": {"double_value": 0.25}}, author="ann")
    runner = fleet.runner("--name", "r1").ready()
    found = fleet.ended(build)
    assert (found.state, found.reason, found.versions) == ("SUCCEEDED", "", ("team/fraud:1",))
    assert [(step.name, step.state) for step in found.steps] == [
        (name, "SUCCEEDED") for name in ("fetch", "train", "epochs", "say", "publish")
    ]
    assert dict(found.metrics) == {"f1": 0.75}
    commit = git(repository, "rev-parse", "HEAD")
    lines = [(line.step, line.stream, line.text) for line in fleet.client.logs(build)]
    assert lines[0] == ("fetch", "log", f"source: commit {commit} of {repository}")
    assert lines[1][2].startswith("input data: team/rows:1, 1 files, ")
    assert lines[2:6] == [
        *(("epochs", "stdout", f"epoch {epoch}") for epoch in range(3)),
        ("say", "stdout", "rate 0.25"),
    ]
    fleet.client.pull("team/fraud@candidate", fleet.folder / "out")
    assert (fleet.folder / "out/weights").read_text() == "a,b\n" * 3
    version = fleet.client.version("team/fraud:1")
    assert version.author == "ann"
    code = fleet.client.record("team/fraud:1").record.code
    assert (code.remote, code.commit, code.branch) == (str(repository), commit, "main")
    assert fleet.origin(build).runner == "r1"
    wait_until(lambda: runner.said("SUCCEEDED", build))
    assert runner.said("SUCCEEDED", build)[0]["versions"] == ["team/fraud:1"]
    assert fleet.clean()


def test_a_source_may_be_a_version(fleet: Fleet) -> None:
    push(fleet, "team/code", "say.sh", "echo hello from code; ls -A\n")
    fleet.runner()
    version = "namespaces/team/models/code/versions/1"
    build = fleet.done(("say", ("sh", "say.sh")), source=run_pb2.TemplateSource(version=version))
    assert build.state == "SUCCEEDED", build.reason
    assert fleet.log(build.name)[1:] == ["hello from code", "say.sh"]


def test_each_build_begins_with_an_empty_folder_and_a_clean_environment(fleet: Fleet) -> None:
    fleet.runner("--pass-env", "WANTED", WANTED="yes", SECRET="no", HOME="/somewhere")
    steps = (
        "look",
        shell("ls -A; touch left; echo $WANTED.$SECRET.$MINE; cd && pwd; ls -A; env > $TMPDIR/e"),
    )
    for _ in range(2):
        build = fleet.done(steps, environment={"MINE": "m"})
        assert build.state == "SUCCEEDED", build.reason
        wanted, home = fleet.log(build.name)
        assert wanted == "yes..m"
        assert home.startswith(str(fleet.work))
    wait_until(fleet.clean)


def test_params_reach_a_step_by_file(fleet: Fleet) -> None:
    fleet.runner()
    params = {"name": {"string_value": "ü\n"}, "n": {"int_value": 3}, "b": {"bool_value": True}}
    build = fleet.done(("show", shell("cat $REGSVC_PARAMS; echo; echo $REGSVC_PARAM_B")), params=params)
    *document, last = fleet.log(build.name)
    assert json.loads("\n".join(document)) == {"name": "ü\n", "n": 3, "b": True}
    assert last == "true"


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (("no-such-program",), "step bad: cannot start no-such-program: command not found (status 127)"),
        (("/etc/passwd",), "step bad: cannot start /etc/passwd: Permission denied (status 126)"),
        (shell("exit 3"), "step bad: exit status 3"),
        (shell("kill -SEGV $$"), "step bad: killed by SIGSEGV (status 139)"),
        (shell("rm -rf $PWD; true"), "step next: cannot start echo: its folder is gone (status 126)"),
    ],
)
def test_a_step_that_fails_ends_the_build(fleet: Fleet, command: tuple[str, ...], reason: str) -> None:
    fleet.runner()
    build = fleet.done(("bad", command), ("next", ("echo", "never")), outputs=[Output(path="model")])
    assert (build.state, build.reason) == ("FAILED", reason)
    assert fleet.log(build.name) == [reason]
    assert build.steps[-1].state == "FAILED"
    assert f"step {build.steps[-1].name}: {build.steps[-1].reason}" == reason
    wait_until(fleet.clean)


def test_a_missing_output_fails_before_any_is_published(fleet: Fleet) -> None:
    fleet.runner()
    outputs = [Output(path="one"), Output(path="two")]
    build = fleet.done(("make", shell("echo 1 > one; mkdir empty")), outputs=outputs)
    assert (build.state, build.reason, build.versions) == ("FAILED", "output two is missing", ())
    build = fleet.done(("make", shell("mkdir empty")), outputs=[Output(path="empty")])
    assert build.state == "FAILED"
    assert build.reason == "output empty cannot be published: . holds no file"
    build = fleet.done(("make", shell("ln -s /etc/passwd one")), outputs=[Output(path="one")])
    assert (build.state, build.reason) == ("FAILED", "output one: it leads out of the work folder")


def test_an_input_does_not_replace_what_is_there_and_does_not_follow_links(fleet: Fleet) -> None:
    push(fleet, "team/rows", "rows", "new")
    code = fleet.folder / "code"
    (code / "data").mkdir(parents=True)
    (code / "data/README").write_text("about")
    fleet.client.push(code, "team/code")
    (code / "data/rows").write_text("old")
    fleet.client.push(code, "team/code")
    fleet.runner()

    def made(source: int) -> regsvc.client.build_records.Build:  # type: ignore[name-defined]
        return fleet.done(
            ("show", shell("cat data/README data/rows")),
            source=run_pb2.TemplateSource(version=f"namespaces/team/models/code/versions/{source}"),
            inputs=[Input(version="namespaces/team/models/rows/versions/1", folder="data")],
        )

    assert fleet.log(made(1).name)[-1] == "aboutnew"
    refused = made(2)
    assert refused.state == "FAILED"
    assert refused.reason == "input data: data/rows is there already, from the source or another input"


def test_a_commit_that_does_not_exist_fails_the_build(fleet: Fleet, repository: Path) -> None:
    fleet.runner()
    source = run_pb2.TemplateSource(git=run_pb2.GitSource(url=str(repository), commit="no-such"))
    build = fleet.done(("train", ("true",)), source=source)
    assert build.state == "FAILED"
    assert build.reason == f"there is no commit, tag or branch 'no-such' in {repository}"
    assert [step.name for step in build.steps] == ["fetch"]


def test_a_build_that_takes_too_long_fails_and_nothing_of_it_goes_on(fleet: Fleet) -> None:
    fleet.runner("--grace", "0.5")
    script = f"{sys.executable} -c '{STUBBORN}' & echo up; wait"
    build = fleet.done(("sleep", shell(script)), timeout_seconds=2)
    assert (build.state, build.reason) == ("FAILED", "it took longer than 2 s")
    assert build.steps[0].state == "FAILED"
    wait_until(fleet.clean)


def test_a_cancel_reaches_all_that_a_step_has_started(fleet: Fleet) -> None:
    fleet.runner("--grace", "1")
    stubborn = f"{sys.executable} -c '{STUBBORN}'"
    script = f"""
        trap '' TERM
        {stubborn} &
        setsid {stubborn} &
        env -i setsid sh -c "{sys.executable} -c 'import time; time.sleep(600)' & wait" &
        echo $! started
        wait; wait; wait
    """
    build = fleet.run(fleet.template(("stubborn", shell(script)), ("next", ("echo", "never"))))
    wait_until(lambda: any(line.endswith("started") for line in fleet.log(build)))
    hidden = int(fleet.log(build)[0].split()[0])
    wait_until(lambda: len(fleet.processes()) >= 4)
    fleet.client.cancel_build(build)
    found = fleet.ended(build)
    assert (found.state, found.reason) == ("CANCELLED", "cancel requested")
    assert (
        fleet.processes().keys() - {pid for pid, command in fleet.processes().items() if "worker" in command}
        == set()
    )
    assert not os.path.exists(f"/proc/{hidden}")
    assert [step.state for step in found.steps] == ["CANCELLED"]
    wait_until(fleet.clean)


def test_all_that_a_step_has_started_has_time_to_end(fleet: Fleet) -> None:
    fleet.runner("--grace", "30")
    up, saved = fleet.folder / "up", fleet.folder / "saved"
    script = (
        "import pathlib, signal, sys, time\n"
        "def end(*_):\n"
        "    print('saving', flush=True)\n"
        "    time.sleep(0.5)\n"
        f"    pathlib.Path('{saved}').touch()\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        f"pathlib.Path('{up}').touch()\n"
        "time.sleep(600)\n"
    )
    # The shell ends at once, and with it the step; the programs that it has started have the time all the same.
    quiet = f'{sys.executable} -c "{script}" >/dev/null 2>&1 &'
    build = fleet.run(fleet.template(("train", shell(f"{quiet} wait"))))
    wait_until(up.exists)
    fleet.client.cancel_build(build)
    assert fleet.ended(build).state == "CANCELLED"
    assert saved.exists()
    up.unlink()
    build = fleet.run(fleet.template(("train", python(script))))
    wait_until(up.exists)
    fleet.client.cancel_build(build)
    assert fleet.ended(build).state == "CANCELLED"
    assert fleet.log(build) == ["saving", "cancel requested"]


def test_a_cancel_breaks_off_what_is_on_its_way(fleet: Fleet) -> None:
    fleet.runner()
    script = "head -c 400000000 /dev/urandom > model"
    build = fleet.run(fleet.template(("make", shell(script)), outputs=[Output(path="model")]))
    wait_until(lambda: fleet.in_step(build, "publish"))
    fleet.client.cancel_build(build)
    found = fleet.ended(build)
    assert (found.state, found.versions) == ("CANCELLED", ())
    assert found.steps[-1].state == "CANCELLED"
    wait_until(fleet.clean)


def test_what_a_step_orphans_does_not_stay_as_zombies(fleet: Fleet) -> None:
    runner = fleet.runner()
    go = fleet.folder / "go"
    script = f"for i in $(seq 100); do (true &); done; echo up; while [ ! -e {go} ]; do sleep 0.05; done"
    build = fleet.run(fleet.template(("orphan", shell(script))))
    wait_until(lambda: fleet.log(build) == ["up"])
    [worker] = runner.workers()

    def children() -> list[str]:
        command = ["ps", "-o", "stat=", "--ppid", str(worker)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    wait_until(lambda: len(children()) == 1)
    assert not children()[0].startswith("Z")
    go.touch()
    assert fleet.ended(build).state == "SUCCEEDED"


def test_a_refused_promotion_is_told_and_does_not_fail_the_build(fleet: Fleet) -> None:
    push(fleet, "team/fraud", "first", "x")
    fleet.client.set_alias_rules("team/fraud@prod", gate="version.metrics.f1 > 0.7")
    fleet.runner()
    build = fleet.done(("make", shell("echo 1 > model")), outputs=[Output(path="model", promote="prod")])
    assert (build.state, build.versions) == ("SUCCEEDED", ("team/fraud:2",))
    assert build.tags["promotion"].startswith("team/fraud:2 to prod refused: ")
    assert f"promotion of {build.tags['promotion']}" in fleet.log(build.name)


def test_builds_go_to_runners_with_their_labels_and_slots(fleet: Fleet) -> None:
    go = fleet.folder / "go"
    waits = fleet.template(
        ("wait", shell(f"while [ ! -e {go} ]; do sleep 0.05; done")), name="waits", labels=["cpu"]
    )
    gpu = fleet.template(("say", ("echo", "gpu")), name="gpu", labels=["gpu", "cpu"])
    builds = [fleet.run(waits) for _ in range(4)]
    with_gpu = fleet.run(gpu)
    fleet.runner("--name", "small", "--labels", "cpu", "--slots", "2")
    wait_until(lambda: [fleet.build(each).state for each in builds].count("RUNNING") == 2)
    fleet.runner("--name", "big", "--labels", "gpu,cpu", "--slots", "3")
    wait_until(lambda: [fleet.build(each).state for each in builds] == ["RUNNING"] * 4)
    assert fleet.ended(with_gpu).state == "SUCCEEDED"
    assert fleet.origin(with_gpu).runner == "big"
    assert sorted(fleet.origin(each).runner for each in builds) == ["big", "big", "small", "small"]
    listed = fleet.connection.call(fleet.connection.runners.ListRunners, runner_pb2.ListRunnersRequest())
    assert [(each.name, each.slots, len(each.builds), each.connected) for each in listed.runners] == [
        ("big", 3, 2, True),
        ("small", 2, 2, True),
    ]
    go.touch()
    assert {fleet.ended(each).state for each in builds} == {"SUCCEEDED"}
    wait_until(fleet.clean)


def test_a_signal_drains_and_a_second_one_cancels(fleet: Fleet) -> None:
    go = fleet.folder / "go"
    template = fleet.template(("wait", shell(f"echo up; while [ ! -e {go} ]; do sleep 0.05; done")))
    first, second = fleet.run(template), fleet.run(template)
    runner = fleet.runner()
    wait_until(lambda: fleet.log(first) == ["up"])
    runner.term()
    go.touch()
    assert fleet.ended(first).state == "SUCCEEDED"
    assert runner.wait() == 0
    assert fleet.build(second).state == "QUEUED"
    go.unlink()
    runner = fleet.runner()
    wait_until(lambda: fleet.log(second) == ["up"])
    runner.term()
    wait_until(lambda: runner.said("DRAINING"))
    runner.term()
    found = fleet.ended(second)
    assert (found.state, found.reason) == ("CANCELLED", "the runner was stopped")
    assert runner.wait() == 0
    assert fleet.clean()


def test_once_takes_one_build_and_says_how_it_ended(fleet: Fleet) -> None:
    good, bad = fleet.template(("a", ("true",)), name="good"), fleet.template(("a", ("false",)), name="bad")
    first, second, third = fleet.run(good), fleet.run(bad), fleet.run(good)
    assert fleet.runner("--once").wait() == 0
    assert fleet.runner("--once", "--slots", "5").wait() == 1
    assert [fleet.build(each).state for each in (first, second, third)] == ["SUCCEEDED", "FAILED", "QUEUED"]


def test_the_folder_of_a_failed_build_can_be_kept(fleet: Fleet) -> None:
    runner = fleet.runner("--keep-failed")
    assert fleet.done(("make", ("true",))).state == "SUCCEEDED"
    build = fleet.done(("make", shell("echo x > found; exit 1")))
    wait_until(lambda: runner.said("FAILED", build.name))
    folder = Path(runner.said("FAILED", build.name)[0]["folder"])
    assert (folder / "work/found").read_text() == "x\n"
    runner.term()
    assert runner.wait() == 0
    fleet.runner("--keep-failed").ready()
    assert [each.name for each in fleet.work.iterdir() if each.is_dir()] == [folder.name]


def test_read_only_folders_and_background_processes_do_not_stay(fleet: Fleet) -> None:
    fleet.runner()
    script = "mkdir -p a/b; echo x > a/b/c; chmod 400 a/b/c; chmod 500 a/b a; nohup setsid sleep 600 >/dev/null 2>&1 &"
    build = fleet.done(("make", shell(script)), ("see", shell("ps -eo args | grep -c '[s]leep 600'")))
    assert build.state == "SUCCEEDED", build.reason
    assert int(fleet.log(build.name)[0]) >= 1  # it may run until the last step ends
    wait_until(fleet.clean)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_full_disk_fails_builds_that_need_it_and_not_the_runner(fleet: Fleet) -> None:
    fleet.work.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", str(fleet.work)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("this container may not mount a small disk")
    try:
        push(fleet, "team/big", "big", "0123456789" * 400_000)
        runner = fleet.runner(REGSVC_CACHE="off").ready()
        wanted = Input(version="namespaces/team/models/big/versions/1", folder="data")
        build = fleet.done(("never", ("true",)), inputs=[wanted])
        assert build.state == "FAILED"
        assert build.reason == "input data: team/big:1 cannot be pulled: No space left on device"
        build = fleet.done(
            ("fill", shell("head -c 9000000 /dev/zero > f; echo wrote; exit 0")), ("say", ("echo", "on"))
        )
        assert (build.state, fleet.log(build.name)[-2:]) == ("SUCCEEDED", ["wrote", "on"])
        wait_until(fleet.clean)
        filler = fleet.work / "filler"
        subprocess.run(["dd", "if=/dev/zero", f"of={filler}", "bs=4096"], check=False, capture_output=True)
        build_name = fleet.run(fleet.template(("say", ("echo", "there was room"))))
        wait_until(lambda: runner.said("REFUSED"))
        assert runner.process.poll() is None
        filler.unlink()
        assert fleet.ended(build_name).state == "SUCCEEDED"
        assert fleet.done(("say", ("echo", "there is room"))).state == "SUCCEEDED"
        runner.term()
        assert runner.wait() == 0
    finally:
        subprocess.run(["umount", "-l", str(fleet.work)], check=True)


def test_the_sdk_runs_builds_beside_a_block(fleet: Fleet) -> None:
    seen: list[Happening] = []
    build = fleet.run(fleet.template(("say", ("echo", "hello"))))
    with fleet.client.runner(labels=["x"], slots=2, work=fleet.work, on_happening=seen.append) as runner:
        assert isinstance(runner, BuildRunner)
        assert fleet.ended(build).state == "SUCCEEDED"
    assert [each.state for each in seen][:2] == ["WAITING", "RUNNING"]
    assert {each.state for each in seen[2:]} == {"DRAINING", "SUCCEEDED"}
    assert fleet.clean()


def test_builds_go_on_though_nobody_can_be_told(fleet: Fleet) -> None:
    def closed(happening: Happening) -> None:
        raise BrokenPipeError(happening.state)

    with fleet.client.runner(work=fleet.work, on_happening=closed):
        assert fleet.done(("say", ("echo", "hello"))).state == "SUCCEEDED"
        assert fleet.done(("say", ("echo", "hello"))).state == "SUCCEEDED"
    assert fleet.clean()


def test_what_a_runner_may_not_be_called_is_told(fleet: Fleet) -> None:
    for options in (["--name", "Not A Name"], ["--labels", "a\tb"], ["--pass-env", "A=B"]):
        runner = fleet.runner(*options)
        assert runner.wait() == 1
        wait_until(lambda runner=runner: runner.errors)  # type: ignore[misc]
        assert "Traceback" not in "".join(runner.errors)
    with pytest.raises(InvalidArgument, match="slots"):
        fleet.client.runner(slots=0)


def test_a_server_without_a_queue_or_none_at_all(tmp_path: Path, start_server: Callable[..., Server]) -> None:
    server = start_server()
    server.stop()
    fleet = Fleet(server, tmp_path)
    runner = fleet.runner()
    wait_until(lambda: runner.said("AWAY"))
    began = time.monotonic()
    runner.term()
    assert runner.wait() == 0
    assert time.monotonic() - began < 30
    server.start()
    runner = fleet.runner().ready()
    assert fleet.done(("say", python("print('up')"))).state == "SUCCEEDED"
    fleet.close()


def test_a_runner_that_has_nothing_to_do_hears_the_server_all_the_same(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = start_server("--heartbeat", "0.5")
    with grpc.insecure_channel(server.endpoint) as channel:
        stop = threading.Event()

        def says() -> Iterator[runner_pb2.WorkRequest]:
            hello = runner_pb2.Runner(name="r", session="s", slots=1)
            yield runner_pb2.WorkRequest(runner=hello, free_slots=1)
            while not stop.wait(0.1):  # more often than the server has to speak
                yield runner_pb2.WorkRequest(free_slots=1)

        call = runner_pb2_grpc.RunnerServiceStub(channel).Work(says(), timeout=30)
        began = time.monotonic()
        assert [next(call) for _ in range(4)] == [runner_pb2.WorkResponse()] * 4
        assert time.monotonic() - began >= 1.4  # the first at once, then one for each heartbeat
        stop.set()
        assert all(each == runner_pb2.WorkResponse() for each in call)
