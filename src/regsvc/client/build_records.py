"""What the client returns about builds and events: plain records, and their conversions from the wire."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from regsvc import refs
from regsvc.client.records import Param, params_from, time_from
from regsvc.v1 import build_pb2

LOG_STREAMS: Mapping[int, str] = {
    build_pb2.LOG_STREAM_STDOUT: "stdout",
    build_pb2.LOG_STREAM_STDERR: "stderr",
    build_pb2.LOG_STREAM_LOG: "log",
}


@dataclass(frozen=True)
class Step:
    """A named phase of a build."""

    number: int
    name: str
    state: str
    """RUNNING, SUCCEEDED, FAILED or CANCELLED."""
    started: datetime | None
    ended: datetime | None
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """For `--json`; times are RFC 3339."""
        return {
            "number": self.number,
            "name": self.name,
            "state": self.state,
            "started": _json_time(self.started),
            "ended": _json_time(self.ended),
            "reason": self.reason,
        }


@dataclass(frozen=True)
class Run:
    """How a template made a build."""

    template: str
    """`team/fraud/nightly`"""
    revision: int
    trigger: str
    """`call`, `schedule`, `event` or `retry`."""
    cause: str
    """Of a schedule the time it was due, of an event its number."""
    author: str
    """Who called, as the client said."""
    attempt: int
    inputs: Mapping[str, str]
    """Reference by folder."""
    source: str
    """Reference of a version, or `URL@COMMIT`; empty for none."""
    labels: tuple[str, ...]
    retry_of: str
    """The build whose next attempt it is, or empty."""
    rerun_of: str
    followed_by: tuple[str, ...]
    """Builds that repeat it."""
    runner: str
    """Who took it, or empty."""
    started: datetime | None
    not_before: datetime | None

    def to_json(self) -> dict[str, Any]:
        """For `--json`; times are RFC 3339."""
        return {
            **asdict(self),
            "inputs": dict(self.inputs),
            "labels": list(self.labels),
            "followed_by": list(self.followed_by),
            "started": _json_time(self.started),
            "not_before": _json_time(self.not_before),
        }


@dataclass(frozen=True)
class Build:
    """One run that made, or tried to make, a version."""

    name: str
    """`team/fraud/builds/7`"""
    number: int
    state: str
    """QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELLED or LOST."""
    reason: str
    created: datetime | None
    ended: datetime | None
    description: str
    params: Mapping[str, Param]
    metrics: Mapping[str, float]
    """The last value of every series."""
    tags: Mapping[str, str]
    steps: tuple[Step, ...]
    """Empty in lists of builds and in `BuildUpdate`."""
    versions: tuple[str, ...]
    """References of the versions it published: `team/fraud:3`."""
    log_seq: int
    """Number of the last log line committed."""
    log_bytes: int
    log_digest: str
    """Digest of the sealed log, 64 hex digits, or empty."""
    cancel_requested: bool
    run: Run | None = None
    """How a template made it."""

    def to_json(self) -> dict[str, Any]:
        """For `--json`; times are RFC 3339."""
        return {
            "build": self.name,
            "number": self.number,
            "state": self.state,
            "reason": self.reason,
            "created": _json_time(self.created),
            "ended": _json_time(self.ended),
            "description": self.description,
            "params": dict(self.params),
            "metrics": dict(self.metrics),
            "tags": dict(self.tags),
            "steps": [step.to_json() for step in self.steps],
            "versions": list(self.versions),
            "log_seq": self.log_seq,
            "log_bytes": self.log_bytes,
            "log_digest": self.log_digest,
            "cancel_requested": self.cancel_requested,
            "run": None if self.run is None else self.run.to_json(),
        }


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a build's log."""

    seq: int
    """1, 2, 3 ... without gaps."""
    time: datetime | None
    step: str
    """The step it belongs to, or empty."""
    stream: str
    """stdout, stderr, or log for what the publisher wrote itself."""
    raw: bytes
    """The line as it was written, without its newline."""
    partial: bool = False
    """The next line of the same stream continues this one."""

    @property
    def text(self) -> str:
        """The line as text; bytes that are not UTF-8 come out as U+FFFD."""
        return self.raw.decode("utf-8", "replace")

    def to_json(self) -> dict[str, Any]:
        """For `--json`; `bytes` (base64) is there only when the line is not UTF-8."""
        document: dict[str, Any] = {
            "seq": self.seq,
            "time": _json_time(self.time),
            "step": self.step,
            "stream": self.stream,
            "text": self.text,
            "partial": self.partial,
        }
        if document["text"].encode() != self.raw:
            document["bytes"] = base64.b64encode(self.raw).decode("ascii")
        return document


@dataclass(frozen=True)
class MetricPoint:
    """One value of a metric series."""

    key: str
    value: float
    step: int
    time: datetime | None

    def to_json(self) -> dict[str, Any]:
        """For `--json`; times are RFC 3339."""
        return {"key": self.key, "value": self.value, "step": self.step, "time": _json_time(self.time)}


