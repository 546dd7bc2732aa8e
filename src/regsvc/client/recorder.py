"""Sends what a build records besides its log: params, tags, metrics, steps, and how it was made.

One thread sends them in the order they were given, and tries for as long as the server is away, so training
neither waits nor fails when the registry is restarted.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from regsvc import errors
from regsvc.client.connection import Connection
from regsvc.client.provenance import record_message
from regsvc.client.records import Param, param_message
from regsvc.client.resume import DEFAULT_PATIENCE, FIRST_WAIT
from regsvc.client.streams import closed_connection
from regsvc.content.comparison import Direction
from regsvc.content.record import Record
from regsvc.v1 import build_pb2, metric_pb2, record_pb2

QUEUE_LIMIT = 200_000
"""Metric points and other records that may wait to be sent; then the caller waits."""

MAX_REASON_BYTES = 16 << 10

STEP_ENDS = frozenset({"SUCCEEDED", "FAILED", "CANCELLED"})

_MERGED_ENTRIES = 100
"""Params and tags of several calls that travel together; each may be 16 KiB and a message has its limit."""

_LONGEST_WAIT = 1.0
_ATTEMPT = 15.0
"""Seconds for one attempt; every call is idempotent, so a late answer costs nothing but the wait."""


class Point(NamedTuple):
    """One value of a metric series."""

    key: str
    value: float
    step: int
    time_ns: int


class Recording(Protocol):
    """Where a build's records go: to the server, or through the parent process of `build run`."""

    def params(self, params: Mapping[str, Param], tags: Mapping[str, str]) -> None:
        """Record params and tags."""

    def points(self, points: Iterable[Point]) -> None:
        """Append points to metric series."""

    def record(self, record: Record) -> None:
        """Merge into the record of how the build was made."""

    def define(self, key: str, direction: Direction) -> None:
        """Say which values of a metric of the model are the better ones."""

    def start_step(self, name: str) -> int:
        """Begin a step. The number returned names it in `finish_step`."""

    def finish_step(self, step: int, state: str, reason: str) -> None:
        """End a step as SUCCEEDED, FAILED or CANCELLED."""

    def flush(self, patience: float = DEFAULT_PATIENCE) -> None:
        """Wait until everything is durable on the server."""


@dataclass
class _Params:
    params: dict[str, Param]
    tags: dict[str, str]


@dataclass
class _Points:
    points: list[Point]
    request_id: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass
class _Definition:
    key: str
    direction: Direction
    request_id: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass
class _StepStart:
    step: int
    name: str
    request_id: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass
class _StepFinish:
    step: int
    state: str
    reason: str


@dataclass
class _Made:
    message: Any


_Entry = _Params | _Points | _StepStart | _StepFinish | _Made | _Definition


