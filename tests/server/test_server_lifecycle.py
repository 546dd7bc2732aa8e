"""Archiving, deleting and undeleting at the wire."""

from __future__ import annotations

import queue

import pytest
from server.lifecycles import Lived
from server.wire import LIMIT, Wire
from support import wait_until

from regsvc.v1 import artifact_pb2 as art
from regsvc.v1 import (
    compare_pb2,
    compare_pb2_grpc,
    lineage_pb2,
    lineage_pb2_grpc,
    promotion_pb2,
    record_pb2,
    search_pb2,
    search_pb2_grpc,
)
from regsvc.v1 import deployment_pb2 as dep
from regsvc.v1 import lifecycle_pb2 as pb
from regsvc.v1 import registry_pb2 as reg

DAY = 24 * 3600


def searched(wire: Wire, model: str, text: str = "") -> list[int]:
    request = search_pb2.SearchRequest(parent=model, filter=text, page_size=1000)
    found = search_pb2_grpc.SearchServiceStub(wire.channel).Search(request, timeout=LIMIT)
    return sorted(each.number for each in found.versions)


def test_an_archived_version_is_read_and_listed_and_never_the_latest(wire: Wire) -> None:
    model = Lived(wire, 0.7, 0.8)
    archived = model.archive(2, reason="superseded", author="dana")
    assert archived.HasField("archive_time")
    assert model.archive(2).archive_time == archived.archive_time  # again succeeds and changes nothing
    assert model.get("versions/latest").number == model.model().latest_version == 1
    assert model.listed() == [2, 1]
    assert wire.read_version(model.version(2)) == {"a": b"0.8"}
    assert searched(wire, model.name) == [1, 2]
    assert searched(wire, model.name, "archived") == [2]
    assert not model.archive(2, archived=False).HasField("archive_time")
    assert model.get("versions/latest").number == 2
    assert [(kind, attributes) for kind, _, attributes in model.events() if "archived" in kind] == [
        ("version.archived", {"reason": "superseded", "author": "dana"}),
        ("version.unarchived", {"reason": "", "author": ""}),
    ]


def test_no_alias_is_moved_to_an_archived_version(wire: Wire) -> None:
    model = Lived(wire, 0.7, 0.8)
    model.set(1)
    model.archive(2)
    for move in (model.set, model.promote):
        with wire.refused("FAILED_PRECONDITION", "VERSION_ARCHIVED"):
            move(2)
    upload = wire.start(model.short)
    wire.write_file(upload, "a", b"x")
    assert wire.commit(upload, aliases=["prod"]).number == 3
    model.set(1)
    with wire.refused("FAILED_PRECONDITION", "VERSION_IN_USE") as metadata:
        model.archive(1)
    assert metadata["aliases"] == "prod"
    model.set(3)
    model.archive(1)
    with wire.refused("FAILED_PRECONDITION", "NO_HISTORY"):  # both before it are archived, or it itself
        model.rollback()
    with wire.refused("FAILED_PRECONDITION", "VERSION_ARCHIVED"):
        model.rollback(to=1)


def test_a_deleted_version_is_gone_from_everywhere_and_comes_back(wire: Wire) -> None:
    model = Lived(wire, 0.6, 0.7, 0.8)
    digest = model.get("versions/2").digest
    deleted = model.delete(2, reason="trained on the wrong day", author="dana").version
    lasts = deleted.purge_time.ToSeconds() - deleted.delete_time.ToSeconds()
    assert lasts == 7 * DAY
    for name in ("versions/2", f"versions/b3:{digest}"):
        with wire.refused("NOT_FOUND", "VERSION_DELETED") as metadata:
            model.get(name)
        assert metadata["version"] == model.version(2)
        assert "purge_time" in metadata
    assert model.get("versions/2", include_deleted=True).delete_time == deleted.delete_time
    assert model.listed() == [3, 1]
    assert model.listed(include_deleted=True) == [3, 2, 1]
    assert searched(wire, model.name) == [1, 3]
    assert searched(wire, model.name, "metrics.f1 == 0.7") == []
    assert (model.model().version_count, model.model().latest_version) == (2, 3)
    for call in (
        lambda: list(
            wire.artifacts.ReadManifest(art.ReadManifestRequest(version=model.version(2)), timeout=LIMIT)
        ),
        lambda: wire.read_file(model.version(2), "a"),
        lambda: model.set(2),
        lambda: model.promote(2),
        lambda: model.mark(2),
        lambda: model.archive(2),
        lambda: compare_pb2_grpc.CompareServiceStub(wire.channel).Compare(
            compare_pb2.CompareRequest(names=[model.version(1), model.version(2)]), timeout=LIMIT
        ),
    ):
        with wire.refused("NOT_FOUND", "VERSION_DELETED"):
            call()
    assert model.undelete(2, author="erin").number == 2
    assert model.undelete(2).number == 2
    assert model.listed() == [3, 2, 1]
    assert wire.read_version(model.version(2)) == {"a": b"0.7"}
    assert searched(wire, model.name, "metrics.f1 == 0.7") == [2]
    kinds = [(kind, attributes["author"]) for kind, _, attributes in model.events() if "deleted" in kind]
    assert kinds == [("version.deleted", "dana"), ("version.undeleted", "erin")]


