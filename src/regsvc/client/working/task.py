"""What a claimed build has to do, as plain values, and what its steps see of its params."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from regsvc.client.records import Param, params_from
from regsvc.client.working.stopping import WorkFailed
from regsvc.content.template import PARAM_OF_COMMAND, Input, Output, Step
from regsvc.wire.template import inputs_from

_NO_NAME = re.compile(r"[^A-Z0-9]")


@dataclass(frozen=True)
class Task:
    """A build of a template."""

    build: str
    """Wire name."""
    steps: tuple[Step, ...]
    params: Mapping[str, Param]
    environment: Mapping[str, str]
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    source_version: str
    """Wire name, or empty."""
    git_url: str
    git_commit: str
    timeout: float
    """Seconds; 0 is none."""
    author: str
    """Who wanted it."""


def task_from(claimed: Any) -> Task:
    """What a `ClaimBuildResponse` asks for."""
    build, template = claimed.build, claimed.template
    source = build.run.source if build.run.HasField("source") else template.source
    inputs = build.run.inputs or template.inputs
    return Task(
        build=build.name,
        steps=tuple(Step(each.name, tuple(each.command)) for each in template.steps),
        params={**params_from(template.params), **params_from(build.metadata.params)},
        environment=dict(template.environment),
        inputs=inputs_from(inputs),
        outputs=tuple(Output(each.path, each.promote) for each in template.outputs),
        source_version=source.version,
        git_url=source.git.url,
        git_commit=source.git.commit,
        timeout=float(template.timeout_seconds),
        author=build.run.author or template.author,
    )


def expanded(step: Step, params: Mapping[str, Param]) -> list[str]:
    """The command of a step with its `${params.KEY}` replaced. Raises `WorkFailed`."""

    def value(found: re.Match[str]) -> str:
        if found[1] not in params:
            raise WorkFailed(
                f"step {step.name}: its command names the param '{found[1]}', which is not there"
            )
        return text_of(params[found[1]])

    return [PARAM_OF_COMMAND.sub(value, word) for word in step.command]


def param_variables(params: Mapping[str, Param]) -> dict[str, str]:
    """`REGSVC_PARAM_{KEY}` by name. Of keys that come to the same name none is there."""
    found: dict[str, str] = {}
    twice: set[str] = set()
    for key, value in params.items():
        name = "REGSVC_PARAM_" + _NO_NAME.sub("_", key.upper())
        if name in found:
            twice.add(name)
        found[name] = text_of(value)
    # A NUL cannot be in an environment; the file has it.
    return {name: value for name, value in found.items() if name not in twice and "\0" not in value}


def params_document(params: Mapping[str, Param]) -> str:
    """All params as one JSON object."""
    return json.dumps(dict(params), ensure_ascii=False, indent=2) + "\n"


def text_of(value: Param) -> str:
    """A param as text; booleans as `true` and `false`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)
