"""What an import keeps, what it refuses, and what stays as it is: numbers, conflicts, other names, other clocks."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from registries import bytes_of, difference, everything, fill, write_files
from support import Server

import regsvc

HOUR = 3600


@pytest.fixture
def two(start_server: Callable[..., Server]) -> tuple[Server, Server]:
    return start_server(), start_server()


def push(server: Server, folder: Path, model: str, data: bytes, **options: object) -> regsvc.PushResult:
    with regsvc.connect(server.endpoint) as client:
        return client.push(write_files(folder, {"w.bin": data}), model, **options)  # type: ignore[arg-type]


def test_one_version_of_many_keeps_its_number_and_the_next_push_gets_the_next(
    two: tuple[Server, Server], tmp_path: Path
) -> None:
    source, target = two
    for number in range(1, 8):
        push(source, tmp_path / "x", "fraud", b"%d" % number)
    source.cli("alias", "set", "fraud:7", "prod")
    source.cli("export", "fraud@prod", f"regsvc://{target.endpoint}")
    with regsvc.connect(target.endpoint) as client:
        assert [each.number for each in client.versions("fraud")] == [7]
        assert client.version("fraud").number == 7
    assert push(target, tmp_path / "x", "fraud", b"own").number == 8


def test_builds_keep_their_numbers_too(two: tuple[Server, Server]) -> None:
    source, target = two
    with regsvc.connect(source.endpoint) as client:
        for _ in range(3):
            with client.build("fraud") as build:
                build.log("one line")
    source.cli("export", "fraud/builds/3", f"regsvc://{target.endpoint}")
    with regsvc.connect(target.endpoint) as client:
        assert [build.number for build in client.builds("fraud")] == [3]
        with client.build("fraud") as build:
            assert build.name.endswith("/builds/4")
        assert [line.text for line in client.logs("fraud/builds/3")] == ["one line"]


def test_what_has_the_same_name_and_is_something_else_stays_and_the_rest_comes(
    two: tuple[Server, Server], tmp_path: Path
) -> None:
    source, target = two
    push(source, tmp_path / "x", "fraud", b"of the source", aliases=["prod"])
    push(source, tmp_path / "x", "fraud", b"second", aliases=["next"])
    push(source, tmp_path / "x", "other", b"another model")
    push(target, tmp_path / "x", "fraud", b"of the target")
    before = everything(target.endpoint)
    done = source.cli("export", "--all", f"regsvc://{target.endpoint}", "--json", check=False)
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert {(each["kind"], each["name"], each["reason"]) for each in report["failed"]} == {
        ("version", "default/fraud:1", "IMPORT_CONFLICT"),
        ("alias", "default/fraud@prod", "IMPORT_CONFLICT"),
    }
    after = everything(target.endpoint)
    kept = "namespaces/default/models/fraud/versions/1"
    assert {name: after[name] for name in after if name.startswith(kept)} == {
        name: before[name] for name in before if name.startswith(kept)
    }
    with regsvc.connect(target.endpoint) as client:
        assert sorted(each.number for each in client.versions("fraud")) == [1, 2]
        assert client.version("fraud@next").number == 2
        assert client.version("other").number == 1
    told = source.cli("export", "--all", f"regsvc://{target.endpoint}", check=False)
    assert "conflict  version  default/fraud:1: default/fraud:1" in told.stderr


def test_an_archive_in_conflict_gives_its_chunks_to_versions_behind(
    two: tuple[Server, Server], tmp_path: Path
) -> None:
    """An archive has each chunk once: with the first version, which does not come in here."""
    source, target = two
    shared = bytes_of(3 << 20, 5)
    push(source, tmp_path / "x", "fraud", shared)
    push(source, tmp_path / "x", "fraud", shared + b"more")
    push(target, tmp_path / "x", "fraud", b"of the target")
    archive = tmp_path / "a.regsvc"
    source.cli("export", "fraud", str(archive))
    assert target.cli("import", "archive", str(archive), check=False).returncode == 1
    with regsvc.connect(target.endpoint) as client, client.open("fraud:2", "w.bin") as file:
        assert file.read() == shared + b"more"


def test_into_another_namespace_or_model(two: tuple[Server, Server], tmp_path: Path) -> None:
    source, target = two
    fill(source.endpoint, tmp_path)
    source.cli("export", "team/fraud", f"regsvc://{target.endpoint}", "--into", "backup/old")
    source.cli("export", "team/fraud", "team/base", f"regsvc://{target.endpoint}", "--into", "copy")
    here, there = everything(source.endpoint), everything(target.endpoint)
    for name, value in here.items():
        if not name.startswith("namespaces/team/models/fraud/") or "lineage" in name:
            continue
        for model in ("backup/models/old", "copy/models/fraud"):
            renamed = name.replace("team/models/fraud", model)
            told = there[renamed]
            if isinstance(told, str) and "record" not in name:
                told = told.replace(model, "team/models/fraud")
            elif isinstance(told, list):
                told = [each.replace(model, "team/models/fraud") for each in told]
            assert told == value, renamed
    record = there["namespaces/copy/models/fraud/versions/1 record"]
    assert "namespaces/team/models/base/versions/1" in record  # as it was sealed
    refused = source.cli("export", "--all", f"regsvc://{target.endpoint}", "--into", "a/b", check=False)
    assert refused.returncode == 1
    assert "several models cannot become one" in refused.stderr


def test_into_itself_needs_another_name(server: Server, tmp_path: Path) -> None:
    push(server, tmp_path / "x", "fraud", b"1")
    refused = server.cli("export", "fraud", f"regsvc://{server.endpoint}", check=False)
    assert refused.returncode == 1
    assert "are the same registry" in refused.stderr
    server.cli("export", "fraud", f"regsvc://{server.endpoint}", "--into", "default/again")
    with regsvc.connect(server.endpoint) as client:
        assert client.version("again").digest == client.version("fraud").digest


def test_an_older_archive_undoes_nothing_where_it_came_from(server: Server, tmp_path: Path) -> None:
    fill(server.endpoint, tmp_path / "f")
    archive = tmp_path / "a.regsvc"
    server.cli("export", "--all", str(archive))
    with regsvc.connect(server.endpoint) as client:
        client.mark("team/fraud:2", bad=False)
        client.set_alias_rules("team/fraud@ruled", gate="", approvals=0)
        client.set_alias("team/fraud:1", "candidate")
        client.withdraw_approval("team/fraud:2", "ruled", author="dora")
    before = everything(server.endpoint)
    server.cli("import", "archive", str(archive))
    assert difference(before, everything(server.endpoint)) == {}


@pytest.mark.parametrize("shift", [HOUR, -HOUR])
def test_clocks_an_hour_apart(start_server: Callable[..., Server], tmp_path: Path, shift: int) -> None:
    """Times are those of the source; what comes later on the target is not dated before them."""
    clock = tmp_path / "clock"
    clock.mkdir()
    (clock / "sitecustomize.py").write_text(
        f"import time\nreal = time.time_ns\ntime.time_ns = lambda: real() + {shift} * 10**9\n"
    )
    source, target = start_server(env={"PYTHONPATH": str(clock)}), start_server()
    fill(source.endpoint, tmp_path / "f")
    archive = tmp_path / "a.regsvc"
    source.cli("export", "--all", str(archive))
    target.cli("import", "archive", str(archive))
    assert difference(everything(source.endpoint), everything(target.endpoint)) == {}
    with regsvc.connect(target.endpoint) as client:
        ahead = client.version("team/fraud:1").created - datetime.now(UTC)
        assert abs(ahead.total_seconds() - shift) < HOUR / 2
        client.mark("team/fraud:2", bad=False)
        client.set_alias("team/fraud:2", "candidate")
        times = [change.time for change in client.alias_history("team/fraud@candidate")]
        assert times == sorted(times, reverse=True)
        assert client.version("team/fraud@candidate").number == 2
        assert push(target, tmp_path / "x", "team/fraud", b"own").number == 3
    again = target.cli("import", "archive", str(archive))
    assert "0 items came in" in again.stdout


def test_evaluations_that_differ_are_a_conflict_and_others_come(
    two: tuple[Server, Server], tmp_path: Path
) -> None:
    source, target = two
    push(source, tmp_path / "x", "fraud", b"1")
    source.cli("export", "fraud", f"regsvc://{target.endpoint}")
    for server, value in ((source, 0.5), (target, 0.6)):
        with regsvc.connect(server.endpoint) as client:
            client.evaluate("fraud:1", "nightly", {"auc": value})
    with regsvc.connect(source.endpoint) as client:
        client.evaluate("fraud:1", "nightly", {"auc": 0.7, "ece": 0.1})
    done = source.cli("export", "fraud", f"regsvc://{target.endpoint}", "--json", check=False)
    report = json.loads(done.stdout)
    assert (done.returncode, [each["kind"] for each in report["failed"]]) == (1, ["points"])
    with regsvc.connect(target.endpoint) as client:
        assert [(each.key, each.last) for each in client.metrics("fraud:1")] == [("auc", 0.6), ("ece", 0.1)]


def test_only_missing_chunks_travel(two: tuple[Server, Server], tmp_path: Path) -> None:
    source, target = two
    big = bytes_of(6 << 20, 9)
    push(target, tmp_path / "x", "mine", big)
    push(source, tmp_path / "x", "theirs", big + b"a tail")
    done = source.cli("export", "theirs", f"regsvc://{target.endpoint}", "--json")
    assert 0 < json.loads(done.stdout)["bytes_sent"] < 2 << 20


def test_two_copies_at_once_bring_everything_once(two: tuple[Server, Server], tmp_path: Path) -> None:
    source, target = two
    fill(source.endpoint, tmp_path / "f")
    for number in range(8):
        push(source, tmp_path / "x", "fraud", bytes_of(4 << 20, number))
    with ThreadPoolExecutor(3) as pool:
        runs = [
            pool.submit(source.cli, "export", "--all", f"regsvc://{target.endpoint}", "--json")
            for _ in range(3)
        ]
        assert all(json.loads(run.result().stdout)["failed"] == [] for run in runs)
    assert difference(everything(source.endpoint), everything(target.endpoint)) == {}


def test_what_is_damaged_at_the_source_is_told_and_the_rest_comes(
    two: tuple[Server, Server], tmp_path: Path
) -> None:
    source, target = two
    push(source, tmp_path / "x", "fraud", bytes_of(1 << 20, 1))
    push(source, tmp_path / "x", "sound", bytes_of(1 << 20, 2))
    source.stop()
    chunk = bytes_of(1 << 20, 1)[1000:1100]
    packs = [path for path in source.data.rglob("*") if path.is_file() and chunk in path.read_bytes()]
    assert packs
    for pack in packs:
        data = pack.read_bytes()
        pack.write_bytes(data.replace(chunk, bytes(100)))
    source.start()
    done = source.cli("export", "--all", f"regsvc://{target.endpoint}", "--json", check=False)
    assert done.returncode == 1
    [failed] = json.loads(done.stdout)["failed"]
    assert (failed["name"], failed["reason"]) == (
        "default/fraud:1",
        "CHUNK_DAMAGED",
    )
    with regsvc.connect(target.endpoint) as client:
        assert client.version("sound").number == 1
    done = source.cli("export", "--all", str(tmp_path / "a"), check=False)
    assert (done.returncode, "is damaged in the store" in done.stderr) == (1, True)
    assert not (tmp_path / "a").exists()
