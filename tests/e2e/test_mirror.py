"""A mirror follows what changes at its source, and overwrites nothing that is its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pysqlite3 import dbapi2 as sqlite
from registries import bytes_of, difference, everything, fill, write_files
from support import Server, wait_until

import regsvc


@pytest.fixture
def two(start_server: Callable[..., Server]) -> tuple[Server, Server]:
    return start_server(), start_server()


def once(source: Server, target: Server, *flags: str, status: int = 0) -> tuple[list[dict[str, object]], str]:
    """Run a mirror until it is where the source is; gives what it said, and what it complained of."""
    done = target.cli("mirror", "--from", source.endpoint, "--once", "--json", *flags, check=False)
    assert done.returncode == status, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def equal(source: Server, target: Server) -> None:
    assert difference(everything(source.endpoint), everything(target.endpoint)) == {}


def push(server: Server, folder: Path, model: str, data: bytes, **options: object) -> str:
    with regsvc.connect(server.endpoint) as client:
        pushed = client.push(write_files(folder, {"w.bin": data}), model, **options)  # type: ignore[arg-type]
    return pushed.reference


def test_what_can_be_changed_follows_and_is_taken_back(two: tuple[Server, Server], tmp_path: Path) -> None:
    source, target = two
    fill(source.endpoint, tmp_path)
    once(source, target)
    with regsvc.connect(source.endpoint) as client:
        client.mark("team/fraud:2", bad=False)
        client.mark("team/fraud:1", bad=True, reason="leak")
        client.withdraw_approval("team/fraud:2", "ruled", author="dora")
        client.approve("team/fraud:1", "ruled", author="dora")
        client.set_alias_rules("team/fraud@ruled", gate="", approvals=0)
        client.set_alias_rules("team/fraud@prod", approvals=2)
        client.define_metric("team/fraud", "f1", "unknown")
        client.define_metric("team/fraud", "loss", "lower")
    told, _ = once(source, target)
    assert {each["kind"] for each in told if "kind" in each} == {"model", "state", "rules"}
    equal(source, target)
    with regsvc.connect(source.endpoint) as client:
        client.mark("team/fraud:1", bad=False)
        client.set_alias_rules("team/fraud@prod", approvals=0)
    once(source, target)
    equal(source, target)


def test_what_the_target_changed_itself_stays_and_is_told(two: tuple[Server, Server], tmp_path: Path) -> None:
    source, target = two
    for number in range(3):
        push(source, tmp_path / "x", "fraud", b"%d" % number)
    with regsvc.connect(source.endpoint) as client:
        client.set_alias("fraud:1", "prod")
    once(source, target)
    with regsvc.connect(target.endpoint) as client:
        client.set_alias("fraud:2", "prod")
        client.mark("fraud:1", bad=True, reason="here")
    assert once(source, target)[1] == ""  # nothing came, nothing was overwritten
    with regsvc.connect(source.endpoint) as client:
        client.set_alias("fraud:3", "prod")
        client.mark("fraud:1", bad=True, reason="there")
        client.set_alias("fraud:3", "other")
    told, _ = once(source, target, status=1)
    failed = {(each["kind"], each["outcome"]) for each in told if each.get("message")}
    assert failed == {("alias", "conflict"), ("state", "conflict")}
    with regsvc.connect(target.endpoint) as client:
        assert client.version("fraud@prod").number == 2
        assert client.version("fraud:1").bad_reason == "here"
        assert client.version("fraud@other").number == 3
    once(source, target)  # what was told is behind it
    assert push(target, tmp_path / "x", "mine", b"own") == "default/mine:1"


def test_a_running_build_comes_when_it_ends_and_its_version_before(
    two: tuple[Server, Server], tmp_path: Path
) -> None:
    source, target = two
    with regsvc.connect(source.endpoint) as client:
        build = client.build("fraud")
        build.log_metric("f1", 0.5)
        build.log("a line")
        build.publish(write_files(tmp_path / "x", {"w": b"w"}))
        once(source, target)
        with regsvc.connect(target.endpoint) as other:
            assert other.version("fraud").number == 1
            assert other.version("fraud").build is None
            assert list(other.builds("fraud")) == []
        build.finish()
    once(source, target)
    with regsvc.connect(target.endpoint) as other:
        assert other.version("fraud").build == "default/fraud/builds/1"
    equal(source, target)


def test_a_filter_chooses_models(two: tuple[Server, Server], tmp_path: Path) -> None:
    source, target = two
    fill(source.endpoint, tmp_path / "f")
    push(source, tmp_path / "x", "other", b"1")
    chosen = 'model == "team/fraud"'
    once(source, target, "--filter", chosen)
    with regsvc.connect(target.endpoint) as client:
        assert [each.name for each in client.models()] == ["team/fraud"]
        assert [each.reference for each in client.datasets()] == ["team/rows:1"]
    push(source, tmp_path / "x", "other", b"2")
    push(source, tmp_path / "x", "team/fraud", b"3")
    once(source, target, "--filter", chosen)
    with regsvc.connect(target.endpoint) as client:
        assert [each.name for each in client.models()] == ["team/fraud"]
        assert client.version("team/fraud").number == 3
    once(source, target)  # another filter begins anew
    equal(source, target)
    refused = target.cli("mirror", "--from", source.endpoint, "--once", "--filter", "model ==", check=False)
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1


def test_when_the_history_of_events_is_gone_all_is_compared_again(
    two: tuple[Server, Server], tmp_path: Path
) -> None:
    source, target = two
    push(source, tmp_path / "x", "fraud", b"1")
    once(source, target)
    for number in range(5):
        push(source, tmp_path / "x", "fraud", b"more %d" % number)
    source.stop()
    with sqlite.connect(source.data / "catalog.sqlite") as db:
        db.execute("DELETE FROM events WHERE seq < (SELECT max(seq) FROM events)")
    source.start()
    once(source, target)
    equal(source, target)
    # And so is it when the source is older than what was followed, as after a restore.
    source.stop()
    with sqlite.connect(source.data / "catalog.sqlite") as db:
        db.execute("DELETE FROM events")
        db.execute("DELETE FROM sqlite_sequence WHERE name = 'events'")
    source.start()
    push(source, tmp_path / "x", "fraud", b"after the restore")
    once(source, target)
    equal(source, target)


def test_a_mirror_goes_on_where_it_was(two: tuple[Server, Server], tmp_path: Path) -> None:
    source, target = two
    push(source, tmp_path / "x", "fraud", bytes_of(1 << 20, 1))
    first, _ = once(source, target)
    again, _ = once(source, target)
    assert [each for each in again if "kind" in each] == []
    assert first[-1]["seq"] == again[-1]["seq"] if again else True


def test_a_mirror_in_the_sdk_stops_when_asked(two: tuple[Server, Server], tmp_path: Path) -> None:
    source, target = two
    push(source, tmp_path / "x", "fraud", b"1")
    seen: list[int] = []
    with regsvc.connect(target.endpoint) as client:
        client.mirror(source.endpoint, on_caught_up=seen.append, stopped=lambda: bool(seen))
    assert seen
    wait_until(lambda: not difference(everything(source.endpoint), everything(target.endpoint)))
