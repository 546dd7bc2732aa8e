"""Retention at the wire: which versions a policy keeps and why, tried, applied, and by the clock."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from google.protobuf.duration_pb2 import Duration
from server.lifecycles import Lived
from server.wire import LIMIT, Wire
from support import Server, wait_until

from regsvc.v1 import deployment_pb2 as dep
from regsvc.v1 import lifecycle_pb2 as pb
from regsvc.v1 import record_pb2


class Kept(Lived):
    """A model with a policy."""

    def policy(self) -> pb.RetentionPolicy:
        request = pb.GetRetentionRequest(name=self.name)
        return self.wire.lifecycle.GetRetention(request, timeout=LIMIT).policy

    def keep(self, request_id: str = "", **fields: object) -> pb.RetentionPolicy:
        policy = pb.RetentionPolicy(name=self.name, **fields)  # type: ignore[arg-type]
        request = pb.SetRetentionRequest(policy=policy, author="dana", request_id=request_id)
        return self.wire.lifecycle.SetRetention(request, timeout=LIMIT).policy

    def apply(self, **fields: object) -> pb.ApplyRetentionResponse:
        request = pb.ApplyRetentionRequest(name=self.name, author="erin", **fields)  # type: ignore[arg-type]
        return self.wire.lifecycle.ApplyRetention(request, timeout=LIMIT)

    def tried(self, **fields: object) -> dict[int, list[str]]:
        """Why each version would be kept."""
        done = self.apply(dry_run=True, policy=pb.RetentionPolicy(**fields))  # type: ignore[arg-type]
        return {int(each.version.rpartition("/")[2]): list(each.reasons) for each in done.verdicts}

    def labelled(self, label: str) -> None:
        upload = self.wire.start(self.short)
        self.wire.write_file(upload, "a", label.encode())
        self.wire.commit(upload, record=record_pb2.Record(labels=[label]))


@pytest.fixture
def model(wire: Wire) -> Kept:
    made = Kept(wire, 0.1, 0.2, 0.3, 0.4)
    made.labelled("golden")
    made.labelled("plain")
    return made


def test_each_rule_keeps_what_it_says(model: Kept) -> None:
    assert model.tried(keep_last=2) == {6: ["last 2"], 5: ["last 2"], 4: [], 3: [], 2: [], 1: []}
    assert model.tried(keep_labels=["golden", "absent"])[5] == ["label golden"]
    assert model.tried(keep_labels=["golden"])[6] == []
    assert model.tried(keep_filter="metrics.f1 >= 0.2 && metrics.f1 < 0.35") == {
        6: [],
        5: [],
        4: [],
        3: ["filter"],
        2: ["filter"],
        1: [],
    }
    assert all(
        reasons == ["younger"] for reasons in model.tried(keep_younger=Duration(seconds=3600)).values()
    )
    assert model.tried(keep_younger=Duration(nanos=1000))[6] == []
    both = model.tried(keep_last=1, keep_labels=["plain"], keep_filter="number > 4")
    assert both[6] == ["last 1", "label plain", "filter"]
    assert model.listed() == [6, 5, 4, 3, 2, 1]  # trying deletes nothing


def test_what_is_used_or_put_away_is_always_kept(model: Kept, wire: Wire) -> None:
    model.set(1)
    model.archive(6)
    serving = dep.DeploymentReport(state=dep.DEPLOYMENT_STATE_SERVING, version=model.version(2))
    hello = dep.FollowHello(alias=model.prod, deployment="eu", host="gpu-7", report=serving)
    call = wire.deployments.Follow(iter([dep.FollowRequest(hello=hello)]), timeout=LIMIT)
    assert next(call).target.version == model.version(1)
    assert model.tried(keep_last=1) == {
        6: ["archived"],
        5: ["last 1"],
        4: [],
        3: [],
        2: ["host gpu-7"],
        1: ["alias prod"],
    }
    model.keep(keep_last=1)
    done = model.apply()
    assert (done.deleted, done.kept) == (2, 4)
    assert model.listed() == [6, 5, 2, 1]


def test_applying_deletes_what_was_foretold_and_it_can_be_had_back(model: Kept) -> None:
    assert model.apply().deleted == 0  # nobody made a policy: all is kept
    made = model.keep(keep_last=2, keep_labels=["golden"])
    assert model.policy() == made
    assert made.HasField("update_time")
    assert not made.HasField("apply_time")
    foretold = model.apply(dry_run=True)
    assert (foretold.deleted, foretold.kept) == (4, 2)
    done = model.apply(request_id="once")
    assert done == foretold
    assert model.apply(request_id="once").deleted == 4
    assert model.policy().HasField("apply_time")
    assert model.listed() == [6, 5]
    deleted = [attributes for kind, _, attributes in model.events() if kind == "version.deleted"]
    assert [(each["author"], each["reason"]) for each in deleted] == [("erin", "retention")] * 4
    model.undelete(3)
    assert model.listed() == [6, 5, 3]
    assert model.apply().deleted == 1


def test_a_policy_without_rules_removes_it_and_keeps_all(model: Kept) -> None:
    model.keep(keep_last=1, scheduled=True)
    assert not model.keep().scheduled
    assert model.apply().deleted == 0
    assert len(model.tried()[1]) == 1
    kinds = [kind for kind, _, _ in model.events()]
    assert "version.deleted" not in kinds


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"keep_filter": "metrics.f1 >"}, "FILTER_INVALID"),
        ({"keep_filter": "nothing == 1"}, "FILTER_INVALID"),
        ({"keep_filter": "number"}, "FILTER_INVALID"),
        ({"keep_younger": Duration(seconds=-5)}, "INVALID_ARGUMENT"),
        ({"keep_labels": [""]}, "INVALID_ARGUMENT"),
        ({"keep_labels": [str(n) for n in range(101)]}, "INVALID_ARGUMENT"),
    ],
)
def test_what_is_no_policy_is_refused(wire: Wire, fields: dict[str, object], reason: str) -> None:
    model = Kept(wire, 0.1)
    for call in (model.keep, model.tried):
        with wire.refused("INVALID_ARGUMENT", reason):
            call(**fields)
    assert model.policy() == pb.RetentionPolicy(name=model.name)


def test_a_policy_is_only_tried_in_a_dry_run(wire: Wire) -> None:
    model = Kept(wire, 0.1)
    with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
        model.apply(policy=pb.RetentionPolicy(keep_last=1))
    missing = Kept(wire)
    for call in (missing.policy, missing.apply, lambda: missing.keep(keep_last=1)):
        with wire.refused("NOT_FOUND", "NOT_FOUND"):
            call()


def test_a_scheduled_policy_is_applied_by_the_server(start_server: Callable[..., Server]) -> None:
    with Wire(start_server("--retention-every", "0.2")) as wire:
        model, other = Kept(wire, 0.1, 0.2, 0.3), Kept(wire, 0.1, 0.2)
        other.keep(keep_last=1)  # not scheduled
        model.keep(keep_last=1, scheduled=True)
        wait_until(lambda: model.listed() == [3], what="the policy")
        wire.push(model.short, {"a": b"new"})
        wait_until(lambda: model.listed() == [4], what="the policy again")
        assert other.listed() == [2, 1]
        authors = {a["author"] for kind, _, a in model.events() if kind == "version.deleted"}
        assert authors == {"retention"}
