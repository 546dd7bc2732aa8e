"""What builds will read that wait is kept for them: versions that are deleted and models that are renamed meanwhile."""

from __future__ import annotations

import pytest
from google.protobuf.duration_pb2 import Duration
from server import automation as auto
from server.lifecycles import Lived
from server.wire import LIMIT, Wire, name_of

from regsvc.v1 import build_pb2 as bld
from regsvc.v1 import lifecycle_pb2 as pb
from regsvc.v1 import run_pb2


class Read(Lived):
    """A model that a template of another one reads."""

    def __init__(self, wire: Wire):
        super().__init__(wire, 0.1, 0.2, 0.3)
        self.reader = f"{self.short}-reader"
        inputs = [run_pb2.TemplateInput(version=self.version(1), folder="a")]
        source = run_pb2.TemplateSource(version=self.version(2))
        auto.put(wire, self.reader, inputs=inputs, source=source)

    def rename(self) -> str:
        new = f"{self.short}-new"
        self.wire.lifecycle.RenameModel(
            pb.RenameModelRequest(name=self.name, new_name=name_of(new)), timeout=LIMIT
        )
        return new

    def finish(self, build: bld.Build) -> None:
        auto.claim(self.wire, build.name)
        self.wire.finish(build.name)


@pytest.fixture
def model(wire: Wire) -> Read:
    return Read(wire)


def test_a_version_that_a_build_will_read_is_not_deleted(wire: Wire, model: Read) -> None:
    build = auto.start(wire, model.reader)
    short = f"{model.reader}/builds/1"
    for number in (1, 2):
        with wire.refused("FAILED_PRECONDITION", "VERSION_IN_USE") as told:
            model.delete(number)
        assert told["builds"] == short
    model.delete(3)
    model.undelete(3)
    policy = pb.RetentionPolicy(keep_last=1)
    request = pb.ApplyRetentionRequest(name=model.name, dry_run=True, policy=policy)
    verdicts = wire.lifecycle.ApplyRetention(request, timeout=LIMIT).verdicts
    assert [list(each.reasons) for each in verdicts] == [["last 1"], [f"build {short}"], [f"build {short}"]]
    model.delete(1, force=True)
    auto.claim(wire, build.name)
    with wire.refused("FAILED_PRECONDITION", "VERSION_IN_USE"):
        model.delete(2)
    wire.finish(build.name)
    model.delete(2)


def test_a_model_that_a_build_will_read_is_not_renamed(wire: Wire, model: Read) -> None:
    build = auto.start(wire, model.reader)
    with wire.refused("FAILED_PRECONDITION", "MODEL_IN_USE") as told:
        model.rename()
    assert told["reading_builds"] == "1"
    model.finish(build)
    model.rename()


def test_templates_and_reruns_find_what_was_renamed(wire: Wire, model: Read) -> None:
    first = auto.start(wire, model.reader)
    model.finish(first)
    new = name_of(model.rename())
    for build in (auto.rerun(wire, first.name), auto.start(wire, model.reader)):
        assert [each.version for each in build.run.inputs] == [f"{new}/versions/1"]
        assert build.run.source.version == f"{new}/versions/2"


def test_a_model_whose_name_begins_alike_is_not_read(wire: Wire, model: Read) -> None:
    auto.start(wire, model.reader)
    wire.push(f"{model.short}2", {"a": b"1"})
    request = pb.DeleteVersionRequest(
        name=f"{name_of(model.short + '2')}/versions/1", keep=Duration(seconds=60)
    )
    wire.lifecycle.DeleteVersion(request, timeout=LIMIT)