def test_models_are_found_by_what_is_left_of_them(wire: Wire) -> None:
    model = Lived(wire, 0.6, 0.7, 0.8)
    model.delete(3)
    model.archive(2)

    def number() -> int:
        request = search_pb2.SearchRequest(
            kind=search_pb2.SEARCH_KIND_MODELS, filter=f"model == '{model.short}' && versions < 3"
        )
        found = search_pb2_grpc.SearchServiceStub(wire.channel).Search(request, timeout=LIMIT).models
        return found[0].latest_version if found else -1

    assert number() == 1
    model.delete(1)
    assert number() == 0
    model.undelete(3)
    assert number() == -1


def test_numbers_are_never_given_twice_and_latest_is_what_is_left(wire: Wire) -> None:
    model = Lived(wire, 0.6, 0.7)
    model.delete(2)
    assert model.get("versions/latest").number == 1
    assert wire.push(model.short, {"a": b"again"}).number == 3
    model.delete(3)
    model.delete(1)
    with wire.refused("NOT_FOUND", "NOT_FOUND"):
        model.get("versions/latest")
    assert (model.model().version_count, model.model().latest_version) == (0, 0)
    assert wire.push(model.short, {"a": b"again"}).number == 4


def test_of_equal_versions_a_digest_names_one_that_is_not_deleted(wire: Wire) -> None:
    model = Lived(wire, 0.6)
    same = wire.push(model.short, {"a": b"0.6"})
    model.delete(2)
    assert model.get(f"versions/b3:{same.digest}").number == 1


def test_a_version_that_an_alias_names_is_deleted_only_by_force(wire: Wire) -> None:
    model = Lived(wire, 0.6, 0.7)
    model.set(1)
    model.set(2)
    model.rules(protected=True)
    for dry_run in (True, False):
        with wire.refused("FAILED_PRECONDITION", "VERSION_IN_USE") as metadata:
            model.delete(2, dry_run=dry_run)
        assert (metadata["aliases"], metadata["hosts"]) == ("prod", "")
    foreseen = model.delete(2, force=True, dry_run=True)
    assert model.now() == 2
    done = model.delete(2, force=True, author="dana", reason="poisoned")
    assert list(foreseen.unset_aliases) == list(done.unset_aliases) == ["prod"]
    assert model.now() == 0
    assert not model.model().aliases
    last = model.history()[-1]
    assert (last.version, last.previous_version) == ("", model.version(2))
    assert (last.kind, last.author, last.reason) == (reg.ALIAS_CHANGE_KIND_UNSET, "dana", "poisoned")
    with wire.refused("NOT_FOUND", "NOT_FOUND"):
        model.rollback()
    with wire.refused("NOT_FOUND", "NOT_FOUND"):
        model.resolve()
    assert "alias.unset" in [kind for kind, _, _ in model.events()]
    model.undelete(2)
    assert model.now() == 0  # what was unset stays so
    model.promote(1)
    assert model.now() == 1


def test_what_an_alias_named_before_it_was_unset_is_still_told(wire: Wire) -> None:
    model = Lived(wire, 0.6, 0.7)
    model.set(1)
    named = model.history()[-1].time
    model.delete(1, force=True)
    model.set(2)
    assert model.resolve().version.number == 2
    with wire.refused("NOT_FOUND", "VERSION_DELETED"):
        model.resolve(named)
    model.undelete(1)
    assert model.resolve(named).version.number == 1


