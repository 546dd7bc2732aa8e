"""Templates, queued builds and runners by raw gRPC, as a client of any language has them."""

from __future__ import annotations

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
