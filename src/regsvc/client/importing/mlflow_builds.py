"""Writes runs of MLflow as builds: each once, and an unfinished one from where it stopped.

What is there is found by the tag `mlflow.run_id`, since request ids are forgotten after some days. A build that an
import left RUNNING is taken up: its points were sent in one fixed order, so their number tells where to go on. One that
became LOST meanwhile cannot be; its run comes in anew.
"""

from __future__ import annotations

import contextlib
import math
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from regsvc import errors, refs
from regsvc.client import builds, series
from regsvc.client.build_records import Build
from regsvc.client.capture.code import without_credentials
from regsvc.client.connection import Connection
from regsvc.client.importing.mlflow_store import MlflowStore, StoredRun
from regsvc.client.importing.mlflow_values import (
    MAX_DESCRIPTION,
    MAX_ENTRIES,
    Fitted,
    fit_key,
    fit_text,
    fitted,
    request_id,
)
from regsvc.client.recorder import Point
from regsvc.client.records import metadata_message
from regsvc.v1 import build_pb2

RUN_ID = "mlflow.run_id"
STATES = {"FINISHED": "SUCCEEDED", "FAILED": "FAILED", "KILLED": "CANCELLED"}
"""What a run that has ended becomes."""

_NOTE = "mlflow.note.content"
_KEPT = frozenset({"mlflow.user", "mlflow.parentRunId", "mlflow.project.entryPoint"})
"""Of MLflow's own tags, besides those of the source."""
_LAST_MS = 253_402_300_799_999
"""The end of the year 9999."""
_MAX_STEP = 1 << 63


@dataclass(frozen=True)
class RunText:
    """What a run says of itself, within the limits."""

    fitted: Fitted
    description: str
    keys: tuple[str, ...]
    """Of metrics, as MLflow calls them; not more than a build takes."""
    notices: tuple[str, ...]


def text_of(run: StoredRun) -> RunText:
    """Params, tags and description of a run as regsvc takes them."""
    tags = {
        key: without_credentials(value) if key.startswith("mlflow.source.") else value
        for key, value in run.tags.items()
        if not key.startswith("mlflow.") or key in _KEPT or key.startswith("mlflow.source.")
    }
    own = {
        RUN_ID: run.id,
        "mlflow.run_name": run.name or run.tags.get("mlflow.runName", ""),
        "mlflow.experiment": run.experiment,
        "mlflow.experiment_id": run.experiment_id,
        "mlflow.status": run.status,
        "mlflow.start_time": moment(run.started),
        "mlflow.end_time": moment(run.ended),
    }
    tags |= {key: value for key, value in own.items() if value}
    keys = run.metrics[:MAX_ENTRIES]
    found = fitted(run.params, tags, len(keys))
    notices = list(found.notices)
    if len(keys) < len(run.metrics):
        notices.append(f"{len(run.metrics) - len(keys)} of {len(run.metrics)} metrics did not fit")
    note = run.tags.get(_NOTE, "")
    description = fit_text(note, MAX_DESCRIPTION)
    if description != note:
        notices.append("the description was shortened")
    return RunText(found, description, keys, tuple(notices))


@dataclass
class Known:
    """The builds of a model that came from runs."""

    ended: dict[str, Build]
    running: dict[str, Build]
    lost: Counter[str]


def known_builds(connection: Connection, model: refs.ModelName) -> Known:
    """What earlier imports left, by id of the run."""
    known = Known({}, {}, Counter())
    with contextlib.suppress(errors.NotFound):
        for build in builds.list_builds(connection, str(model)):
            run_id = build.tags.get(RUN_ID)
            if run_id is None:
                continue
            if build.state == "RUNNING":
                known.running[run_id] = build
            elif build.state == "LOST":
                known.lost[run_id] += 1
            else:
                known.ended[run_id] = build
    return known