def test_a_version_that_a_host_serves_is_deleted_only_by_force(wire: Wire) -> None:
    model = Lived(wire, 0.6, 0.7)
    model.set(1)
    outgoing: queue.SimpleQueue[dep.FollowRequest | None] = queue.SimpleQueue()
    serving = dep.DeploymentReport(state=dep.DEPLOYMENT_STATE_SERVING, version=model.version(1))
    hello = dep.FollowHello(alias=model.prod, deployment="eu-1", host="gpu-7", report=serving)
    outgoing.put(dep.FollowRequest(hello=hello))
    call = wire.deployments.Follow(iter(outgoing.get, None), timeout=LIMIT)
    assert next(call).target.version == model.version(1)
    model.set(2)
    assert next(call).target.version == model.version(2)
    with wire.refused("FAILED_PRECONDITION", "VERSION_IN_USE") as metadata:
        model.delete(1)
    assert (metadata["aliases"], metadata["hosts"]) == ("", "gpu-7")
    deleted = model.delete(1, force=True)
    assert list(deleted.hosts) == ["gpu-7"]
    assert list(deleted.unset_aliases) == []
    # It goes on serving it, and says so.
    error = "no memory for the new one"
    failed = dep.DeploymentReport(state=dep.DEPLOYMENT_STATE_FAILED, version=model.version(1), error=error)
    outgoing.put(dep.FollowRequest(report=failed))
    request = dep.ListDeploymentsRequest(parent=model.name)

    def listed() -> list[tuple[str, str]]:
        found = wire.deployments.ListDeployments(request, timeout=LIMIT).deployments
        return [(each.version, each.error) for each in found]

    wait_until(lambda: listed() == [(model.version(1), error)], what="the report")
    outgoing.put(None)
    assert [response for response in call if response.HasField("target")] == []


def test_deleting_again_changes_only_how_long_it_is_kept(wire: Wire) -> None:
    model = Lived(wire, 0.6)
    first = model.delete(1).version
    assert model.delete(1).version.purge_time == first.purge_time
    sooner = model.delete(1, keep=60).version
    assert sooner.delete_time == first.delete_time
    assert sooner.purge_time.ToSeconds() < first.purge_time.ToSeconds()
    assert [kind for kind, _, _ in model.events()].count("version.deleted") == 1


def test_a_deletion_is_repeated_by_its_request_id(wire: Wire) -> None:
    model = Lived(wire, 0.6)
    model.set(1)
    first = model.delete(1, force=True, request_id="once")
    model.undelete(1)
    again = model.delete(1, force=True, request_id="once")
    assert list(again.unset_aliases) == list(first.unset_aliases) == ["prod"]
    assert model.listed() == [1]


@pytest.mark.parametrize("seconds", [-1, 11 * 366 * DAY])
def test_a_version_is_kept_for_a_time_that_can_be(wire: Wire, seconds: int) -> None:
    model = Lived(wire, 0.6)
    for dry_run in (True, False):
        with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
            model.delete(1, keep=seconds, dry_run=dry_run)
    assert model.listed() == [1]


def test_the_latest_is_not_deleted_without_its_number(wire: Wire) -> None:
    model = Lived(wire, 0.6, 0.7)
    latest = f"{model.name}/versions/latest"
    for dry_run in (True, False):
        with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
            wire.lifecycle.DeleteVersion(pb.DeleteVersionRequest(name=latest, dry_run=dry_run), timeout=LIMIT)
    with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
        wire.lifecycle.UndeleteVersion(pb.UndeleteVersionRequest(name=latest), timeout=LIMIT)
    assert model.listed() == [2, 1]


def test_what_does_not_exist_is_not_deleted(wire: Wire) -> None:
    model = Lived(wire, 0.6)
    with wire.refused("NOT_FOUND", "NOT_FOUND"):
        model.delete(2)
    with wire.refused("NOT_FOUND", "NOT_FOUND"):
        model.undelete(2)
    with wire.refused("INVALID_ARGUMENT", "NAME_INVALID"):
        wire.lifecycle.DeleteVersion(pb.DeleteVersionRequest(name="nonsense"), timeout=LIMIT)


def test_a_parent_may_be_deleted_and_lineage_keeps_it(wire: Wire) -> None:
    model = Lived(wire, 0.6)
    upload = wire.start(model.short)
    wire.write_file(upload, "a", b"child")
    parent = record_pb2.Parent(relation=record_pb2.PARENT_RELATION_FINE_TUNED, version=model.version(1))
    wire.commit(upload, record=record_pb2.Record(parents=[parent]))
    model.delete(1)
    stub = lineage_pb2_grpc.LineageServiceStub(wire.channel)
    found = stub.GetLineage(lineage_pb2.GetLineageRequest(name=model.version(2)), timeout=LIMIT)
    assert model.version(1) in {node.name for node in found.nodes}


def test_approving_a_deleted_version_is_refused(wire: Wire) -> None:
    model = Lived(wire, 0.6)
    model.delete(1)
    with wire.refused("NOT_FOUND", "VERSION_DELETED"):
        model.approve(1, "erin")
    request = promotion_pb2.ListApprovalsRequest(version=model.version(1))
    with wire.refused("NOT_FOUND", "VERSION_DELETED"):
        wire.promotions.ListApprovals(request, timeout=LIMIT)
