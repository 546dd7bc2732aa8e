"""Runners, their workers and the server killed at each stage of a build: nothing is left, lost, doubled or stuck."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fleet import Fleet, shell
from support import Server, wait_until

from regsvc.v1 import run_pb2, template_pb2

Output = template_pb2.TemplateOutput

LEASE = "3"


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    return start_server("--build-lease", LEASE, "--heartbeat", "1")


@pytest.fixture
def fleet(server: Server, tmp_path: Path) -> Iterator[Fleet]:
    made = Fleet(server, tmp_path)
    yield made
    made.close()


def slow_git(folder: Path) -> dict[str, str]:
    """What makes a fetch by ssh wait for the file `go`, after it has made `fetching`."""
    script = folder / "ssh"
    script.write_text(
        "#!/bin/sh\n"
        f"touch {folder}/fetching\n"
        f"while [ ! -e {folder}/go ]; do sleep 0.05; done\n"
        'for last; do :; done\nexec sh -c "$last"\n'
    )
    script.chmod(0o755)
    return {"GIT_SSH_COMMAND": str(script), "GIT_SSH_VARIANT": "simple"}


def repository(folder: Path) -> Path:
    made = folder / "repository"
    made.mkdir()
    (made / "train.sh").write_text("echo trained\n")
    for command in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-qm", "first"]):
        identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        subprocess.run(["git", *identity, *command], cwd=made, check=True)
    return made


def stage_of(fleet: Fleet, stage: str) -> tuple[str, Callable[[str], object]]:
    """A template that can be caught in a stage, and what is true then."""
    folder = fleet.folder
    again = template_pb2.TemplateRetries(lost=1)
    go = f"while [ ! -e {folder}/go ]; do sleep 0.05; done"
    if stage == "claim":
        template = fleet.template(("wait", shell(go)), retries=again)
        return template, lambda build: fleet.build(build).state == "RUNNING"
    if stage == "fetching":
        source = run_pb2.GitSource(url=f"ssh://git@nowhere{repository(folder)}", commit="main")
        template = fleet.template(
            ("train", ("sh", "train.sh")), source=run_pb2.TemplateSource(git=source), retries=again
        )
        return template, lambda build: (folder / "fetching").exists()
    if stage == "step":
        script = f"setsid sleep 600 & trap '' TERM; touch {folder}/in-step; {go}"
        return fleet.template(("wait", shell(script)), retries=again), lambda build: (
            folder / "in-step"
        ).exists()
    if stage == "publishing":
        script = "head -c 300000000 /dev/urandom > model"
        template = fleet.template(("make", shell(script)), outputs=[Output(path="model")], retries=again)
        return template, lambda build: fleet.in_step(build, "publish")
    assert stage == "cleaning up"
    script = "mkdir d && cd d && seq 200000 | xargs touch"
    template = fleet.template(("litter", shell(script)), retries=again)
    return template, lambda build: fleet.build(build).state == "SUCCEEDED"


@pytest.mark.parametrize("stage", ["claim", "fetching", "step", "publishing", "cleaning up"])
def test_what_a_killed_runner_leaves_is_cleaned_and_its_build_made_again(fleet: Fleet, stage: str) -> None:
    template, reached = stage_of(fleet, stage)
    settings = slow_git(fleet.folder) if stage == "fetching" else {}
    runner = fleet.runner(**settings).ready()
    build = fleet.run(template)
    wait_until(lambda: reached(build), what=stage)
    runner.kill()
    if stage != "claim":
        assert not fleet.clean()
    (fleet.folder / "go").touch()
    again = fleet.runner(**settings).ready()
    if stage != "claim":
        assert [line["build"] for line in again.said("CLEANED")] == [build]
    if stage == "cleaning up":
        assert fleet.build(build).state == "SUCCEEDED"
        wait_until(fleet.clean)
        return
    assert fleet.ended(build).state == "LOST"
    wait_until(lambda: fleet.origin(build).followed_by)
    second = fleet.ended(fleet.origin(build).followed_by[0].replace("namespaces/", "").replace("/models", ""))
    assert second.state == "SUCCEEDED", second.reason
    assert fleet.origin(second.name).attempt == 2
    wait_until(fleet.clean)


def test_without_its_runner_a_worker_ends_what_it_does_and_leaves_the_build_to_the_lease(
    fleet: Fleet,
) -> None:
    runner = fleet.runner("--grace", "0.5").ready()
    build = fleet.run(fleet.template(("wait", shell("trap '' TERM; echo up; while :; do sleep 0.1; done"))))
    wait_until(lambda: fleet.log(build) == ["up"])
    runner.process.kill()
    wait_until(fleet.clean)
    assert fleet.ended(build).state == "LOST"


def test_a_worker_that_is_killed_ends_no_other_build(fleet: Fleet) -> None:
    runner = fleet.runner("--slots", "2").ready()
    go = fleet.folder / "go"
    template = fleet.template(
        ("wait", shell(f"setsid sleep 600 & echo up; while [ ! -e {go} ]; do sleep 0.05; done"))
    )
    first = fleet.run(template)
    wait_until(lambda: fleet.log(first) == ["up"])
    [worker] = runner.workers()
    second = fleet.run(template)
    wait_until(lambda: fleet.log(second) == ["up"])
    os.kill(worker, signal.SIGKILL)
    found = fleet.ended(first)
    assert (found.state, found.reason) == (
        "FAILED",
        "the runner's process for this build was killed by signal 9",
    )
    assert fleet.build(second).state == "RUNNING"
    go.touch()
    assert fleet.ended(second).state == "SUCCEEDED"
    wait_until(fleet.clean)


def test_a_step_goes_on_while_the_server_is_killed_and_its_log_is_whole(fleet: Fleet) -> None:
    fleet.runner().ready()
    script = "for n in $(seq 3000); do echo line $n; [ $((n % 100)) = 0 ] && sleep 0.1; done"
    template = fleet.template(
        ("count", shell(script + "; cp /etc/hostname model")),
        ("last", ("echo", "last")),
        outputs=[Output(path="model")],
    )
    build = fleet.run(template)
    for least in (200, 900, 1500):
        wait_until(lambda least=least: fleet.build(build).log_seq >= least)  # type: ignore[misc]
        fleet.server.kill()
        fleet.server.start()
    found = fleet.ended(build)
    assert found.state == "SUCCEEDED", found.reason
    lines = [line.text for line in fleet.client.logs(build) if line.stream == "stdout"]
    assert lines == [f"line {n}" for n in range(1, 3001)] + ["last"]
    assert len(found.versions) == 1
    assert fleet.done(("again", ("echo", "again"))).state == "SUCCEEDED"
    wait_until(fleet.clean)


def test_a_build_ends_as_it_did_though_the_server_was_away_at_its_end(fleet: Fleet) -> None:
    runner = fleet.runner("--slots", "2").ready()
    done = fleet.folder / "done"
    build = fleet.run(fleet.template(("work", shell(f"echo up; sleep 1; echo end; touch {done}; exit 4"))))
    wait_until(lambda: fleet.log(build) == ["up"])
    fleet.server.kill()
    wait_until(done.exists)
    wait_until(lambda: runner.said("AWAY"))
    fleet.server.start()
    found = fleet.ended(build)
    assert (found.state, found.reason) == ("FAILED", "step work: exit status 4")
    assert fleet.log(build) == ["up", "end", "step work: exit status 4"]
    wait_until(fleet.clean)


def test_a_runner_can_be_stopped_while_the_server_is_away(fleet: Fleet) -> None:
    runner = fleet.runner("--grace", "0.5").ready()
    build = fleet.run(fleet.template(("wait", shell("echo up; sleep 600"))))
    wait_until(lambda: fleet.log(build) == ["up"])
    fleet.server.kill()
    wait_until(lambda: runner.said("AWAY"))
    runner.term()
    wait_until(lambda: runner.said("DRAINING"))
    runner.term()
    assert runner.wait() == 0
    assert fleet.clean()
    fleet.server.start()
    assert fleet.ended(build).state in ("LOST", "CANCELLED")


def test_a_runner_that_comes_back_after_its_lease_is_refused_and_stops(fleet: Fleet) -> None:
    runner = fleet.runner("--grace", "0.5").ready()
    build = fleet.run(fleet.template(("wait", shell("echo up; sleep 600"))))
    wait_until(lambda: fleet.log(build) == ["up"])
    asleep = [runner.process.pid, *fleet.processes()]
    for pid in asleep:
        os.kill(pid, signal.SIGSTOP)
    assert fleet.ended(build).state == "LOST"
    for pid in asleep:
        os.kill(pid, signal.SIGCONT)
    wait_until(lambda: runner.said("LOST", build))
    wait_until(fleet.clean)
    assert fleet.build(build).state == "LOST"
    assert fleet.log(build) == ["up"]
    assert fleet.done(("say", ("echo", "on"))).state == "SUCCEEDED"


def test_two_runners_in_one_folder_leave_each_others_builds_alone(fleet: Fleet) -> None:
    go = fleet.folder / "go"
    template = fleet.template(("wait", shell(f"echo up; while [ ! -e {go} ]; do sleep 0.05; done")))
    first, second = fleet.run(template), fleet.run(template)
    one = fleet.runner("--name", "one").ready()
    two = fleet.runner("--name", "two").ready()
    wait_until(lambda: fleet.log(first) == ["up"] and fleet.log(second) == ["up"])
    one.kill()
    three = fleet.runner("--name", "three").ready()
    assert len(three.said("CLEANED")) == 1
    go.touch()
    assert sorted(fleet.ended(each).state for each in (first, second)) == ["LOST", "SUCCEEDED"]
    assert two.process.poll() is None
    wait_until(fleet.clean)
