"""Templates: how a version of a model is made. Plain values, and their JSON as the catalog keeps it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from enum import IntEnum
from typing import Any

ParamValue = str | int | float | bool
MAX_BACKOFF = 24 * 3600
"""Seconds before another attempt, also when they are doubled."""
PARAM_OF_COMMAND = re.compile(r"\$\{params\.([^}]*)\}")
"""What stands in a command for the value of a param; the group is its key."""


class Missed(IntEnum):
    """What becomes of runs that were missed. As in template.proto."""

    SKIP = 1
    RUN_ONCE = 2


class Overlap(IntEnum):
    """What becomes of a run whose predecessor has not ended. As in template.proto."""

    SKIP = 1
    QUEUE = 2


@dataclass(frozen=True)
class Step:
    """One command."""

    name: str
    command: tuple[str, ...]
    """Program and arguments, without a shell."""


@dataclass(frozen=True)
class Source:
    """What the work folder holds at the start: a commit of git, or the files of a version."""

    version: str = ""
    """Wire name of a version; empty for git."""
    url: str = ""
    commit: str = ""


@dataclass(frozen=True)
class Input:
    """A version that the steps read."""

    version: str
    """Wire name of any reference."""
    folder: str


@dataclass(frozen=True)
class Output:
    """A file or folder that becomes a version."""

    path: str
    promote: str = ""
    """An alias, or empty."""


@dataclass(frozen=True)
class Retries:
    """How many more attempts, and how long before each."""

    lost: int = 0
    failed: int = 0
    backoff_seconds: int = 0


@dataclass(frozen=True)
class Schedule:
    """A cron line."""

    cron: str
    time_zone: str = ""
    missed: Missed = Missed.SKIP
    overlap: Overlap = Overlap.SKIP


@dataclass(frozen=True)
class Template:
    """What clients set; template.proto explains each field."""

    steps: tuple[Step, ...] = ()
    description: str = ""
    source: Source | None = None
    params: Mapping[str, ParamValue] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    inputs: tuple[Input, ...] = ()
    outputs: tuple[Output, ...] = ()
    timeout_seconds: int = 0
    retries: Retries = Retries()
    labels: tuple[str, ...] = ()
    schedule: Schedule | None = None
    triggers: tuple[str, ...] = ()
    """Filters of events."""
    paused: bool = False


def named_params(template: Template) -> Iterator[str]:
    """Keys that commands name as `${params.KEY}`."""
    for step in template.steps:
        for word in step.command:
            yield from PARAM_OF_COMMAND.findall(word)


def to_json(template: Template) -> str:
    """Equal templates have equal texts."""
    return json.dumps(asdict(template), sort_keys=True, ensure_ascii=False)


def from_json(text: str) -> Template:
    """The template that `to_json` wrote."""
    found = json.loads(text)
    schedule = found["schedule"]
    return Template(
        steps=tuple(Step(each["name"], tuple(each["command"])) for each in found["steps"]),
        description=found["description"],
        source=source_from_json(found["source"]),
        params=found["params"],
        environment=found["environment"],
        inputs=inputs_from_json(found["inputs"]),
        outputs=tuple(Output(**each) for each in found["outputs"]),
        timeout_seconds=found["timeout_seconds"],
        retries=Retries(**found["retries"]),
        labels=tuple(found["labels"]),
        schedule=None
        if schedule is None
        else Schedule(
            schedule["cron"],
            schedule["time_zone"],
            Missed(schedule["missed"]),
            Overlap(schedule["overlap"]),
        ),
        triggers=tuple(found["triggers"]),
        paused=found["paused"],
    )


def source_from_json(found: Mapping[str, Any] | None) -> Source | None:
    """A source by its members."""
    return None if found is None else Source(**found)


def inputs_from_json(found: list[dict[str, Any]]) -> tuple[Input, ...]:
    """Inputs by their members."""
    return tuple(Input(**each) for each in found)
