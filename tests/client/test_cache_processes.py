"""Many processes share the cache, and any of them may be killed: nothing wrong ever comes out."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from regsvc.client.cache import Cache

from . import cache_worker

HERE = Path(__file__).parent


def worker(tmp_path: Path, seed: object, rounds: int, how: str) -> subprocess.Popen[str]:
    arguments = [str(tmp_path / "cache"), str(tmp_path / "work"), str(seed), str(rounds), how]
    return subprocess.Popen(
        [sys.executable, str(HERE / "cache_worker.py"), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("how", ["links", "edits"])
def test_processes_that_pull_and_prune_at_once(tmp_path: Path, how: str) -> None:
    processes = [worker(tmp_path, seed, 40, how) for seed in range(4)]
    for process in processes:
        out, err = process.communicate(timeout=240)
        assert process.returncode == 0, err
        assert out.split()[-1] == "39"
    chosen = Cache(tmp_path / "cache", cache_worker.LIMIT)
    assert chosen.verify().damaged == () or how == "edits"
    assert chosen.prune() is not None
    assert 0 <= chosen.contents().bytes <= cache_worker.LIMIT
    assert not list((tmp_path / "cache" / "incoming").iterdir())


def test_processes_killed_while_others_pull(tmp_path: Path) -> None:
    dice = random.Random(5)
    survivor = worker(tmp_path, "survivor", 60, "links")
    for seed in range(6):
        process = worker(tmp_path, seed, 1_000, "links")
        assert process.stdout is not None
        for _ in range(dice.randrange(1, 6)):
            assert process.stdout.readline(), process.stderr and process.stderr.read()
        process.kill()
        process.communicate(timeout=60)
    _, err = survivor.communicate(timeout=240)
    assert survivor.returncode == 0, err
    assert Cache(tmp_path / "cache").verify().damaged == ()
    assert Cache(tmp_path / "cache").prune(0) is not None
    left = [path for kind in ("files", "notes", "versions", "incoming") for path in left_in(tmp_path, kind)]
    assert left == []


def left_in(tmp_path: Path, kind: str) -> list[Path]:
    return [path for path in (tmp_path / "cache" / kind).rglob("*") if path.is_file()]


@pytest.mark.parametrize(("how", "changes"), [("insert", 10), ("prune", 6)])
def test_a_process_killed_before_any_of_its_changes(tmp_path: Path, how: str, changes: int) -> None:
    done = subprocess.run(
        [sys.executable, str(HERE / "cache_killed.py"), str(tmp_path), how],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= changes
