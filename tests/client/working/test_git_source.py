"""What git brings into a work folder, from real repositories."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from regsvc.client.place import Halt
from regsvc.client.working import git_source
from regsvc.client.working.git_source import Checkout, GitFetch, check_url
from regsvc.client.working.stopping import Halted, Stop, WorkFailed
from regsvc.client.working.work_folder import WorkFolder, WorkRoot


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two commits on main, the first with the tag v1; a commit that nothing names any more."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet")
    for number in (1, 2, 3):
        (folder / "train.py").write_text(f"print({number})\n")
        git(folder, "add", ".")
        git(folder, "commit", "--quiet", "-m", f"commit {number}")
        git(folder, "tag", f"v{number}")
    git(folder, "reset", "--quiet", "--hard", "v2")
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[WorkFolder]:
    root = WorkRoot(tmp_path / "runner")
    root.prepare()
    made = root.create()
    yield made
    made.release()


def fetch(folder: WorkFolder, url: str, commit: str, timeout: float = 0) -> Checkout:
    return GitFetch(folder, Stop(timeout)).fetch(url, commit)


def trained(folder: WorkFolder) -> str:
    return (Path(folder.work) / "train.py").read_text()


@pytest.mark.parametrize(("wanted", "found"), [("v1", 1), ("main", 2), ("refs/heads/main", 2)])
def test_tags_and_branches_are_resolved_to_a_commit(
    folder: WorkFolder, repository: Path, wanted: str, found: int
) -> None:
    made = fetch(folder, str(repository), wanted)
    assert made.commit == git(repository, "rev-parse", f"v{found}")
    assert made.branch == ("" if wanted == "v1" else "main")
    assert trained(folder) == f"print({found})\n"
    depth = git(Path(folder.work), "rev-list", "--count", "HEAD")
    assert depth == "1"


@pytest.mark.parametrize("length", [40, 8])
def test_a_commit_is_fetched_by_its_id(folder: WorkFolder, repository: Path, length: int) -> None:
    commit = git(repository, "rev-parse", "v1")
    assert fetch(folder, f"file://{repository}", commit[:length]) == Checkout(
        f"file://{repository}", commit, ""
    )
    assert trained(folder) == "print(1)\n"


def test_a_commit_that_the_server_gives_only_with_its_branch(
    folder: WorkFolder, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "gitconfig"
    settings.write_text("[protocol]\n\tversion = 0\n")  # in which nothing is given that no name leads to
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    commit = git(repository, "rev-parse", "v1")
    git(repository, "tag", "-d", "v1")
    assert fetch(folder, str(repository), commit).commit == commit


@pytest.mark.parametrize("wanted", ["0" * 40, "dead", "no-such-branch", "refs/heads/none"])
def test_a_commit_that_does_not_exist(folder: WorkFolder, repository: Path, wanted: str) -> None:
    with pytest.raises(WorkFailed, match=f"there is no commit, tag or branch '{wanted}' in"):
        fetch(folder, str(repository), wanted)


@pytest.mark.parametrize(
    "wanted", ["--upload-pack=touch x", "+main", "main:other", "a..b", "", "a b", "*", "main^", "a\nb"]
)
def test_what_git_would_take_for_something_else_is_no_commit(
    folder: WorkFolder, repository: Path, wanted: str
) -> None:
    with pytest.raises(WorkFailed, match="is no commit, tag or branch"):
        fetch(folder, str(repository), wanted)


def test_no_hook_and_no_template_of_the_runner_runs(
    folder: WorkFolder, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in ("post-checkout", "reference-transaction"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {tmp_path}/hook-ran\n")
        (hooks / name).chmod(0o755)
    settings = tmp_path / "gitconfig"
    settings.write_text(f"[core]\n\thooksPath = {hooks}\n[init]\n\ttemplateDir = {tmp_path}\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    fetch(folder, str(repository), "main")
    assert not (tmp_path / "hook-ran").exists()


def test_a_repository_that_is_not_there_says_so_without_the_runners_credentials(
    folder: WorkFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "gitconfig"
    settings.write_text('[url "http://robot:s3cret@127.0.0.1:1/"]\n\tinsteadOf = https://example.org/\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    with pytest.raises(WorkFailed, match="git ls-remote failed: fatal: unable to access") as failed:
        fetch(folder, "https://example.org/team/fraud.git", "main")
    assert "s3cret" not in failed.value.reason


@pytest.mark.parametrize(
    "url",
    [
        "https://token@example.org/a.git",
        "https://user:secret@example.org/a.git",
        "http://:secret@example.org/a.git",
        "ssh://git:secret@example.org/a.git",
        "https://example.org/a.git?private_token=secret",
        "user:secret@example.org:a.git",
        "https://[bad/a.git",
        "ext::sh -c 'echo secret'",
        "fd::17/secret",
        "ftp://example.org/a.git",
        "--upload-pack=secret",
        "../relative",
        "relative/path",
        "",
        "/path\nwith newline",
    ],
)
def test_credentials_and_what_is_no_url_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(WorkFailed) as failed:
        check_url(url)
    assert "secret" not in failed.value.reason


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/team/a.git",
        "http://127.0.0.1:8080/a",
        "ssh://git@example.org:22/team/a.git",
        "git@example.org:team/a.git",
        "example.org:team/a.git",
        "file:///srv/git/a.git",
        "/srv/git/a.git",
    ],
)
def test_urls_of_repositories_are_taken(url: str) -> None:
    check_url(url)


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/a.git"


def test_a_server_that_says_nothing_is_given_up(
    folder: WorkFolder, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(git_source, "SECONDS", 1.0)
    with pytest.raises(WorkFailed, match="git ls-remote did not end within 1 s"):
        fetch(folder, silent, "main")


def test_git_and_what_it_started_ends_when_the_build_has_to(folder: WorkFolder, silent: str) -> None:
    stop = Stop(0)
    threading.Timer(0.5, stop.ask, ("CANCELLED", "cancel requested")).start()
    began = time.monotonic()
    with pytest.raises(Halted) as halted:
        GitFetch(folder, stop).fetch(silent, "main")
    assert halted.value.halt == Halt("CANCELLED", "cancel requested")
    assert time.monotonic() - began < 20
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert silent not in left
    assert os.listdir(folder.own) == []