def begin(connection: Connection, model: refs.ModelName, text: RunText, run_id: str, attempt: int) -> str:
    """A new build, by resource name; the same one for an import that runs at the same time."""
    request = build_pb2.CreateBuildRequest(
        parent=model.wire,
        metadata=metadata_message(
            params=text.fitted.params, tags=text.fitted.tags, description=text.description
        ),
    )
    content = request.SerializeToString(deterministic=True)
    request.request_id = request_id("mlflow run", run_id, attempt, content)
    name: str = connection.call(connection.builds.CreateBuild, request).build.name
    return name


def points_of(store: MlflowStore, run: StoredRun, text: RunText, notices: list[str]) -> list[Point]:
    """All points of a run, key by key; what is not finite is left out, and said."""
    points: list[Point] = []
    for original in text.keys:
        key, left_out, untimed = fit_key(original), 0, 0
        for each in store.history(run.id, original):
            # A database of MLflow keeps infinities as the largest double.
            if not math.isfinite(each.value) or abs(each.value) == sys.float_info.max:
                left_out += 1
            elif not -_MAX_STEP <= each.step < _MAX_STEP or not 0 <= each.time <= _LAST_MS:
                untimed += 1
            else:
                points.append(Point(key, each.value, each.step, each.time * 1_000_000))
        if key != original:
            notices.append(f"metric '{original[:60]}' is called '{key[:60]}'")
        if left_out:
            notices.append(f"metric '{original[:60]}': {left_out} points are NaN or infinite, and left out")
        if untimed:
            notices.append(
                f"metric '{original[:60]}': {untimed} points have no time from 1970 on, and are left out"
            )
    return points


def send_points(connection: Connection, build: str, points: list[Point]) -> int:
    """Append those that the build does not have yet; gives how many."""
    have = sum(each.count for each in series.list_series(connection, refs.build_from_wire(build)))
    most = connection.capabilities().max_metric_points
    start = have
    while start < len(points):
        # Up to the next multiple: imports at the same time then send the same requests.
        end = min(len(points), (start // most + 1) * most)
        request = build_pb2.LogMetricsRequest(build=build)
        for key, value, step, time_ns in points[start:end]:
            point = request.points.add(key=key, value=value, step=step)
            point.time.seconds, point.time.nanos = divmod(time_ns, 1_000_000_000)
        content = request.SerializeToString(deterministic=True)
        request.request_id = request_id("mlflow points", build, start, content)
        connection.call(connection.builds.LogMetrics, request)
        start = end
    return max(0, len(points) - have)


def end(connection: Connection, build: str, run: StoredRun) -> None:
    """End the build as the run ended."""
    request = build_pb2.FinishBuildRequest(name=build, state=f"BUILD_STATE_{STATES[run.status]}")
    connection.call(connection.builds.FinishBuild, request)


@contextlib.contextmanager
def kept_alive(connection: Connection, build: str) -> Iterator[None]:
    """Heartbeats while a build waits for bytes that are pushed."""
    stopped = threading.Event()
    pause = connection.capabilities().build_lease_ms / 4000
    request = build_pb2.HeartbeatRequest(build=build)

    def beat() -> None:
        while not stopped.wait(pause):
            # What is wrong comes out at the next call that records something.
            with contextlib.suppress(errors.RegsvcError, ValueError):
                connection.call(connection.builds.Heartbeat, request, timeout=15.0, patience=pause)

    thread = threading.Thread(target=beat, name="regsvc-import", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def last_values(points: list[Point]) -> Mapping[str, float]:
    """The last value by key."""
    return {point.key: point.value for point in points}


def moment(milliseconds: int | None) -> str:
    """RFC 3339 in UTC, with milliseconds; empty for what is no time."""
    if milliseconds is None or not 0 <= milliseconds <= _LAST_MS:
        return ""
    at: Any = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return f"{at.strftime('%Y-%m-%dT%H:%M:%S')}.{milliseconds % 1000:03d}Z"
