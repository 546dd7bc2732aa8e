"""`regsvc promote`, `rollback`, `gate`, `approve`, `approvals`, `mark`, `history` and `resolve`."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support import Server

import regsvc

_NUMBERS = itertools.count(1)
GATE = "version.metrics.f1 > 0.7 && (!has(current.number) || version.metrics.f1 >= current.metrics.f1)"


@pytest.fixture
def model(shared_server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A model with versions of f1 0.8, 0.6 and 0.9, pushed by alice, who is at the keyboard."""
    monkeypatch.setenv("REGSVC_AUTHOR", "alice")
    name = f"team/fraud-{next(_NUMBERS)}"
    with regsvc.connect(shared_server.endpoint) as client:
        for f1 in (0.8, 0.6, 0.9):
            (tmp_path / "a").write_text(str(f1))
            client.push(tmp_path, name, metrics={"f1": f1})
    return name


def document(done: subprocess.CompletedProcess[str]) -> dict[str, object]:
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_a_promotion_by_gate_and_approval(shared_server: Server, model: str) -> None:
    cli, bob = shared_server.cli, {"env": {"REGSVC_AUTHOR": "bob"}}
    shown = cli("gate", "set", f"{model}@prod", "--gate", GATE, "--approvals", "1").stdout
    assert GATE in shown
    cli("alias", "set", f"{model}:1", "candidate")
    refused = cli("promote", f"{model}@candidate", "prod", check=False)
    assert refused.returncode == 1
    assert refused.stderr == (
        f"regsvc: {model}@prod refuses {model}:1: 0 of 1 approvals by others than alice\n"
    )
    own = cli("approve", f"{model}@candidate", "prod", check=False)
    assert own.returncode == 1
    assert "alice pushed" in own.stderr
    cli("approve", f"{model}@candidate", "prod", "--comment", "looks right", **bob)
    listed = json.loads(cli("approvals", f"{model}:1", "--json").stdout)
    assert [(each["author"], each["comment"], each["alias"]) for each in listed] == [
        ("bob", "looks right", f"{model}@prod")
    ]
    assert "bob" in cli("approvals", f"{model}:1").stdout
    moved = cli("promote", f"{model}@candidate", "prod", "--reason", "first")
    assert moved.stdout == f"prod -> {model}:1\n"

    refused = cli("promote", f"{model}:2", "prod", check=False)
    assert "version.metrics.f1 > 0.7 is false: version.metrics.f1 is 0.6" in refused.stderr
    dry = cli("promote", f"{model}:2", "prod", "--dry-run", check=False)
    assert dry.returncode == 1
    assert "version.metrics.f1 = 0.6" in dry.stdout
    assert "refused:" in dry.stdout
    told = document(cli("promote", f"{model}:2", "prod", "--dry-run", "--json", check=False))
    assert (told["allowed"], told["gate"], told["reference"]) == (False, "false", f"{model}:1")

    cli("approve", f"{model}:3", "prod", **bob)
    cli("approve", f"{model}:3", "prod", "--withdraw", **bob)
    assert cli("promote", f"{model}:3", "prod", check=False).returncode == 1
    cli("approve", f"{model}:3", "prod", **bob)
    stale = cli("promote", f"{model}:3", "prod", "--expect", f"{model}:2", check=False)
    assert (stale.returncode, stale.stderr) == (1, f"regsvc: alias {model}@prod names {model}:1\n")
    told = document(cli("promote", f"{model}:3", "prod", "--expect", ":1", "--json"))
    assert (told["reference"], told["previous"], told["allowed"]) == (f"{model}:3", f"{model}:1", True)


def test_a_rollback_with_its_reason(shared_server: Server, model: str) -> None:
    cli, prod = shared_server.cli, f"{model}@prod"
    for number in (1, 2, 3):
        cli("promote", f"{model}:{number}", "prod")
    dry = cli("rollback", prod, "--dry-run")
    assert dry.stdout == f"nothing was moved: prod -> {model}:2  was {model}:3\n"
    assert cli("rollback", prod, "--mark-bad", check=False).returncode == 2  # without a reason
    assert cli("mark", f"{model}:3", "bad", check=False).returncode == 2
    back = cli("rollback", prod, "--mark-bad", "--reason", "f1 fell")
    assert back.stdout == f"prod -> {model}:2  was {model}:3\n"
    told = document(cli("rollback", prod, "--json", "--reason", "further"))
    assert (told["reference"], told["previous"], told["skipped"]) == (f"{model}:1", f"{model}:2", [])
    none = cli("rollback", prod, check=False)
    assert (none.returncode, none.stderr) == (
        1,
        f"regsvc: there is nothing that {prod} could go back to\n",
    )
    bad = cli("rollback", prod, "--to", f"{model}:3", check=False)
    assert (bad.returncode, bad.stderr) == (1, f"regsvc: {model}:3 is marked as bad: f1 fell\n")
    shown = document(cli("show", f"{model}:3", "--json"))
    assert (shown["author"], shown["bad"], shown["bad_reason"]) == ("alice", True, "f1 fell")
    assert f"{model}:3 is good\n" == cli("mark", f"{model}:3", "good").stdout
    cli("rollback", prod, "--to", ":3")
    for name in (("history",), ("alias", "history")):
        history = json.loads(cli(*name, prod, "--json").stdout)
        assert [(each["kind"], each["reason"], each["author"]) for each in history[:4]] == [
            ("rollback", "", "alice"),
            ("rollback", "further", "alice"),
            ("rollback", "f1 fell", "alice"),
            ("promote", "", "alice"),
        ]
    text = cli("history", prod).stdout.splitlines()
    assert text[0].split() == ["TIME", "VERSION", "BEFORE", "HOW", "AUTHOR", "REASON"]
    assert "f1 fell" in text[3]


