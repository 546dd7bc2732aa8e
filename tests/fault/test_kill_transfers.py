"""Exports, imports and mirrors outlast kills of the source, of the target and of themselves: the end is the same."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from random_proxy import RandomProxy
from registries import bytes_of, difference, everything, fill, write_files
from support import Server, wait_until

import regsvc

ROUNDS = 10


def command(*args: str, endpoint: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "regsvc", *args],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "REGSVC_ENDPOINT": endpoint},
    )


def write(server: Server, folder: Path, rounds: int) -> None:
    """What a team does all day: builds, versions, aliases, notes, evaluations, marks."""
    with regsvc.connect(server.endpoint) as client:
        for number in range(rounds):
            with client.build("team/live") as build:
                build.log_metrics({"f1": number / rounds}, step=number)
                build.log(f"round {number}")
                data = {"w.bin": bytes_of(300_000, number), "base.bin": bytes_of(1 << 20, 77)}
                pushed = build.publish(write_files(folder / str(number), data), aliases=["newest"])
            client.evaluate(pushed.reference, "nightly", {"auc": 0.5})
            client.add_note(pushed.reference, f"round {number}", author="eve")
            client.mark(pushed.reference, bad=number % 3 == 0, reason="odd" if number % 3 == 0 else "")
            if number % 3:
                client.set_alias(pushed.reference, "good")


def test_whoever_is_killed_the_mirror_ends_equal(start_server: Callable[..., Server], tmp_path: Path) -> None:
    source, target = start_server(), start_server()
    fill(source.endpoint, tmp_path / "first")
    arguments = ("mirror", "--from", source.endpoint)
    mirror = command(*arguments, endpoint=target.endpoint)
    pool = ThreadPoolExecutor(1)
    writer = pool.submit(write, source, tmp_path, 12)
    chance = random.Random(4)
    try:
        for round_ in range(ROUNDS):
            time.sleep(chance.uniform(0.05, 0.7))  # the moment is the point, whatever it hits
            match round_ % 3:
                case 0:
                    target.kill()
                    target.start()
                case 1:
                    mirror.kill()
                    mirror.wait()
                    mirror = command(*arguments, endpoint=target.endpoint)
                case 2:
                    source.kill()
                    source.start()
        writer.result()
        assert mirror.poll() is None
    finally:
        mirror.kill()
        mirror.wait()
        pool.shutdown()
    told = target.cli("mirror", "--from", source.endpoint, "--once")
    assert "did not come in" not in told.stdout
    assert difference(everything(source.endpoint), everything(target.endpoint)) == {}


def test_a_mirror_that_follows_ends_equal_by_itself(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    source, target = start_server(), start_server()
    mirror = command("mirror", "--from", source.endpoint, endpoint=target.endpoint)
    try:
        write(source, tmp_path, 3)
        wait_until(
            lambda: not difference(everything(source.endpoint), everything(target.endpoint)),
            what="equality",
        )
        assert mirror.poll() is None
    finally:
        mirror.terminate()
        assert mirror.wait(timeout=60) == 0


def test_an_import_that_was_killed_is_run_again(start_server: Callable[..., Server], tmp_path: Path) -> None:
    """Whether the client dies or the server: no version is there by half, and the second run completes it."""
    source, target = start_server(), start_server()
    fill(source.endpoint, tmp_path / "f")
    with regsvc.connect(source.endpoint) as client:
        for number in range(6):
            client.push(
                write_files(tmp_path / "x", {"w.bin": bytes_of(8 << 20, number), "n": b"%d" % number}),
                "fraud",
            )
    archive = tmp_path / "a.regsvc"
    source.cli("export", "--all", str(archive))
    seen = everything(source.endpoint)
    chance = random.Random(5)
    for round_ in range(6):
        process = command("import", "archive", str(archive), endpoint=target.endpoint)
        time.sleep(chance.uniform(0.4, 1.5))  # the moment is the point
        if round_ % 2:
            process.kill()
            process.wait()
        else:
            target.kill()
            target.start()
            process.wait()
        there = everything(target.endpoint)
        for name in there:
            if "/versions/" in name and name.endswith(" record"):
                whole = name.removesuffix(" record")
                assert {
                    key for key in seen if key.startswith(f"{whole} ") and isinstance(seen[key], tuple)
                } <= (there.keys())
    target.cli("import", "archive", str(archive))
    assert difference(seen, everything(target.endpoint)) == {}


def test_a_copy_outlasts_restarts_of_both_servers(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    source, target = start_server(), start_server()
    with regsvc.connect(source.endpoint) as client:
        for number in range(10):
            client.push(write_files(tmp_path / "x", {"w.bin": bytes_of(8 << 20, number)}), "fraud")
    process = command("export", "--all", f"regsvc://{target.endpoint}", endpoint=source.endpoint)
    chance = random.Random(6)
    for server in (target, source, target, source):
        time.sleep(chance.uniform(0.1, 0.6))  # the moment is the point
        server.kill()
        server.start()
    assert process.wait(timeout=120) == 0
    assert difference(everything(source.endpoint), everything(target.endpoint)) == {}


@pytest.mark.parametrize("seed", range(3))
def test_connections_that_break_anywhere_change_nothing(
    start_server: Callable[..., Server], tmp_path: Path, seed: int
) -> None:
    source, target, other = start_server(), start_server(), start_server()
    fill(source.endpoint, tmp_path / "f")
    with regsvc.connect(source.endpoint) as client:
        for number in range(3):
            client.push(write_files(tmp_path / "x", {"w.bin": bytes_of(4 << 20, number)}), "fraud")
    seen = everything(source.endpoint)
    with (
        RandomProxy(source.endpoint, seed=seed, cuts=12, most=2 << 20) as here,
        RandomProxy(target.endpoint, seed=seed + 100, cuts=12, most=2 << 20) as there,
    ):
        with regsvc.connect(here.endpoint) as client:
            report = client.export_to(there.endpoint)
        assert here.broken + there.broken >= 4
    assert report.failed == []
    assert difference(seen, everything(target.endpoint)) == {}
    with (
        RandomProxy(source.endpoint, seed=seed + 200, cuts=12, most=2 << 20) as here,
        RandomProxy(other.endpoint, seed=seed + 300, cuts=12, most=2 << 20) as there,
    ):
        with regsvc.connect(here.endpoint) as client:
            client.export_archive(tmp_path / "a.regsvc")
        with regsvc.connect(there.endpoint) as client:
            assert client.import_archive(tmp_path / "a.regsvc").failed == []
    assert difference(seen, everything(other.endpoint)) == {}
