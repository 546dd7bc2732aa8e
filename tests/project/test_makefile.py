"""The targets do what the README says, and what they make is made once."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from .reading import ROOT

ENVIRONMENT = ROOT / "tools/environment.py"


def make(*arguments: str) -> str:
    # What a surrounding `make test` hands down must not reach it.
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_help_lists_every_public_target() -> None:
    declared = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert declared is not None
    public = set(declared[1].split()) - {"python", "node"}
    assert {line.split()[1] for line in make("help").splitlines()} == public


@pytest.mark.parametrize("target", ["demo", "test", "lint", "format", "bench", "generate", "landed", "lock"])
def test_targets_make_their_environment_first(target: str) -> None:
    assert "tools/environment.py" in make("--dry-run", target).splitlines()[0]


def test_generate_covers_all_languages() -> None:
    steps = make("--dry-run", "generate")
    assert "grpc_tools.protoc" in steps
    assert "clients/go/generate.sh" in steps
    assert "clients/typescript/generate.sh" in steps
    for proto in (ROOT / "protos/regsvc/v1").glob("*.proto"):
        assert str(proto.relative_to(ROOT)) in steps


def test_ci_runs_lint_and_test_and_fails_when_one_fails(tmp_path: Path) -> None:
    script = ROOT / ".ci/run"
    assert script.stat().st_mode & stat.S_IXUSR
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci/run").write_text(script.read_text())
    for lint, test, status in ((0, 0, 0), (1, 0, 1), (0, 1, 1)):
        (tmp_path / "Makefile").write_text(
            f"lint:\n\t@echo linted; exit {lint}\ntest:\n\t@echo tested; exit {test}\n"
        )
        done = subprocess.run(
            ["bash", ".ci/run"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == status
        assert "linted" in done.stdout
        assert "tested" in done.stdout
        summary = done.stdout.partition("== summary\n")[2].splitlines()
        assert [("passed" in line) for line in summary] == [lint == 0, test == 0]


def test_an_environment_that_is_ready_is_left_alone(tmp_path: Path) -> None:
    """Two calls at once on a ready environment do nothing: no network, no write."""
    (tmp_path / "tools").mkdir()
    copy = tmp_path / "tools/environment.py"
    copy.write_text(ENVIRONMENT.read_text())
    lock, project = "none==1\n", "[project]\n"
    (tmp_path / "requirements.lock").write_text(lock)
    (tmp_path / "pyproject.toml").write_text(project)
    stamp = tmp_path / ".venv/.ready"
    stamp.parent.mkdir()
    fingerprint = "\0".join([lock, project, str(tmp_path.resolve()), sys.version])
    stamp.write_text(hashlib.sha256(fingerprint.encode()).hexdigest())
    calls = [
        subprocess.Popen([sys.executable, str(copy), "python"], stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for call in calls:
        _, said = call.communicate(timeout=60)
        assert (call.returncode, said) == (0, "")
    assert [path.name for path in stamp.parent.iterdir()] == [".ready"]


def test_what_is_made_is_ignored_by_git() -> None:
    made = [
        ".venv/x",
        ".cache/x",
        "clients/typescript/node_modules/x",
        "clients/typescript/dist/x",
        "clients/go/bin/x",
    ]
    done = subprocess.run(
        ["git", "check-ignore", *made], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if "not a git repository" in done.stderr:
        pytest.skip("not a checkout")
    assert done.stdout.split() == made
