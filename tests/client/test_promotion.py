"""Promotion by the SDK, and who a client says it is."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support import Server

import regsvc
from regsvc.client.author import author
from regsvc.client.promoting import AliasRules
from regsvc.errors import (
    AliasProtected,
    ApprovalsMissing,
    EtagMismatch,
    FilterInvalid,
    GateRefused,
    InvalidArgument,
    NameInvalid,
    NoHistory,
    NotFound,
    OwnApproval,
    VersionBad,
)


@pytest.fixture
def client(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[regsvc.Client]:
    """A client of alice, who pushed versions of team/fraud with f1 0.8, 0.6 and 0.9."""
    monkeypatch.setenv("REGSVC_AUTHOR", "alice")
    with regsvc.connect(server.endpoint) as made:
        for f1 in (0.8, 0.6, 0.9):
            (tmp_path / "a").write_text(str(f1))
            assert made.push(tmp_path, "team/fraud", metrics={"f1": f1}).author == "alice"
        yield made


def test_an_alias_is_promoted_by_its_rules_and_put_back(client: regsvc.Client) -> None:
    prod = "team/fraud@prod"
    assert client.alias_rules(prod) == AliasRules(prod)
    rules = client.set_alias_rules(prod, gate="version.metrics.f1 > 0.7", approvals=1)
    assert client.alias_rules(prod) == rules
    with pytest.raises(AliasProtected):
        client.set_alias("team/fraud:1", "prod")
    with pytest.raises(AliasProtected):
        client.push(Path(__file__), "team/fraud", aliases=["prod"])
    with pytest.raises(OwnApproval):
        client.approve("team/fraud:1", "prod")
    with pytest.raises(ApprovalsMissing) as missing:
        client.promote("team/fraud:1", "prod")
    assert missing.value.metadata == {"approvals": "0", "required": "1"}
    given = [client.approve(f"team/fraud:{n}", "prod", author="bob", comment="ok") for n in (1, 2, 3)]
    assert client.approvals("team/fraud:1") == given[:1]
    first = client.promote("team/fraud:1", "prod", reason="first")
    assert (first.alias and first.alias.reference, first.previous) == ("team/fraud:1", None)
    assert first.promotability.allowed
    with pytest.raises(GateRefused) as refused:
        client.promote("team/fraud:2", "prod")
    assert refused.value.metadata["values"] == "version.metrics.f1 is 0.6"
    dry = client.promote("team/fraud:2", "prod", dry_run=True).promotability
    assert (dry.allowed, dry.gate, dry.terms[0].values) == (
        False,
        "false",
        (("version.metrics.f1", "0.6"),),
    )
    with pytest.raises(EtagMismatch):
        client.promote("team/fraud:3", "prod", expect="team/fraud:2")
    client.promote("team/fraud:3", "prod", expect=prod)
    back = client.rollback(prod, reason="worse", mark_bad=True)
    assert (back.alias.reference, back.previous, back.skipped) == ("team/fraud:1", "team/fraud:3", ())
    with pytest.raises(NoHistory):
        client.rollback(prod)
    with pytest.raises(VersionBad):
        client.promote("team/fraud:3", "prod")
    assert client.version("team/fraud:3").bad_reason == "worse"
    assert not client.mark("team/fraud:3", bad=False).bad
    assert [found.reference for found in client.search('author == "alice" && !bad')] == [
        f"team/fraud:{n}" for n in (3, 2, 1)
    ]
    assert [(change.kind, change.author, change.reason) for change in client.alias_history(prod)] == [
        ("rollback", "alice", "worse"),
        ("promote", "alice", ""),
        ("promote", "alice", "first"),
    ]


def test_gates_are_tried(client: regsvc.Client) -> None:
    prod = "team/fraud@prod"
    gate = "version.metrics.f1 >= current.metrics.f1"
    assert client.test_gate(prod, "team/fraud:2", gate=gate).gate == "error"
    assert client.test_gate(prod, "team/fraud:2", gate=gate, current="team/fraud:1").gate == "false"
    assert client.test_gate(prod, "team/fraud:3", gate=gate, current="team/fraud:1").allowed
    assert client.test_gate(prod, "team/fraud:3").gate == ""
    with pytest.raises(FilterInvalid, match="line 1, column 21"):
        client.test_gate(prod, "team/fraud:3", gate="version.metrics.f1 >")


def test_an_alias_is_resolved_in_the_past(client: regsvc.Client) -> None:
    prod = "team/fraud@prod"
    client.set_alias("team/fraud:1", "prod", reason="begin", author="bob")
    first = client.resolve(prod).change
    assert (first.author, first.reason, first.kind) == ("bob", "begin", "set")
    client.promote("team/fraud:2", "prod")
    assert client.resolve(prod).version.number == 2
    local = first.time.astimezone(datetime.now().astimezone().tzinfo)
    for moment in (first.time, local):
        assert client.resolve(prod, at=moment).version.number == 1
    with pytest.raises(NotFound):
        client.resolve(prod, at=first.time - timedelta(microseconds=1))
    with pytest.raises(InvalidArgument):
        client.resolve(prod, at=datetime.now(UTC) + timedelta(hours=1))
    with pytest.raises(NameInvalid):
        client.resolve("team/fraud:1")
    server = f"regsvc://{client.endpoint}/"
    assert [each.reference for each in client.alias_history(f"{server}team/fraud@prod")][-1] == "team/fraud:1"
    assert client.resolve(f"{server}team/fraud@prod").version.number == 2
    with pytest.raises(NameInvalid):
        client.resolve(f"{server}team/fraud:1")


def test_an_author_is_what_the_environment_says_or_the_login_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGSVC_AUTHOR", "é" * 150)
    assert author() == "é" * 100
    monkeypatch.delenv("REGSVC_AUTHOR")
    assert author() == getpass.getuser()
    monkeypatch.setattr(getpass, "getuser", lambda: (_ for _ in ()).throw(KeyError("uid")))
    assert author() == ""