@dataclass(frozen=True)
class BuildUpdate:
    """What changed in a build: snapshots that replace what the reader holds."""

    seq: int
    """The number to resume after."""
    build: Build | None = None
    steps: tuple[Step, ...] = ()
    metrics: tuple[MetricPoint, ...] = ()
    """New points, in order."""
    log_seq: int = 0
    """Number of the last log line committed; 0 when it did not change."""
    final: bool = False
    """The build has ended and this is the last update."""

    def to_json(self) -> dict[str, Any]:
        """For `--json`; parts that did not change are left out."""
        document: dict[str, Any] = {"seq": self.seq, "final": self.final}
        if self.build is not None:
            document["build"] = self.build.to_json()
        if self.steps:
            document["steps"] = [step.to_json() for step in self.steps]
        if self.metrics:
            document["metrics"] = [point.to_json() for point in self.metrics]
        if self.log_seq:
            document["log_seq"] = self.log_seq
        return document


@dataclass(frozen=True)
class Event:
    """One change in the registry."""

    seq: int
    """Ascending; numbers may be left out."""
    time: datetime | None
    kind: str
    """`version.created`, `alias.set`, `build.ended` ... More may come."""
    resource: str
    """Wire name of what it happened to."""
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def reference(self) -> str:
        """The resource as people write it: `team/fraud:3`, `team/fraud@prod`, `team/fraud/builds/7`."""
        return short_name(self.resource)

    def to_json(self) -> dict[str, Any]:
        """For `--json`; times are RFC 3339."""
        return {
            "seq": self.seq,
            "time": _json_time(self.time),
            "kind": self.kind,
            "resource": self.resource,
            "reference": self.reference,
            "attributes": dict(self.attributes),
        }


def short_name(wire: str) -> str:
    """A wire name as people write it. One of a kind that this client does not know stays as it is."""
    parts = wire.split("/")
    if len(parts) == 4 and parts[2] == "models":
        return str(refs.model_from_wire(wire))
    if len(parts) in (4, 6) and parts[2] == "datasets":
        return str(refs.dataset_from_wire(wire))
    if len(parts) != 6:
        return wire
    if parts[4] == "builds":
        return str(refs.build_from_wire(wire))
    if parts[4] == "templates":
        return str(refs.template_from_wire(wire))
    return str(refs.version_from_wire(wire)) if parts[4] in ("versions", "aliases") else wire


def build_from_wire(build: Any) -> Build:
    """A `build_pb2.Build` as a record."""
    return Build(
        name=short_name(build.name),
        number=build.number,
        state=_state(build_pb2.BuildState, build.state, "BUILD_STATE_"),
        reason=build.reason,
        created=_time(build, "create_time"),
        ended=_time(build, "end_time"),
        description=build.metadata.description,
        params=params_from(build.metadata.params),
        metrics=dict(build.metadata.metrics),
        tags=dict(build.metadata.tags),
        steps=tuple(step_from_wire(step) for step in build.steps),
        versions=tuple(short_name(version) for version in build.versions),
        log_seq=build.log_seq,
        log_bytes=build.log_bytes,
        log_digest=build.log_digest,
        cancel_requested=build.cancel_requested,
        run=_run_from_wire(build.run) if build.HasField("run") else None,
    )


def _run_from_wire(run: Any) -> Run:
    git = run.source.git
    return Run(
        template=short_name(run.template),
        revision=run.revision,
        trigger=run.trigger,
        cause=run.cause,
        author=run.author,
        attempt=run.attempt,
        inputs={each.folder: short_name(each.version) for each in run.inputs},
        source=f"{git.url}@{git.commit}" if git.url else short_name(run.source.version),
        labels=tuple(run.labels),
        retry_of=short_name(run.retry_of),
        rerun_of=short_name(run.rerun_of),
        followed_by=tuple(map(short_name, run.followed_by)),
        runner=run.runner,
        started=_time(run, "start_time"),
        not_before=_time(run, "not_before"),
    )


def step_from_wire(step: Any) -> Step:
    """A `build_pb2.Step` as a record."""
    return Step(
        number=step.number,
        name=step.name,
        state=_state(build_pb2.StepState, step.state, "STEP_STATE_"),
        started=_time(step, "start_time"),
        ended=_time(step, "end_time"),
        reason=step.reason,
    )


def line_from_wire(line: Any) -> LogLine:
    """A `build_pb2.LogLine` as a record."""
    stream = LOG_STREAMS.get(line.stream, "log")
    return LogLine(line.seq, _time(line, "time"), line.step, stream, line.text, line.partial)


def update_from_wire(update: Any) -> BuildUpdate:
    """A `build_pb2.WatchBuildResponse` as a record."""
    return BuildUpdate(
        seq=update.seq,
        build=build_from_wire(update.build) if update.HasField("build") else None,
        steps=tuple(step_from_wire(step) for step in update.steps),
        metrics=tuple(
            MetricPoint(point.key, point.value, point.step, _time(point, "time")) for point in update.metrics
        ),
        log_seq=update.log_seq,
        final=update.final,
    )


def event_from_wire(event: Any) -> Event:
    """An `event_pb2.Event` as a record."""
    return Event(event.seq, _time(event, "time"), event.kind, event.resource, dict(event.attributes))


def _time(message: Any, name: str) -> datetime | None:
    return time_from(getattr(message, name)) if message.HasField(name) else None


def _state(kind: Any, number: int, prefix: str) -> str:
    """The name of an enum value; a newer server's, which this client does not know, is its number."""
    name: str = kind.Name(number) if number in kind.values() else str(number)
    return name.removeprefix(prefix)


def _json_time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat().replace("+00:00", "Z")
