"""The way to production while everything is killed: server, runner, followers, mirror and who receives webhooks.

Whatever is killed whenever, it ends in the same state: each run has come to one version, the alias names the last one
that its gate let in, hosts serve that, every event was delivered in order, and the mirror is equal.
"""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from receiver import ReceiverProcess
from registries import difference, everything
from support import Server, wait_until

import regsvc
from regsvc.client.build_records import Build
from regsvc.client.client import Client

MODEL = "team/fraud"
ROUNDS = 4
GATE = "version.metrics.f1 > 0.5"
EVENTS = 'kind == "alias.set" || kind == "build.ended"'
TRAIN = """
import os, pathlib, random, regsvc
f1 = float(os.environ["REGSVC_PARAM_F1"])
pathlib.Path("out").mkdir()
pathlib.Path("out/model.bin").write_bytes(random.Random(1).randbytes(3_000_000) + str(f1).encode())
build = regsvc.current_build()
for step in range(30):
    print("step", step, flush=True)
    build.log_metric("f1", f1, step=step)
"""


class Killable:
    """A command that is killed and started again."""

    def __init__(self, folder: Path, name: str, endpoint: str, *arguments: str):
        self.command = [sys.executable, "-m", "regsvc", *arguments]
        self.environment = {
            **os.environ,
            "REGSVC_ENDPOINT": endpoint,
            "REGSVC_CACHE": str(folder / f"cache-{name}"),
            "REGSVC_STATE": str(folder / "state"),
        }
        self.output = folder / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(self.command, env=self.environment, stdout=output, stderr=output)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


class Story:
    """All processes, and somebody who kills them."""

    def __init__(self, server: Server, other: Server, folder: Path):
        self.server, self.other, self.folder = server, other, folder
        self.receiver = ReceiverProcess(folder)
        self.work = folder / "work"
        self.hosts = [folder / f"host-{number}" for number in (1, 2)]
        endpoint = server.endpoint
        runner = Killable(folder, "runner", endpoint, "runner", "--work", str(self.work), "--name", "one")
        mirror = Killable(folder, "mirror", endpoint, "mirror", "--from", endpoint, "--to", other.endpoint)
        followers = [
            Killable(folder, each.name, endpoint, "follow", f"{MODEL}@prod", str(each), "--host", each.name)
            for each in self.hosts
        ]
        self.victims: list[Server | ReceiverProcess | Killable] = [
            server,
            self.receiver,
            runner,
            mirror,
            *followers,
        ]
        self.kills = 0

    def start(self) -> None:
        for each in self.victims[1:]:
            each.start()

    def killing(self, stop: threading.Event, chance: random.Random) -> None:
        """Until it is told to stop: one of them after another, each back after a while. All are there at the end."""
        while not stop.wait(chance.uniform(0.05, 1.2)):
            victim = chance.choice(self.victims)
            victim.kill()
            stop.wait(chance.uniform(0, 0.5))
            victim.start()
            self.kills += 1

    def differs(self) -> dict[str, tuple[Any, Any]]:
        """What the mirror has not, or has otherwise."""
        return difference(everything(self.server.endpoint), everything(self.other.endpoint))

    def end(self) -> None:
        for each in self.victims[1:]:
            each.kill()


@pytest.fixture
def story(start_server: Callable[..., Server], tmp_path: Path) -> Iterator[Story]:
    server = start_server(
        *("--build-lease", "3", "--heartbeat", "1", "--webhook-allow-private", "1", "--webhook-pace", "1e-4")
    )
    made = Story(server, start_server(data=tmp_path / "mirror"), tmp_path)
    yield made
    made.end()


