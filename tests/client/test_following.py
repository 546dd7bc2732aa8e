"""Followers as processes and in a program: the folder is always a whole version, and the alias's as soon as can be."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support import Server, wait_until

import regsvc
from regsvc.client.client import Client
from regsvc.client.following import Change, Follower
from regsvc.client.hooks import HookFailed, run_hook
from regsvc.errors import InvalidArgument, NameInvalid, NotFollowed, NotFound


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with regsvc.connect(server.endpoint) as connected:
        yield connected


@pytest.fixture
def versions(client: Client, tmp_path: Path) -> list[dict[str, bytes]]:
    """The files of three versions of team/fraud; prod names the first."""
    made = []
    for number in (1, 2, 3):
        folder = tmp_path / f"source-{number}"
        folder.mkdir()
        files = {"w.bin": os.urandom(400_000), "config.json": f'{{"n": {number}}}'.encode()}
        for name, data in files.items():
            (folder / name).write_bytes(data)
        client.push(folder, "team/fraud", aliases=["prod"] if number == 1 else [])
        made.append(files)
    return made


class Process:
    """`regsvc follow`, whose lines can be waited for."""

    def __init__(self, server: Server, folder: Path, *options: str, cache: Path) -> None:
        self.command = [sys.executable, "-m", "regsvc", "follow", "team/fraud@prod", str(folder), "--json"]
        self.command += options
        self.environment = {
            **os.environ,
            "REGSVC_ENDPOINT": server.endpoint,
            "REGSVC_CACHE": str(cache),
        }
        self.folder = folder
        self.lines: list[dict[str, Any]] = []
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.readers = [
            threading.Thread(target=self._read, daemon=True),
            threading.Thread(target=self.process.stderr.read, daemon=True),  # type: ignore[union-attr]
        ]
        for reader in self.readers:
            reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:  # type: ignore[union-attr]
            if line.startswith("{"):
                self.lines.append(json.loads(line))

    def serves(self, number: int) -> bool:
        return any(
            line["state"] == "SERVING" and line["served"] == f"team/fraud:{number}"
            for line in self.lines[-1:]
        )

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        status = self.process.wait(60)
        for reader in self.readers:
            reader.join(10)
        for pipe in (self.process.stdout, self.process.stderr):
            pipe.close()  # type: ignore[union-attr]
        return status


@pytest.fixture
def follow(server: Server, tmp_path: Path) -> Iterator[Any]:
    started: list[Process] = []

    def make(name: str, *options: str) -> Process:
        started.append(Process(server, tmp_path / name, *options, cache=tmp_path / "cache"))
        return started[-1]

    yield make
    for process in started:
        if process.process.poll() is None:
            process.end(signal.SIGKILL)


def held(folder: Path) -> dict[str, bytes]:
    """What the link leads to."""
    current = folder / "current"
    return {each.name: each.read_bytes() for each in current.iterdir()} if current.exists() else {}


def test_three_followers_swap_with_the_alias_and_back(
    client: Client, versions: list[dict[str, bytes]], follow: Any
) -> None:
    followers = [follow(f"host-{number}", "--host", f"host-{number}") for number in range(3)]
    for follower in followers:
        wait_until(lambda each=follower: each.serves(1), what="the first version")
        assert held(follower.folder) == versions[0]
    client.promote("team/fraud:2", "prod")
    for follower in followers:
        wait_until(lambda each=follower: each.serves(2), what="the second version")
        assert held(follower.folder) == versions[1]
    client.rollback("team/fraud@prod", reason="worse")
    for follower in followers:
        wait_until(lambda each=follower: each.serves(1), what="the way back")
        assert held(follower.folder) == versions[0]
    wait_until(
        lambda: [each.reference for each in client.deployments("team/fraud@prod")] == ["team/fraud:1"] * 3
    )
    found = list(client.deployments())
    assert [(each.host, each.state, each.away) for each in found] == [
        (f"host-{number}", "SERVING", False) for number in range(3)
    ]
    for follower in followers:
        assert follower.end() == 0


def test_a_hook_that_fails_puts_the_version_before_back(
    client: Client, versions: list[dict[str, bytes]], follow: Any, tmp_path: Path
) -> None:
    log = tmp_path / "hooks"
    hook = (
        f'echo "$REGSVC_REF $REGSVC_PREVIOUS $REGSVC_BACK" >> {log};'
        ' test "$(cat "$REGSVC_PATH/config.json")" = "{\\"n\\": $REGSVC_VERSION}" || exit 9;'
        " test $REGSVC_VERSION != 2 || { echo 'it does not load' >&2; exit 3; }"
    )
    follower = follow("served", "--exec", hook)
    wait_until(lambda: follower.serves(1))
    client.set_alias("team/fraud:2", "prod")
    wait_until(lambda: follower.lines[-1]["state"] == "FAILED")
    assert follower.lines[-1] == {
        "state": "FAILED",
        "served": "team/fraud:1",
        "target": "team/fraud:2",
        "error": "the hook ended with status 3: it does not load",
    }
    assert held(follower.folder) == versions[0]
    wait_until(lambda: next(client.deployments("team/fraud")).error)
    found = next(client.deployments("team/fraud"))
    assert (found.state, found.reference, found.target) == ("FAILED", "team/fraud:1", "team/fraud:2")
    client.set_alias("team/fraud:3", "prod")
    wait_until(lambda: follower.serves(3))
    assert log.read_text().splitlines() == [
        "team/fraud:1  ",
        "team/fraud:2 team/fraud:1 ",
        "team/fraud:1 team/fraud:2 1",
        "team/fraud:3 team/fraud:1 ",
    ]
    assert next(client.deployments("team/fraud")).error == ""


def test_a_hook_that_hangs_is_ended_with_all_its_children(tmp_path: Path) -> None:
    mark = tmp_path / "child"
    script = tmp_path / "hook"
    script.write_text(f"trap '' TERM; (trap '' TERM; echo $BASHPID > {mark}; sleep 1000) & sleep 1000")
    with pytest.raises(HookFailed, match="did not end within 2 s"):
        run_hook(f"exec bash {script}", {}, 2.0)
    child = int(mark.read_text())
    wait_until(lambda: not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text())


def test_the_first_version_that_does_not_do_is_not_served(
    versions: list[dict[str, bytes]], follow: Any
) -> None:
    follower = follow("served", "--exec", "exit 1")
    wait_until(lambda: follower.lines and follower.lines[-1]["state"] == "FAILED")
    assert not (follower.folder / "current").exists()
    assert follower.lines[-1]["served"] is None


def test_it_serves_on_while_the_registry_is_away(
    server: Server, client: Client, versions: list[dict[str, bytes]], follow: Any
) -> None:
    follower = follow("served")
    wait_until(lambda: follower.serves(1))
    server.kill()
    assert held(follower.folder) == versions[0]
    assert follower.end() == 0, "it stops when asked, whether the registry is there or not"
    follower.start()  # without a registry
    assert held(follower.folder) == versions[0]
    server.start()
    client.set_alias("team/fraud:2", "prod")
    wait_until(lambda: follower.serves(2))
    assert held(follower.folder) == versions[1]


def test_killed_at_any_moment_it_holds_a_whole_version_and_goes_on(
    client: Client, versions: list[dict[str, bytes]], follow: Any, tmp_path: Path
) -> None:
    log = tmp_path / "hooks"
    follower = follow("served", "--keep", "0", "--exec", f"echo $REGSVC_VERSION >> {log}; sleep 0.05")
    wait_until(lambda: follower.serves(1))
    chance = random.Random(7)
    for attempt in range(12):
        target = (attempt + 1) % 3 + 1
        seen = len(follower.lines)
        client.set_alias(f"team/fraud:{target}", "prod")
        wanted = chance.choice(["PULLING", "SWITCHING", "SERVING"])
        wait_until(lambda s=seen, w=wanted: any(line["state"] == w for line in follower.lines[s:]))
        follower.end(signal.SIGKILL)
        assert held(follower.folder) in versions
        follower.lines.clear()
        follower.start()
        wait_until(lambda number=target: follower.serves(number), what=f"version {target}")
        assert held(follower.folder) == versions[target - 1]
        assert int(log.read_text().split()[-1]) == target, "whoever serves was told"
    wait_until(lambda: len(list((follower.folder / ".regsvc/versions").iterdir())) <= 2, what="tidying up")
    assert len(list(client.deployments("team/fraud"))) == 1, "it keeps its name"


def test_a_program_follows_and_refuses_by_an_exception(
    client: Client, versions: list[dict[str, bytes]], tmp_path: Path
) -> None:
    seen: list[Change] = []

    def load(change: Change) -> None:
        seen.append(change)
        if change.reference == "team/fraud:2":
            raise ValueError("wrong shape")
        assert (change.path / "w.bin").read_bytes() == versions[int(change.reference[-1]) - 1]["w.bin"]

    with client.follow("team/fraud@prod", tmp_path / "served", on_change=load) as follower:
        wait_until(lambda: follower.served == "team/fraud:1")
        client.set_alias("team/fraud:2", "prod")
        wait_until(lambda: len(seen) == 3)
        client.set_alias("team/fraud:3", "prod")
        wait_until(lambda: follower.served == "team/fraud:3")
    assert [(each.reference[-1], each.back) for each in seen] == [
        ("1", False),
        ("2", False),
        ("1", True),
        ("3", False),
    ]


def test_once_ends_when_it_is_served(
    server: Server, client: Client, versions: list[dict[str, bytes]], tmp_path: Path
) -> None:
    env = {"REGSVC_CACHE": str(tmp_path / "cache")}
    done = server.cli("follow", "team/fraud@prod", str(tmp_path / "served"), "--once", env=env)
    assert "serving    serves team/fraud:1" in done.stdout
    assert held(tmp_path / "served") == versions[0]
    failed = server.cli(
        *("follow", "team/fraud@prod", str(tmp_path / "other"), "--once", "--exec", "exit 4"),
        check=False,
        env=env,
    )
    assert (failed.returncode, failed.stderr.strip()) == (1, "regsvc: the hook ended with status 4")


def test_an_alias_that_does_not_exist_yet_is_waited_for(
    client: Client, versions: list[dict[str, bytes]], tmp_path: Path
) -> None:
    states: list[str] = []
    follower = client.follow(
        "team/fraud@later", tmp_path / "served", on_happening=lambda found: states.append(found.state)
    )
    with follower:
        wait_until(lambda: states == ["WAITING"])
        client.set_alias("team/fraud:2", "later")
        wait_until(lambda: follower.served == "team/fraud:2")


def test_only_the_folder_of_this_follower_is_touched(
    client: Client, versions: list[dict[str, bytes]], tmp_path: Path
) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("mine")
    with pytest.raises(NotFollowed, match=r"thesis\.txt"):
        client.follow("team/fraud@prod", foreign).run(once=True)
    assert [each.name for each in foreign.iterdir()] == ["thesis.txt"]
    (tmp_path / "file").touch()
    with pytest.raises(NotFollowed):
        client.follow("team/fraud@prod", tmp_path / "file").run(once=True)
    served = tmp_path / "served"
    client.follow("team/fraud@prod", served).run(once=True)
    with pytest.raises(NotFollowed, match="team/fraud@prod"):
        client.follow("team/fraud@other", served).run(once=True)
    with client.follow("team/fraud@prod", served) as first:
        wait_until(lambda: first.served)
        with pytest.raises(NotFollowed, match="another follower"):
            client.follow("team/fraud@prod", served).run(once=True)
    (served / ".regsvc/state.json").write_text("{")
    with pytest.raises(NotFollowed, match="cannot be read"):
        client.follow("team/fraud@prod", served).run(once=True)


def test_what_cannot_be_followed_is_said_at_once(client: Client, versions: object, tmp_path: Path) -> None:
    with pytest.raises(NameInvalid):
        client.follow("team/fraud:1", tmp_path / "served")
    with pytest.raises(InvalidArgument):
        client.follow("team/fraud@prod", tmp_path / "served", layout="odd")
    with pytest.raises(NotFound):
        client.follow("team/none@prod", tmp_path / "served").run(once=True)


def test_triton_finds_a_model_folder(client: Client, tmp_path: Path) -> None:
    source = tmp_path / "files"
    source.mkdir()
    (source / "model.onnx").write_bytes(b"onnx")
    (source / "config.pbtxt").write_text('name: "net"')
    client.push(source, "team/net", aliases=["prod"])
    repository = tmp_path / "repository"
    (repository / "other").mkdir(parents=True)
    client.follow("team/net@prod", repository, layout="triton").run(once=True)
    assert (repository / "net/1/model.onnx").read_bytes() == b"onnx"
    assert (repository / "net/config.pbtxt").read_text() == 'name: "net"'
    (source / "model.onnx").unlink()
    (source / "7").mkdir()
    (source / "7/model.onnx").write_bytes(b"whole")
    client.push(source, "team/net", aliases=["prod"])
    client.follow("team/net@prod", repository, layout="triton").run(once=True)
    assert (repository / "net/7/model.onnx").read_bytes() == b"whole"
    assert sorted(each.name for each in repository.iterdir()) == [".regsvc", "net", "other"]


def test_a_disk_that_is_full_keeps_what_is_served(
    client: Client, versions: list[dict[str, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[tuple[str, str]] = []
    follower = client.follow(
        "team/fraud@prod",
        tmp_path / "served",
        on_happening=lambda found: happened.append((found.state, found.error)),
    )
    monkeypatch.setattr("regsvc.client.following._FIRST_PAUSE", 0.05)
    with follower:
        wait_until(lambda: follower.served == "team/fraud:1")
        full = True
        real = Path.symlink_to

        def symlink_to(path: Path, *args: Any, **kwargs: Any) -> None:
            if full and path.name.startswith(".current"):
                raise OSError(28, "No space left on device")
            real(path, *args, **kwargs)

        monkeypatch.setattr(Path, "symlink_to", symlink_to)
        client.set_alias("team/fraud:2", "prod")
        wait_until(lambda: ("FAILED", "No space left on device") in happened)
        assert held(tmp_path / "served") == versions[0]
        full = False
        wait_until(lambda: follower.served == "team/fraud:2")
    assert held(tmp_path / "served") == versions[1]


def test_the_inventory_lists_and_forgets(
    server: Server, client: Client, versions: object, tmp_path: Path
) -> None:
    follower = Follower(
        client, "team/fraud@prod", tmp_path / "served", host="web", labels={"zone": "eu"}, lease=5
    )
    follower.run(once=True)
    [found] = json.loads(server.cli("deployments", "team/fraud@prod", "--json").stdout)
    assert (found["host"], found["reference"], found["labels"]) == ("web", "team/fraud:1", {"zone": "eu"})
    assert "web" in server.cli("deployments", "team/").stdout
    wait_until(lambda: next(client.deployments("team/fraud")).away)
    assert "away" in server.cli("deployments").stdout
    server.cli("deployments", "--forget", found["name"])
    assert list(client.deployments()) == []


def test_a_version_deleted_by_force_is_served_until_the_alias_names_another(
    client: Client, versions: list[dict[str, bytes]], tmp_path: Path
) -> None:
    folder = tmp_path / "served"
    with client.follow("team/fraud@prod", folder):

        def states() -> list[str]:
            return [each.state for each in client.deployments("team/fraud")]

        wait_until(lambda: states() == ["SERVING"], what="the first version")
        done = client.delete("team/fraud:1", force=True, keep=timedelta())
        assert (done.unset_aliases, len(done.hosts)) == (("prod",), 1)
        client.collect(full=True)
        wait_until(lambda: states() == ["WAITING"], what="its word")
        assert held(folder) == versions[0]
        client.promote("team/fraud:3", "prod")
        wait_until(lambda: held(folder) == versions[2], what="the third version")
