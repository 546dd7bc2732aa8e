"""Templates, queued builds and runners by raw gRPC, as a client of any language has them."""

from __future__ import annotations

import queue

from server.wire import LIMIT, Wire, name_of

from regsvc.v1 import build_pb2 as bld
from regsvc.v1 import registry_pb2 as reg
from regsvc.v1 import runner_pb2 as run
from regsvc.v1 import template_pb2 as pb


def name(model: str, template: str = "nightly") -> str:
    """Wire name of a template of `ns/model`."""
    return f"{name_of(model)}/templates/{template}"


def step(*command: str, called: str = "train") -> pb.TemplateStep:
    return pb.TemplateStep(name=called, command=command or ("true",))


def put(wire: Wire, model: str, template: str = "nightly", **fields: object) -> pb.Template:
    """SetTemplate; with one step unless `steps` are given."""
    fields.setdefault("steps", [step()])
    message = pb.Template(name=name(model, template), **fields)  # type: ignore[arg-type]
    return wire.templates.SetTemplate(pb.SetTemplateRequest(template=message), timeout=LIMIT).template


def get(wire: Wire, model: str, template: str = "nightly", revision: int = 0) -> pb.Template:
    request = pb.GetTemplateRequest(name=name(model, template), revision=revision)
    return wire.templates.GetTemplate(request, timeout=LIMIT).template


def start(wire: Wire, model: str, template: str = "nightly", **fields: object) -> bld.Build:
    """RunTemplate."""
    request = pb.RunTemplateRequest(name=name(model, template), **fields)  # type: ignore[arg-type]
    return wire.templates.RunTemplate(request, timeout=LIMIT).build


def rerun(wire: Wire, build: str, **fields: object) -> bld.Build:
    request = pb.RerunBuildRequest(build=build, **fields)  # type: ignore[arg-type]
    return wire.templates.RerunBuild(request, timeout=LIMIT).build


def claim(wire: Wire, build: str, runner: str = "host-1", session: str = "s1") -> run.ClaimBuildResponse:
    request = run.ClaimBuildRequest(build=build, runner=runner, session=session)
    return wire.runners.ClaimBuild(request, timeout=LIMIT)


def cancel(wire: Wire, build: str) -> bld.Build:
    return wire.builds.CancelBuild(bld.CancelBuildRequest(name=build), timeout=LIMIT).build


def builds(wire: Wire, model: str) -> list[bld.Build]:
    """All builds of a model, oldest first."""
    request = bld.ListBuildsRequest(parent=name_of(model), page_size=1000)
    return list(wire.builds.ListBuilds(request, timeout=LIMIT).builds)[::-1]


def text(value: str) -> reg.ParamValue:
    return reg.ParamValue(string_value=value)


class Runner:
    """One Work stream."""

    def __init__(self, wire: Wire, called: str, *labels: str, slots: int = 1, session: str = "s1") -> None:
        self._outgoing: queue.SimpleQueue[run.WorkRequest | None] = queue.SimpleQueue()
        self.wire, self.name, self.session = wire, called, session
        told = run.Runner(name=called, session=session, labels=labels, slots=slots, host="h", version="1")
        self._outgoing.put(run.WorkRequest(runner=told, free_slots=slots))
        self.call = wire.runners.Work(iter(self._outgoing.get, None), timeout=LIMIT)

    def hears(self) -> tuple[str, str]:
        """The next (offer, cancel), past heartbeats."""
        return next((each.offer, each.cancel) for each in self.call if each.offer or each.cancel)

    def free(self, slots: int) -> None:
        self._outgoing.put(run.WorkRequest(free_slots=slots))

    def take(self, build: str) -> run.ClaimBuildResponse:
        return claim(self.wire, build, self.name, self.session)

    def end(self) -> None:
        self._outgoing.put(None)
        for _ in self.call:
            pass


def runners(wire: Wire) -> dict[str, run.Runner]:
    """ListRunners, by name."""
    return {
        each.name: each for each in wire.runners.ListRunners(run.ListRunnersRequest(), timeout=LIMIT).runners
    }