@pytest.mark.parametrize("seed", range(int(os.environ.get("REGSVC_SOAK", "1"))))
def test_the_way_to_production_ends_in_the_same_state_whatever_is_killed(story: Story, seed: int) -> None:
    chance = random.Random(seed)
    wanted = [round(chance.uniform(0.1, 0.9), 3) for _ in range(ROUNDS - 1)] + [0.75]
    with regsvc.connect(story.server.endpoint) as client:
        _prepare(client, story)
        stop = threading.Event()
        killer = threading.Thread(target=story.killing, args=[stop, random.Random(seed + 100)])
        killer.start()
        try:
            runs = [_run(client, f1) for f1 in wanted]
        finally:
            stop.set()
            killer.join()
        assert story.kills >= ROUNDS

        prod = client.version(f"{MODEL}@prod")
        assert (prod.reference, prod.metrics["f1"]) == (runs[-1].versions[-1], 0.75)
        _each_run_came_to_one_version(client, wanted)
        for host in story.hosts:
            wait_until(lambda host=host: _serves(host, 0.75), what=f"{host.name} to serve it")  # type: ignore[misc]
        wait_until(lambda: not any(story.work.glob("*/*")), what="work folders to be cleaned")
        events = _events(client)
        wait_until(lambda: set(events) <= set(story.receiver.seqs), what="every event to be delivered")
        # What was not known to have arrived came again; nothing is missing, and nothing overtook.
        assert list(dict.fromkeys(story.receiver.seqs)) == events
        with contextlib.suppress(AssertionError):
            wait_until(lambda: not story.differs(), what="the mirror to be equal")
        assert list(story.differs().items())[:1] == []

        back = client.rollback(f"{MODEL}@prod", reason="the end").alias.reference
        for host in story.hosts:
            f1 = client.version(back).metrics["f1"]
            wait_until(lambda host=host, f1=f1: _serves(host, f1), what=f"{host.name} to go back")  # type: ignore[misc]


def _prepare(client: Client, story: Story) -> None:
    code = story.folder / "code"
    code.mkdir()
    (code / "train.py").write_text(TRAIN)
    first = story.folder / "first"
    first.mkdir()
    (first / "model.bin").write_bytes(b"0.6")
    client.create_webhook("story", f"http://127.0.0.1:{story.receiver.start().port}/", filter=EVENTS)
    story.receiver.kill()
    client.push(first, MODEL, metrics={"f1": 0.6}, aliases=["prod"])
    client.set_alias_rules(f"{MODEL}@prod", gate=GATE)
    template = {
        "steps": [{"name": "train", "command": [sys.executable, "train.py"]}],
        "params": {"f1": 0.0},
        "outputs": [{"path": "out", "promote": "prod"}],
        "retries": {"lost": 20},
    }
    client.set_template(f"{MODEL}/nightly", template, folder=code)
    story.start()


def _run(client: Client, f1: float) -> Build:
    """Queue a run; the attempt that succeeded."""
    name = client.run_template(f"{MODEL}/nightly", params={"f1": f1}).name

    def ended() -> bool:
        nonlocal name
        build = client.get_build(name)
        assert build.run is not None
        if build.state == "LOST":
            name = build.run.followed_by[-1]
        assert build.state in ("QUEUED", "RUNNING", "LOST", "SUCCEEDED"), build
        return build.state == "SUCCEEDED"

    wait_until(ended, limit=300, what=f"a run with {f1}")
    build = client.get_build(name)
    named = client.version(f"{MODEL}@prod").reference
    assert (named in build.versions) == (f1 > 0.5)
    return build


def _each_run_came_to_one_version(client: Client, wanted: list[float]) -> None:
    builds = {each.name: client.get_build(each.name) for each in client.builds(MODEL)}
    firsts = sorted((each for each in builds.values() if each.run and each.run.attempt == 1), key=_number)
    assert [each.params["f1"] for each in firsts] == wanted, "each was queued once"
    seen = 0
    for first in firsts:
        attempt = first
        while attempt.state == "LOST":
            assert attempt.run is not None
            [following] = attempt.run.followed_by
            seen += 1
            attempt = builds[following]
            assert attempt.run is not None
            assert attempt.params == first.params
        assert attempt.state == "SUCCEEDED"
        assert [line.text for line in client.logs(attempt.name) if line.text.startswith("step ")] == [
            f"step {step}" for step in range(30)
        ]
        seen += 1
    assert seen == len(builds), "no build that nothing asked for"


def _number(build: Build) -> int:
    return int(build.name.rsplit("/", 1)[1])


def _serves(host: Path, f1: float) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return (host / "current/model.bin").read_bytes().endswith(str(f1).encode())
    return False


def _events(client: Client) -> list[int]:
    """The numbers of all that the webhook is to have; the last one is made now."""
    client.set_alias(f"{MODEL}:1", "over")
    found = []
    for event in client.watch(after=0, filter=EVENTS):
        found.append(event.seq)
        if event.attributes.get("version", "").endswith("/1") and event.resource.endswith("/over"):
            break
    return found