class Recorder:
    """Sends the records of one build from one thread. Any thread may call it.

    Calls return at once and raise what went wrong with an earlier one: `BuildEnded` when the build is not
    RUNNING any more, else once for each record that the server refused. `close` stops the thread; `flush`
    first, or what was not sent is dropped.
    """

    def __init__(self, connection: Connection, build: str) -> None:
        self._connection = connection
        self._build = build
        self._max_points: int = connection.capabilities().max_metric_points
        # Protects everything below; notified when a record comes, is done or fails, and at the end.
        self._changed = threading.Condition()
        self._waiting: deque[_Entry] = deque()
        self._count = 0
        self._sending = False
        self._steps = 0
        self._numbers: dict[int, int] = {}  # of steps: ours to the server's; the thread's own
        self._contact = time.monotonic()
        self._trouble: errors.RegsvcError | None = None
        self._failure: errors.RegsvcError | None = None
        self._refused: deque[errors.RegsvcError] = deque()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="regsvc-recorder", daemon=True)
        self._thread.start()

    @property
    def failure(self) -> errors.RegsvcError | None:
        """Why nothing can be recorded any more, or None."""
        return self._failure

    @property
    def has_room(self) -> bool:
        """Whether calls are far from having to wait."""
        return self._count < QUEUE_LIMIT // 2 or self._failure is not None

    def params(self, params: Mapping[str, Param], tags: Mapping[str, str]) -> None:
        """Record params and tags; a key that exists is replaced."""
        with self._changed:
            self._admit()
            last = self._waiting[-1] if self._waiting else None
            if isinstance(last, _Params) and len(last.params) + len(last.tags) < _MERGED_ENTRIES:
                last.params.update(params)
                last.tags.update(tags)
            else:
                self._put(_Params(dict(params), dict(tags)))

    def points(self, points: Iterable[Point]) -> None:
        """Append points to metric series; those that wait together travel together."""
        with self._changed:
            for point in points:
                self._admit()
                last = self._waiting[-1] if self._waiting else None
                if isinstance(last, _Points) and len(last.points) < self._max_points:
                    last.points.append(point)
                    self._count += 1
                else:
                    self._put(_Points([point]))

    def record(self, record: Record) -> None:
        """Merge into the record of how the build was made. Raises `InvalidArgument` when no message can carry it."""
        message = record_message(record)  # here, where it is the caller's, and not in the thread
        with self._changed:
            self._admit()
            self._put(_Made(message))

    def define(self, key: str, direction: Direction) -> None:
        """Say which values of a metric of the model are the better ones."""
        with self._changed:
            self._admit()
            self._put(_Definition(key, direction))

    def start_step(self, name: str) -> int:
        """Begin a step; the number returned is this recorder's own, for `finish_step`."""
        with self._changed:
            self._admit()
            self._steps += 1
            self._put(_StepStart(self._steps, name))
            return self._steps

    def finish_step(self, step: int, state: str, reason: str) -> None:
        """End a step as SUCCEEDED, FAILED or CANCELLED."""
        with self._changed:
            self._admit()
            self._put(_StepFinish(step, state, cut_reason(reason)))

    def check(self) -> None:
        """Raise what went wrong since the last call."""
        with self._changed:
            self._raise()

    def flush(self, patience: float = DEFAULT_PATIENCE) -> None:
        """Wait until every record is durable.

        Raises what went wrong with one; `Unavailable` when the server did not answer for `patience` seconds.
        """
        began = time.monotonic()
        with self._changed:
            while self._failure is None and (self._waiting or self._sending):
                left = max(began, self._contact) + patience - time.monotonic()
                if left <= 0:
                    why = self._trouble.message if self._trouble else "the server does not answer"
                    raise errors.Unavailable(
                        f"{self._count} records of the build could not be delivered: {why}",
                        records=self._count,
                    )
                self._changed.wait(left)
            self._raise()

    def close(self) -> None:
        """Stop the thread, at most after the attempt under way. What was not flushed is dropped."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join(timeout=_ATTEMPT + 1)

    def _admit(self) -> None:
        """With the lock held: wait for room, then raise what went wrong."""
        while self._count >= QUEUE_LIMIT and self._failure is None:
            self._changed.wait()
        self._raise()

    def _raise(self) -> None:
        if self._failure is not None:
            raise self._failure
        if self._refused:
            raise self._refused.popleft()

    def _put(self, record: _Entry) -> None:
        self._waiting.append(record)
        self._count += 1
        self._changed.notify_all()

    # The thread.

    def _run(self) -> None:
        try:
            while (record := self._next()) is not None:
                self._deliver(record)
                with self._changed:
                    self._sending = False
                    self._count -= len(record.points) if isinstance(record, _Points) else 1
                    self._changed.notify_all()
        except errors.RegsvcError as error:
            self._fail(error)
        except BaseException as error:
            closed = closed_connection(error)
            self._fail(closed or errors.Internal("the build's recorder broke down"))
            if closed is None:
                raise

    def _next(self) -> _Entry | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stopped)
            if self._stopped:
                return None
            self._sending = True
            return self._waiting.popleft()

    def _deliver(self, record: _Entry) -> None:
        """Send a record until the server has taken or refused it. Raises what ends all recording."""
        delay = FIRST_WAIT
        began = time.monotonic()
        while not self._stopped:
            try:
                self._send(record)
            except (errors.Unavailable, errors.DeadlineExceeded, errors.StorageFull) as error:
                self._trouble = error
            except (errors.BuildEnded, errors.NotFound):
                raise
            except errors.RegsvcError as error:
                # An INTERNAL without end would hold up everything behind it.
                unexplained = isinstance(error, errors.Internal | errors.Unknown)
                if not unexplained or time.monotonic() - began > DEFAULT_PATIENCE:
                    with self._changed:
                        self._refused.append(error)
                    return
                self._trouble = error
            else:
                self._contact = time.monotonic()
                return
            with self._changed:
                self._changed.wait_for(lambda: self._stopped, delay * random.uniform(0.7, 1.3))
            delay = min(_LONGEST_WAIT, delay * 2)

    def _send(self, record: _Entry) -> None:
        builds = self._connection.builds
        request: Any
        match record:
            case _Params(params, tags):
                messages = {key: param_message(key, value) for key, value in params.items()}
                request = build_pb2.LogParamsRequest(build=self._build, params=messages, tags=tags)
                self._call(builds.LogParams, request)
            case _Points(points, request_id):
                request = build_pb2.LogMetricsRequest(build=self._build, request_id=request_id)
                for key, value, step, time_ns in points:
                    point = request.points.add(key=key, value=value, step=step)
                    point.time.seconds, point.time.nanos = divmod(time_ns, 1_000_000_000)
                self._call(builds.LogMetrics, request)
            case _Definition(key, direction, request_id):
                model = self._build.partition("/builds/")[0]
                request = metric_pb2.DefineMetricRequest(parent=model, request_id=request_id)
                request.definition.key = key
                request.definition.direction = direction.value
                self._call(self._connection.metrics.DefineMetric, request)
            case _StepStart(step, name, request_id):
                request = build_pb2.StartStepRequest(build=self._build, step=name, request_id=request_id)
                self._numbers[step] = self._call(builds.StartStep, request).step.number
            case _StepFinish(step, state, reason):
                if step in self._numbers:  # else the server refused to start it, and that was told
                    request = build_pb2.FinishStepRequest(
                        build=self._build,
                        number=self._numbers[step],
                        state=f"STEP_STATE_{state}",
                        reason=reason,
                    )
                    self._call(builds.FinishStep, request)
                    del self._numbers[step]
            case _Made(message):
                request = record_pb2.LogRecordRequest(build=self._build, record=message)
                self._call(self._connection.records.LogRecord, request)

    def _call(self, method: Any, request: Any) -> Any:
        return self._connection.call(method, request, timeout=_ATTEMPT, patience=0)

    def _fail(self, failure: errors.RegsvcError) -> None:
        with self._changed:
            self._failure = failure
            self._waiting.clear()
            self._sending = False
            self._count = 0
            self._changed.notify_all()


def cut_reason(reason: str) -> str:
    """A reason in at most 16 KiB of UTF-8, cut at the end."""
    data = reason.encode("utf-8", "replace")
    return reason if len(data) <= MAX_REASON_BYTES else data[:MAX_REASON_BYTES].decode("utf-8", "ignore")
