"""`regsvc cache`: what it prints, and how it ends."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from blake3 import blake3
from support import run_cli

from regsvc.client.cache import Cache, NewFile

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A cache of two versions, the second used last."""
    home = tmp_path / "cache"
    for number in (1, 2):
        path = tmp_path / f"weights{number}"
        data = bytes([number]) * 100_000
        path.write_bytes(data)
        digest = blake3(data).digest()
        with Cache(home).using() as entries:
            assert entries is not None
            proven = NewFile(str(path), digest, len(data), [(digest, len(data))])
            assert entries.add(blake3(bytes([number])).digest(), f"team/fraud:{number}", [proven])
    return home


@pytest.fixture
def run(home: Path) -> Run:
    def run(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
        # No server: the cache is this machine's own.
        settings = {"REGSVC_CACHE": str(home), "REGSVC_CACHE_SIZE": "1GiB", **env}
        return run_cli("cache", *args, endpoint="127.0.0.1:1", check=False, env=settings)

    return run


def damage(home: Path) -> str:
    """Change a byte of a cached file; gives its digest."""
    path = min((home / "files").glob("*/*"))
    with open(path, "r+b") as file:
        file.write(b"\xff")
    return path.name


def test_ls_as_json(run: Run, home: Path) -> None:
    done = run("ls", "--json")
    document = json.loads(done.stdout)
    assert (document["path"], document["limit"], document["files"]) == (str(home), 1 << 30, 2)
    assert document["bytes"] == 2 * 102_400
    assert [each["references"] for each in document["versions"]] == [["team/fraud:2"], ["team/fraud:1"]]
    for each in document["versions"]:
        assert set(each) == {"references", "digest", "files", "bytes", "last_used"}
        assert (each["files"], each["bytes"], len(each["digest"])) == (1, 100_000, 64)
        assert each["last_used"].endswith("Z")


def test_ls_for_people(run: Run, home: Path) -> None:
    lines = run("ls").stdout.splitlines()
    assert lines[0].split() == ["VERSION", "FILES", "SIZE", "LAST", "USED", "DIGEST"]
    assert lines[1].startswith("team/fraud:2 ")
    assert lines[-1] == f"2 versions, 2 files, 200.0 KiB of 1.0 GiB in {home}"


def test_ls_of_a_cache_that_is_not_there(run: Run, tmp_path: Path) -> None:
    done = run("ls", "--json", REGSVC_CACHE=str(tmp_path / "nowhere"))
    assert json.loads(done.stdout)["versions"] == []
    assert not (tmp_path / "nowhere").exists()


def test_prune_to_a_size(run: Run) -> None:
    assert json.loads(run("prune", "--json").stdout) == {"versions": 0, "files": 0, "bytes": 0}
    assert json.loads(run("prune", "--to", "100KiB", "--json").stdout) == {
        "versions": 1,
        "files": 1,
        "bytes": 100_000,
    }
    assert "team/fraud:2" in run("ls").stdout


def test_prune_all(run: Run, home: Path) -> None:
    assert run("prune", "--all").stdout == "removed 2 versions, 2 files, 195.3 KiB\n"
    assert Cache(home).contents().versions == ()


def test_prune_says_when_the_cache_is_in_use(run: Run, home: Path) -> None:
    with Cache(home).using():
        done = run("prune", "--all", "--wait", "0.1")
    assert done.returncode == 1
    assert "in use" in done.stderr
    assert done.stderr.count("\n") == 1
    assert len(Cache(home).contents().versions) == 2


def test_verify_of_a_sound_cache(run: Run) -> None:
    done = run("verify")
    assert done.returncode == 0
    assert done.stdout == "2 files, 195.3 KiB read; 0 were damaged\n"


@pytest.mark.parametrize("as_json", [False, True])
def test_verify_drops_what_is_damaged_and_says_so(run: Run, home: Path, as_json: bool) -> None:
    digest = damage(home)
    done = run("verify", *(["--json"] if as_json else []))
    assert done.returncode == 1
    assert done.stderr == ""
    if as_json:
        assert json.loads(done.stdout) == {"files": 2, "bytes": 200_000, "damaged": [digest]}
    else:
        assert done.stdout.splitlines()[0] == f"{digest}  damaged, dropped"
    assert run("verify").returncode == 0


@pytest.mark.parametrize("command", ["ls", "prune", "verify"])
@pytest.mark.parametrize(
    ("env", "named"),
    [({"REGSVC_CACHE": "off"}, "REGSVC_CACHE"), ({"REGSVC_CACHE_SIZE": "20 gigs"}, "20 gigs")],
)
def test_settings_that_leave_no_cache_are_named(
    run: Run, command: str, env: dict[str, str], named: str
) -> None:
    done = run(command, **env)
    assert done.returncode == 1
    assert named in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [["prune", "--to", "5 apples"], ["prune", "--all", "--to", "1GiB"], []])
def test_a_usage_error_is_status_2(run: Run, arguments: list[str]) -> None:
    assert run(*arguments).returncode == 2