def test_gates_are_tried_without_moving_anything(shared_server: Server, model: str) -> None:
    cli, prod = shared_server.cli, f"{model}@prod"
    opened = cli("gate", "test", prod, ":3", "--gate", "version.metrics.f1 > 0.7")
    assert opened.stdout.splitlines()[-1] == "the gate is open"
    closed = cli("gate", "test", prod, f"{model}:2", "--gate", "version.metrics.f1 > 0.7", check=False)
    assert (closed.returncode, closed.stdout.splitlines()[-1]) == (1, "the gate is closed")
    zero = cli("gate", "test", prod, f"{model}:2", "--gate", "1 / 0 > 1", "--json", check=False)
    assert (zero.returncode, document(zero)["gate"]) == (1, "error")
    compared = ("--gate", "version.metrics.f1 >= current.metrics.f1", "--current", ":1")
    assert cli("gate", "test", prod, f"{model}:3", *compared).returncode == 0
    assert cli("gate", "test", prod, f"{model}:2", *compared, check=False).returncode == 1
    wrong = cli("gate", "set", prod, "--gate", "version.metrics.f1 > 'x'", check=False)
    assert (wrong.returncode, wrong.stderr) == (
        1,
        "regsvc: line 1, column 22: double and string cannot be compared\n",
    )
    cli("gate", "set", prod, "--gate", GATE, "--approvals", "2")
    cli("gate", "set", prod, "--gate", "")  # what is not named stays
    rules = document(cli("gate", "show", prod, "--json"))
    assert (rules["gate"], rules["approvals"], rules["protected"]) == ("", 2, True)
    cli("gate", "set", prod, "--approvals", "0", "--no-protected")
    assert not document(cli("gate", "show", prod, "--json"))["protected"]


def test_resolve_says_what_an_alias_named(shared_server: Server, model: str) -> None:
    cli, prod = shared_server.cli, f"{model}@prod"
    cli("promote", f"{model}:1", "prod", "--reason", "begin")
    first = datetime.fromisoformat(json.loads(cli("history", prod, "--json").stdout)[0]["time"])
    cli("promote", f"{model}:3", "prod")
    assert cli("resolve", prod).stdout.startswith(f"{model}:3  since ")
    then = cli("resolve", prod, "--at", first.isoformat()).stdout
    assert then.startswith(f"{model}:1  since ")
    assert then.endswith("promote by alice: begin\n")
    told = document(cli("resolve", prod, "--at", first.isoformat(), "--json"))
    assert told["reference"] == f"{model}:1"
    for moment in (first - timedelta(seconds=1), datetime.now(UTC) + timedelta(hours=1)):
        assert cli("resolve", prod, "--at", moment.isoformat(), check=False).returncode == 1
    assert cli("resolve", prod, "--at", "yesterday", check=False).returncode == 2


def test_an_alias_named_like_a_version_is_refused(shared_server: Server, model: str) -> None:
    for alias in ("12", "latest"):
        refused = shared_server.cli("promote", f"{model}:1", alias, check=False)
        assert refused.returncode == 1
        assert f"bad alias '{alias}'" in refused.stderr


def test_of_processes_that_race_one_wins(shared_server: Server, model: str) -> None:
    shared_server.cli("promote", f"{model}:1", "prod")
    command = [sys.executable, "-m", "regsvc", "--server", shared_server.endpoint, "promote"]
    racing = [
        subprocess.Popen(
            [*command, f"{model}:{number}", "prod", "--expect", f"{model}:1"],
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in (2, 3)
    ]
    told = [process.communicate(timeout=120)[1] for process in racing]
    assert sorted(process.returncode for process in racing) == [0, 1]
    won = next(number for number, process in zip((2, 3), racing, strict=True) if process.returncode == 0)
    assert f"regsvc: alias {model}@prod names {model}:{won}\n" in told
    with regsvc.connect(shared_server.endpoint) as client:
        assert [each.reference for each in client.alias_history(f"{model}@prod")] == [
            f"{model}:{won}",
            f"{model}:1",
        ]
