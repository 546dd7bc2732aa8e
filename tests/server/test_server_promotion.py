"""Promotion at the wire: rules, refusals, races, approvals, rollbacks, history."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from server.promoting import Model
from server.wire import LIMIT, Wire

from regsvc.v1 import promotion_pb2 as pb
from regsvc.v1 import registry_pb2 as reg


def test_promote_moves_an_alias_and_keeps_who_and_why(wire: Wire) -> None:
    model = Model(wire, 0.7, 0.8)
    first = model.promote(1, author="alice", reason="first of all")
    assert (first.alias.version, first.previous_version) == (model.version(1), "")
    second = model.promote(2, expect=1, author="bob")
    assert (second.alias.version, second.previous_version) == (model.version(2), model.version(1))
    again = model.promote(2, author="bob")
    assert (again.alias.version, again.previous_version) == (model.version(2), model.version(2))
    told = [(each.version, each.author, each.reason, each.kind) for each in model.history()]
    assert told == [
        (model.version(1), "alice", "first of all", reg.ALIAS_CHANGE_KIND_PROMOTE),
        (model.version(2), "bob", "", reg.ALIAS_CHANGE_KIND_PROMOTE),
    ]


def test_a_version_is_promoted_by_another_alias_or_its_digest(wire: Wire) -> None:
    model = Model(wire, 0.7, 0.8)
    request = reg.SetAliasRequest(name=f"{model.name}/aliases/candidate", version=model.version(1))
    wire.registry.SetAlias(request, timeout=LIMIT)
    for name in (f"{model.name}/aliases/candidate", f"{model.name}/versions/latest"):
        wire.promotions.Promote(pb.PromoteRequest(name=model.prod, version=name), timeout=LIMIT)
    assert [each.version for each in model.history()] == [model.version(1), model.version(2)]


def test_a_gate_refuses_and_names_the_term_and_what_it_saw(wire: Wire) -> None:
    model = Model(wire, 0.75, 0.72, 0.6)
    rules = model.rules(
        gate="version.metrics.f1 > 0.7 && (!has(current.number) || version.metrics.f1 >= current.metrics.f1)"
    )
    assert rules.protected
    model.promote(1)
    with wire.refused("FAILED_PRECONDITION", "GATE_REFUSED") as metadata:
        model.promote(2)
    assert metadata["term"] == "(!has(current.number) || version.metrics.f1 >= current.metrics.f1)"
    assert metadata["values"] == "current.number is 1, version.metrics.f1 is 0.72, current.metrics.f1 is 0.75"
    with wire.refused("FAILED_PRECONDITION", "GATE_REFUSED") as metadata:
        model.promote(3)
    assert (metadata["term"], metadata["values"]) == (
        "version.metrics.f1 > 0.7",
        "version.metrics.f1 is 0.6",
    )
    assert (model.now(), len(model.history())) == (1, 1)


def test_a_gate_that_cannot_be_evaluated_refuses(wire: Wire) -> None:
    model = Model(wire, 0.75)
    model.rules(gate="version.metrics.auc > 0.7")
    with wire.refused("FAILED_PRECONDITION", "GATE_REFUSED") as metadata:
        model.promote(1)
    assert metadata["error"] == "version.metrics.auc is missing"
    model.rules(gate="version.metrics.f1 / (version.metrics.f1 - 0.75) > 0.0")
    with wire.refused("FAILED_PRECONDITION", "GATE_REFUSED") as metadata:
        model.promote(1)
    assert metadata["error"] == "division by zero"
    assert model.now() == 0


@pytest.mark.parametrize(
    "fields", [{"protected": True}, {"gate": "version.metrics.f1 > 0.7"}, {"approvals": 1}]
)
def test_a_protected_alias_is_moved_by_promotion_only(wire: Wire, fields: dict[str, object]) -> None:
    model = Model(wire, 0.9, 0.8)
    model.set(1)
    assert model.rules(**fields).protected
    model.set(1)  # where it is
    with wire.refused("FAILED_PRECONDITION", "ALIAS_PROTECTED"):
        model.set(2)
    upload = wire.start(model.short)
    wire.write_file(upload, "a", b"3")
    with wire.refused("FAILED_PRECONDITION", "ALIAS_PROTECTED"):
        wire.commit(upload, aliases=["fresh", "prod"])
    assert wire.versions(model.short) == [2, 1]
    assert wire.commit(upload, aliases=["fresh"]).number == 3
    model.approve(2, "bob")
    model.promote(2)
    assert model.now() == 2
    model.rules()
    model.set(1)
    assert model.now() == 1


def test_rules_are_replaced_as_a_whole_and_by_their_etag(wire: Wire) -> None:
    model = Model(wire, 0.9)
    assert not wire.promotions.GetAliasRules(
        pb.GetAliasRulesRequest(name=model.prod), timeout=LIMIT
    ).rules.etag
    first = model.rules(gate="version.metrics.f1 > 0.7", approvals=2)
    assert model.rules(gate="version.metrics.f1 > 0.7", approvals=2) == first  # nothing changed
    second = model.rules(approvals=1, etag=first.etag)
    assert (second.gate, second.approvals, second.protected) == ("", 1, True)
    with wire.refused("ABORTED", "ETAG_MISMATCH") as metadata:
        model.rules(etag=first.etag)
    assert metadata["etag"] == second.etag
    none = model.rules()
    assert (none.etag, none.protected) == ("", False)
    told = [attributes for kind, _, attributes in model.events() if kind == "alias.rules_set"]
    assert [(each["gate"], each["approvals"], each["protected"], each["author"]) for each in told] == [
        ("version.metrics.f1 > 0.7", "2", "true", "root"),
        ("", "1", "true", "root"),
        ("", "0", "false", "root"),
    ]


def test_more_approvals_than_can_be_given_are_refused(wire: Wire) -> None:
    with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
        Model(wire, 0.9).rules(approvals=101)
    with wire.refused("NOT_FOUND", "NOT_FOUND"):
        Model(wire).rules(approvals=1)


def test_approvals_are_those_of_others_than_the_pusher(wire: Wire) -> None:
    model = Model(wire, 0.9, 0.8, author="alice")
    model.rules(approvals=2)
    for author in ("alice", " alice "):
        with wire.refused("FAILED_PRECONDITION", "OWN_APPROVAL"):
            model.approve(1, author)
    with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
        model.approve(1, " ")
    model.approve(1, "bob", comment="good")
    model.approve(1, "bob", comment="very good")  # once for each author
    model.approve(2, "carol")
    other = pb.ApproveVersionRequest(
        version=model.version(1), alias=f"{model.name}/aliases/stage", author="carol"
    )
    wire.promotions.ApproveVersion(other, timeout=LIMIT)  # for another alias
    with wire.refused("FAILED_PRECONDITION", "APPROVALS_MISSING") as metadata:
        model.promote(1)
    assert (metadata["approvals"], metadata["required"]) == ("1", "2")
    model.approve(1, "carol")
    model.promote(1)
    listed = wire.promotions.ListApprovals(
        pb.ListApprovalsRequest(version=model.version(1)), timeout=LIMIT
    ).approvals
    assert [(each.alias.rpartition("/")[2], each.author, each.comment) for each in listed] == [
        ("prod", "bob", "very good"),
        ("stage", "carol", ""),
        ("prod", "carol", ""),
    ]


def test_a_version_has_so_many_approvals(wire: Wire) -> None:
    model = Model(wire, 0.9)
    for number in range(500):
        model.approve(1, f"author {number}", comment="x" * 4096)
    with wire.refused("RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"):
        model.approve(1, "one more")
    model.approve(1, "author 7", comment="changed")
    request = pb.ListApprovalsRequest(version=model.version(1))
    assert len(wire.promotions.ListApprovals(request, timeout=LIMIT).approvals) == 500


def test_an_approval_is_taken_back(wire: Wire) -> None:
    model = Model(wire, 0.9)
    model.rules(approvals=1)
    model.approve(1, "bob")
    request = pb.WithdrawApprovalRequest(version=model.version(1), alias=model.prod, author="bob")
    for _ in range(2):
        wire.promotions.WithdrawApproval(request, timeout=LIMIT)
    with wire.refused("FAILED_PRECONDITION", "APPROVALS_MISSING"):
        model.promote(1)
    kinds = [kind for kind, _, _ in model.events() if kind.startswith("version.appr")]
    assert kinds == ["version.approved", "version.approval_withdrawn"]


def test_of_two_promotions_that_race_one_wins_and_the_other_learns_the_new_value(wire: Wire) -> None:
    model = Model(wire, *[0.9] * 5)
    model.promote(1)
    for _ in range(10):
        before = model.now()
        rivals = [number for number in range(1, 6) if number != before]

        def attempt(number: int, before: int = before) -> str:
            try:
                return model.promote(number, expect=before).alias.version
            except grpc.RpcError as error:
                return f"{error.code().name}: {error.details()}"

        with ThreadPoolExecutor(len(rivals)) as pool:
            told = list(pool.map(attempt, rivals))
        won = model.version(model.now())
        assert told.count(won) == 1
        loss = f"ABORTED: alias {model.short}@prod names {model.short}:{model.now()}"
        assert sorted(told) == sorted([won, *[loss] * (len(rivals) - 1)])
        with wire.refused("ABORTED", "ETAG_MISMATCH") as metadata:
            model.promote(before, expect=before)
        assert metadata["version"] == f"{model.short}:{model.now()}"
    changes = model.history()
    assert len(changes) == 11
    assert all(later.previous_version == earlier.version for earlier, later in itertools.pairwise(changes))


def test_a_gate_is_asked_in_the_transaction_that_moves_the_alias(wire: Wire) -> None:
    """However promotions race, none moves the alias to a version that is worse than the one it takes the place of."""
    scores = [0.1 * number for number in range(1, 9)]
    model = Model(wire, *scores)
    model.rules(gate="!has(current.number) || version.metrics.f1 > current.metrics.f1")

    def attempt(number: int) -> bool:
        try:
            return bool(model.promote(number))
        except grpc.RpcError as error:
            assert "version.metrics.f1 > current.metrics.f1 is false" in str(error.details())  # noqa: PT017
            return False

    with ThreadPoolExecutor(8) as pool:
        allowed = list(pool.map(attempt, [1, 5, 2, 6, 3, 7, 4, 8]))
    named = [int(change.version.rpartition("/")[2]) for change in model.history()]
    assert named == sorted(named)
    assert len(named) == allowed.count(True)
    assert named[-1] == 8


def test_a_bad_version_is_not_promoted_and_not_gone_back_to(wire: Wire) -> None:
    model = Model(wire, 0.7, 0.8, 0.9)
    for number in (1, 2, 3):
        model.promote(number)
    with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
        model.mark(2, reason=" ")
    marked = model.mark(2)
    assert (marked.bad, marked.bad_reason) == (True, "wrong labels")
    back = model.rollback(author="dave", reason="too slow", mark_bad=True)
    assert (back.alias.version, back.previous_version) == (model.version(1), model.version(3))
    assert list(back.skipped_versions) == [model.version(2)]
    for move in (model.promote, model.set, model.rollback):
        for number in (2, 3):
            with wire.refused("FAILED_PRECONDITION", "VERSION_BAD"):
                move(number)
    dry = model.promote(3, dry_run=True).promotability
    assert (dry.allowed, list(dry.refusals)) == (False, [f"{model.short}:3 is marked as bad: too slow"])
    model.mark(3, reason="it was the network", bad=False)
    model.promote(3)
    marks = [
        (resource, told["bad"], told["reason"], told["author"])
        for kind, resource, told in model.events()
        if kind == "version.marked"
    ]
    assert marks == [
        ("/versions/2", "true", "wrong labels", "carol"),
        ("/versions/3", "true", "too slow", "dave"),
        ("/versions/3", "false", "it was the network", "carol"),
    ]


def test_rollbacks_walk_on_and_end(wire: Wire) -> None:
    model = Model(wire, 0.7, 0.8, 0.9, 0.95)
    with wire.refused("NOT_FOUND", "NOT_FOUND"):
        model.rollback()
    model.set(1)
    with wire.refused("FAILED_PRECONDITION", "NO_HISTORY"):
        model.rollback(reason="bad", mark_bad=True)
    version = wire.registry.GetVersion(reg.GetVersionRequest(name=model.version(1)), timeout=LIMIT).version
    assert not version.bad  # nothing of a refused call stays
    model.promote(2)
    model.promote(3)
    model.rollback()
    assert model.now() == 2
    model.promote(4)
    for expected in (2, 1):
        model.rollback()
        assert model.now() == expected
    with wire.refused("FAILED_PRECONDITION", "NO_HISTORY"):
        model.rollback()
    model.rollback(to=3)  # it named it once
    model.rollback()
    assert model.now() == 1
    kinds = [each.kind for each in model.history()]
    assert kinds == [0, 1, 1, 2, 1, 2, 2, 2, 2]


def test_a_rollback_to_what_it_never_named_is_refused(wire: Wire) -> None:
    model = Model(wire, 0.7, 0.8, 0.9)
    model.promote(1)
    model.promote(2)
    with wire.refused("FAILED_PRECONDITION", "NO_HISTORY"):
        model.rollback(to=3)
    with wire.refused("ABORTED", "ETAG_MISMATCH"):
        model.rollback(expect_version=model.version(1))
    assert model.rollback(to=2, reason="x", mark_bad=True).alias.version == model.version(2)  # where it is
    dry = model.rollback(dry_run=True)
    assert (dry.alias.version, dry.previous_version) == (model.version(1), model.version(2))
    assert (model.now(), len(model.history())) == (2, 2)


def test_rollback_asks_no_gate(wire: Wire) -> None:
    model = Model(wire, 0.7, 0.8)
    model.promote(1)
    model.promote(2)
    model.rules(gate="version.metrics.f1 > 0.75", approvals=3)
    model.rollback()
    assert model.now() == 1


def test_a_dry_run_moves_nothing_and_tells_all_that_is_in_the_way(wire: Wire) -> None:
    model = Model(wire, 0.7, 0.8)
    model.promote(2)
    model.rules(gate="version.metrics.f1 > 0.75", approvals=1)
    answer = model.promote(1, expect=1, dry_run=True)
    assert list(answer.promotability.refusals) == [
        f"alias {model.short}@prod names {model.short}:2",
        "version.metrics.f1 > 0.75 is false: version.metrics.f1 is 0.7",
        "0 of 1 approvals by others than alice",
    ]
    assert (answer.alias.version, answer.previous_version) == (model.version(2), model.version(2))
    assert (model.now(), len(model.history())) == (2, 1)


def test_a_request_id_makes_a_call_happen_once(wire: Wire) -> None:
    model = Model(wire, 0.7, 0.8, 0.9)
    model.rules(gate="version.metrics.f1 > 0.5")
    for number in (1, 2, 3):
        model.promote(number)
    twice = [model.rollback(request_id=f"{model.short}-back") for _ in range(2)]
    assert twice[0] == twice[1]
    assert (model.now(), len(model.history())) == (2, 4)
    answers = [model.promote(3, request_id=f"{model.short}-on", reason="r") for _ in range(2)]
    assert answers[0] == answers[1]
    assert answers[1].promotability.terms[0].values[0].value == "0.9"
    assert len(model.history()) == 5
    with wire.refused("INVALID_ARGUMENT", "REQUEST_ID_REUSED"):
        model.promote(1, request_id=f"{model.short}-on")
    refused_id = f"{model.short}-later"
    model.rules(approvals=1)
    with wire.refused("FAILED_PRECONDITION", "APPROVALS_MISSING"):
        model.promote(1, request_id=refused_id)
    model.approve(1, "bob")
    model.promote(1, request_id=refused_id)  # a refusal is not remembered
    assert model.now() == 1


@pytest.mark.parametrize(
    ("fields", "code", "reason"),
    [
        ({"name": "namespaces/p/models/m/aliases/12"}, "INVALID_ARGUMENT", "NAME_INVALID"),
        ({"name": "namespaces/p/models/m/aliases/latest"}, "INVALID_ARGUMENT", "NAME_INVALID"),
        ({"name": "namespaces/p/models/m/versions/1"}, "INVALID_ARGUMENT", "NAME_INVALID"),
        ({"version": "namespaces/p/models/other/versions/1"}, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        ({"version": "namespaces/p/models/m/versions/99"}, "NOT_FOUND", "NOT_FOUND"),
        ({"expect_version": "namespaces/p/models/m/versions/99"}, "NOT_FOUND", "NOT_FOUND"),
        ({"author": "a" * 201}, "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"),
        ({"author": "a\nb"}, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
        ({"reason": "a" * 4097}, "RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"),
        ({"request_id": "a" * 65}, "INVALID_ARGUMENT", "INVALID_ARGUMENT"),
    ],
)
def test_bad_promotions_are_refused(wire: Wire, fields: dict[str, str], code: str, reason: str) -> None:
    wire.push("p/m", {"a": b"1"})
    good = {"name": "namespaces/p/models/m/aliases/prod", "version": "namespaces/p/models/m/versions/1"}
    with wire.refused(code, reason):
        wire.promotions.Promote(pb.PromoteRequest(**{**good, **fields}), timeout=LIMIT)


def test_what_an_alias_named_at_each_moment(wire: Wire) -> None:
    model = Model(wire, 0.7, 0.8, 0.9)
    with wire.refused("NOT_FOUND", "NOT_FOUND"):
        model.resolve()
    for number in (1, 2, 3):
        model.promote(number, author="alice", reason=f"number {number}")
    model.rollback(author="bob")
    changes = model.history()
    for change, later in itertools.pairwise([*changes, None]):
        found = model.resolve(change.time)
        assert (found.version.name, found.change) == (change.version, change)
        if later is not None:
            just_before = Timestamp()
            just_before.FromMicroseconds(later.time.ToMicroseconds() - 1)
            assert model.resolve(just_before).version.name == change.version
    assert model.resolve().change == changes[-1]
    before_all = Timestamp()
    before_all.FromMicroseconds(changes[0].time.ToMicroseconds() - 1)
    for time in (before_all, Timestamp(seconds=-5_000_000_000), Timestamp()):
        with wire.refused("NOT_FOUND", "NOT_FOUND"):
            model.resolve(time)
    ahead = Timestamp()
    ahead.GetCurrentTime()
    ahead.seconds += 3600  # a client whose clock is an hour fast
    with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
        model.resolve(ahead)


def test_every_move_has_its_event_with_who_why_and_how(wire: Wire) -> None:
    model = Model(wire, 0.7, 0.8)
    model.set(1, author="alice", reason="start")
    model.promote(2, author="bob", reason="better")
    model.rollback(author="carol", reason="worse")
    moves = [attributes for kind, _, attributes in model.events() if kind == "alias.set"]
    assert [
        (each["kind"], each["author"], each["reason"], each["version"].rpartition("/")[2]) for each in moves
    ] == [
        ("set", "alice", "start", "1"),
        ("promote", "bob", "better", "2"),
        ("rollback", "carol", "worse", "1"),
    ]
