"""`regsvc import hf` on a real server: what it prints, its status, and that it may be killed at any time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import hf_folders as hf
import pytest
from support import Server, wait_until

import regsvc
from regsvc.client.records import Version
from regsvc.errors import NotFound

A, B = hf.COMMITS[:2]
FILES = {"README.md": hf.card(license="mit"), "model.safetensors": b"w" * 1000}


@pytest.fixture
def org() -> str:
    """An organisation of each test's own."""
    return f"Org-{uuid.uuid4().hex[:10]}"


def test_it_says_what_it_did(shared_server: Server, tmp_path: Path, org: str) -> None:
    hf.snapshot(tmp_path, f"{org}/M", A, FILES, ["main", "refs/pr/1"])
    hf.snapshot(tmp_path, f"{org}/data", A, FILES, repo_type="dataset")
    source, model = f"{org}/M@{A[:12]}", f"{org.lower()}/m"

    planned = shared_server.cli("import", "hf", str(tmp_path), "--dry-run")
    assert f"{source}  planned  {model}  2 files" in planned.stdout
    assert shared_server.cli("show", model, check=False).returncode == 1

    done = shared_server.cli("import", "hf", str(tmp_path))
    assert f"{source}  imported  {model}:1  2 files" in done.stdout
    assert done.stdout.rstrip().endswith("@main")
    assert f"datasets--{org}--data: left out" in done.stderr
    assert f"{org}/M@refs/pr/1: left out" in done.stderr

    again = shared_server.cli("import", "hf", str(tmp_path), "--json")
    document = json.loads(again.stdout)
    assert [(each["outcome"], each["reference"]) for each in document["snapshots"]] == [
        ("present", f"{model}:1")
    ]
    assert len(document["skipped"]) == 2
    assert document["failed"] == 0


def test_its_status_is_1_when_something_failed(shared_server: Server, tmp_path: Path, org: str) -> None:
    hf.snapshot(tmp_path, f"{org}/good", A, FILES)
    bad = hf.snapshot(tmp_path, f"{org}/bad", A, {"config.json": b"bad"})
    (bad / "evil\x1b[2J").symlink_to("/etc/passwd")
    (bad / "link").symlink_to("/etc/passwd")
    failed = shared_server.cli("import", "hf", str(tmp_path), check=False)
    assert failed.returncode == 1
    assert f"{org}/good@{A[:12]}  imported" in failed.stdout
    assert f"{org}/bad@{A[:12]}: " in failed.stderr
    assert "\x1b" not in failed.stdout + failed.stderr
    document = json.loads(shared_server.cli("import", "hf", str(tmp_path), "--json", check=False).stdout)
    assert document["failed"] == 1


def test_names_that_are_no_unicode_are_said(shared_server: Server, tmp_path: Path, org: str) -> None:
    cache = tmp_path / "hub"
    good = hf.snapshot(cache, f"{org}/good", A, FILES)
    bad = os.fsdecode(b"\xff")
    hf.snapshot(cache, f"{org}/file", A, {bad: b"1"})
    (good.parent.parent / "refs").mkdir()
    (good.parent.parent / "refs" / bad).write_text(A)
    for kind in ("model", "dataset"):
        hf.snapshot(cache, f"{org}/x", A, FILES, repo_type=kind)
        hf.repository(cache, f"{org}/x", kind).rename(cache / f"{kind}s--{org}--{bad}")
    plain = hf.plain(tmp_path / f"{org}{bad}x", FILES)
    for options in ([], ["--json"]):
        done = shared_server.cli("import", "hf", str(cache), *options, check=False)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert f"{org}/good" in done.stdout
        assert shared_server.cli("import", "hf", str(plain), *options).returncode == 0
    document = json.loads(shared_server.cli("import", "hf", str(cache), "--json", check=False).stdout)
    assert sorted(each["outcome"] for each in document["snapshots"]) == ["failed", "failed", "present"]
    assert len(document["skipped"]) == 2


@pytest.mark.parametrize(
    "options", [["--revision", "v9"], ["--model", "a/b/c"], ["--namespace", "A B"], ["--model", "x:1"]]
)
def test_wrong_options_are_one_line(
    shared_server: Server, tmp_path: Path, org: str, options: list[str]
) -> None:
    hf.snapshot(tmp_path, f"{org}/m", A, FILES)
    wrong = shared_server.cli("import", "hf", str(tmp_path), *options, check=False)
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert len(wrong.stderr.splitlines()) == 1


def test_options_choose_place_and_revision(shared_server: Server, tmp_path: Path, org: str) -> None:
    hf.snapshot(tmp_path, f"{org}/m", A, FILES, ["main"])
    hf.snapshot(tmp_path, f"{org}/m", B, {"config.json": b"{}"}, ["v1"])
    name = f"{org.lower()}x"
    options = ["--model", "chosen", "--namespace", name, "--revision", "v1"]
    done = shared_server.cli("import", "hf", str(tmp_path), *options)
    assert f"{org}/m@{B[:12]}  imported  {name}/chosen:1" in done.stdout
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize("moment", ["first version", "middle of an upload"])
def test_an_import_that_was_killed_ends_as_one_that_was_not(
    server: Server, tmp_path: Path, moment: str
) -> None:
    cache = tmp_path / "hub"
    for number, commit in enumerate(hf.COMMITS[:8]):
        files = {**FILES, "model.safetensors": os.urandom(12_000_000), "config.json": b"%d" % number}
        hf.snapshot(cache, "org/m", commit, files, ["main" if number == 3 else f"v{number}"], time=number + 1)
    with regsvc.connect(server.endpoint) as client:
        for _ in range(2):  # killed twice
            before = len(versions(client, "org/m"))
            size = stored(server)
            importing = subprocess.Popen(
                [sys.executable, "-m", "regsvc", "import", "hf", str(cache)],
                env={**os.environ, "REGSVC_ENDPOINT": server.endpoint, "TMPDIR": str(tmp_path)},
                stdout=subprocess.DEVNULL,
            )
            if moment == "first version":
                wait_until(lambda: len(versions(client, "org/m")) > before, what="a version")  # noqa: B023
            else:
                wait_until(lambda: stored(server) > size + 15_000_000, what="bytes")  # noqa: B023
            importing.kill()
            importing.wait()
        assert len(versions(client, "org/m")) < 8
        server.cli("import", "hf", str(cache))
        server.cli("import", "hf", str(cache), "--namespace", "whole")
        ended, expected = (told(versions(client, f"{name}/m")) for name in ("org", "whole"))
        assert ended == expected
        assert len(ended) == 8
        assert ended[-1][2] == ("main",)
        assert "imported" not in server.cli("import", "hf", str(cache)).stdout


def versions(client: regsvc.Client, model: str) -> list[Version]:
    try:
        return sorted(client.versions(model), key=lambda version: version.number)
    except NotFound:
        return []


def told(found: list[Version]) -> list[tuple[str, dict[str, str], tuple[str, ...]]]:
    return [(version.digest, dict(version.tags), version.aliases) for version in found]


def stored(server: Server) -> int:
    """Bytes in the server's folder."""
    total = 0
    for path in server.data.rglob("*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # packs are renamed
            continue
    return total
