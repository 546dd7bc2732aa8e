"""A build in progress, as the code that makes a model sees it: params, metrics, steps, log, publish."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, ClassVar, Protocol

from regsvc import errors, refs
from regsvc.client.build_records import Build, build_from_wire
from regsvc.client.connection import Connection
from regsvc.client.datasets import Dataset
from regsvc.client.params import (
    check_direction,
    check_key,
    check_metric,
    check_params,
    check_step,
    check_tags,
)
from regsvc.client.publisher import LogPublisher
from regsvc.client.recorder import Point, Recorder, Recording, cut_reason
from regsvc.client.records import PushResult
from regsvc.client.resume import DEFAULT_PATIENCE
from regsvc.content.comparison import Direction
from regsvc.content.record import DatasetUse, Record
from regsvc.v1 import build_pb2


class Registry(Protocol):
    """What a build needs of a `Client`, whose methods these are."""

    @property
    def push(self) -> Callable[..., PushResult]:
        """Store a folder or file as a version: called with path, model, and keywords that include `build`."""

    def log_dataset(self, source: Any, name: str, *, uri: str = "") -> Dataset:
        """Profile and register a dataset."""

    def dataset(self, ref: str) -> Dataset:
        """One version of a dataset."""


MAX_STEP_BYTES = 100


class BuildCancelled(errors.RegsvcError):
    """Somebody asked the build to stop; raised by the session's next call so that the work ends."""

    code: ClassVar[errors.Code] = errors.Code.CANCELLED
    reason: ClassVar[str] = "BUILD_CANCELLED"


class RunningBuild(ABC):
    """What can be recorded of a running build. Any thread may call it.

    Only `publish`, `log_dataset` and `use_dataset` wait for the network: all else is sent in the background, in
    order, for as long as the server may be away. What is wrong with a record itself is raised at the call that
    gives it.
    """

    def __init__(self, name: refs.BuildName, recording: Recording, registry: Registry) -> None:
        self.name = str(name)
        """`team/fraud/builds/7`"""
        self.wire = name.wire
        """The resource name that requests carry."""
        self._model = name.model
        self._recording = recording
        self._registry = registry
        self._lock = threading.Lock()  # protects _open
        self._open: list[tuple[int, str]] = []

    def log_param(self, key: str, value: object) -> None:
        """Record a param: text, number or boolean. Raises `InvalidArgument`."""
        self.log_params({key: value})

    def log_params(self, params: Mapping[str, object]) -> None:
        """Record params; one that exists is replaced. Raises `InvalidArgument`, and then records none."""
        checked = check_params(params)
        self.check()
        self._recording.params(checked, {})

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags; one that exists is replaced. Raises `InvalidArgument`, and then sets none."""
        checked = check_tags(tags)
        self.check()
        self._recording.params({}, checked)

    def log_metric(self, key: str, value: float, *, step: int = 0) -> None:
        """Append a point to the series `key`. Raises `MetricNotFinite`, `InvalidArgument`."""
        self.log_metrics({key: value}, step=step)

    def log_metrics(self, metrics: Mapping[str, float], *, step: int = 0) -> None:
        """Append a point to each series. Raises `MetricNotFinite`, `InvalidArgument`, and then appends none."""
        now = time.time_ns()
        at = check_step(step)
        points = [Point(key, check_metric(key, value), at, now) for key, value in metrics.items()]
        self.check()
        self._recording.points(points)

    def log_record(self, record: Record) -> None:
        """Merge into the record of how the build was made: card, labels, signature ... (docs/records.md).

        A field that is set replaces what was there; labels, parents and datasets are added.
        """
        self.check()
        self._recording.record(record)

    def log_dataset(
        self,
        source: Any,
        name: str,
        *,
        split: str = "",
        uri: str = "",
        filter: str = "",
        begin: str | datetime = "",
        end: str | datetime = "",
    ) -> Dataset:
        """Profile and register a dataset as `client.log_dataset` does, and record that this build uses it.

        `split` is its part, as `train`; `filter` the query that gave its rows; `begin` and `end` the time that they
        are of. Raises as `client.log_dataset`.
        """
        self.check()
        return self._uses(self._registry.log_dataset(source, name, uri=uri), split, filter, begin, end)

    def use_dataset(
        self,
        ref: str,
        *,
        split: str = "",
        filter: str = "",
        begin: str | datetime = "",
        end: str | datetime = "",
    ) -> Dataset:
        """Record that this build uses a dataset that is registered, by default its latest version.

        The rest is as for `log_dataset`. Raises `NotFound`, `NameInvalid`.
        """
        self.check()
        return self._uses(self._registry.dataset(ref), split, filter, begin, end)

    def define_metric(self, key: str, direction: str | Direction) -> None:
        """Say whether `higher` or `lower` values of a metric of the model are better. Raises `InvalidArgument`.

        It holds for all of the model's versions and builds; `unknown` leaves it to the name again.
        """
        checked, better = check_key("metric", key), check_direction(direction)
        self.check()
        self._recording.define(checked, better)

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        """A named phase: FAILED with the reason if the block raises, else SUCCEEDED. Steps may nest.

        Log lines belong to the innermost step that is open when they are logged. Raises `InvalidArgument`
        (the name is not 1 to 100 bytes without control characters).
        """
        check_key("step", name, MAX_STEP_BYTES)
        self.check()
        number = self._enter(name)
        try:
            yield
        except BaseException as error:
            with contextlib.suppress(errors.RegsvcError):  # the block's own error says more
                self._leave(number, *outcome(error))
            raise
        self._leave(number, "SUCCEEDED", "")

    @abstractmethod
    def log(self, text: str) -> None:
        """Write to the build's log; each line of `text` is one line of the log."""

    def publish(
        self, path: str | os.PathLike[str], *, aliases: Sequence[str] = (), **options: Any
    ) -> PushResult:
        """Push a folder or file as the version that this build made; options as for `client.push`.

        Everything recorded so far is delivered first, so that the version has it. Raises as `client.push`.
        """
        self.check()
        self.flush()
        return self._registry.push(path, str(self._model), aliases=aliases, build=self.name, **options)

    def flush(self, patience: float = DEFAULT_PATIENCE) -> None:
        """Wait until everything is durable. Raises `Unavailable` after `patience` seconds without the server."""
        self._recording.flush(patience)

    def check(self) -> None:  # noqa: B027 - a hook; the build of a parent process always goes on
        """Raise if the build cannot go on."""

    def _uses(
        self, found: Dataset, split: str, filter: str, begin: str | datetime, end: str | datetime
    ) -> Dataset:
        use = DatasetUse(
            refs.parse_dataset(found.reference).wire, split, filter, _iso(begin), _iso(end), found.digest
        )
        self._recording.record(Record(datasets=(use,)))
        return found

    def _enter(self, name: str) -> int:
        number = self._recording.start_step(name)
        with self._lock:
            self._open.append((number, name))
        return number

    def _leave(self, number: int, state: str, reason: str) -> None:
        with self._lock:
            self._open = [step for step in self._open if step[0] != number]
        self._recording.finish_step(number, state, reason)

    @property
    def _innermost(self) -> str:
        with self._lock:
            return self._open[-1][1] if self._open else ""


class BuildSession(RunningBuild):
    """A build that this process publishes: it numbers the log, keeps the build alive, and ends it.

    As a context manager it ends SUCCEEDED, FAILED with the reason if the block raises, CANCELLED on Ctrl-C or
    after a cancel. Calls raise `BuildCancelled` once somebody has asked it to stop, `BuildEnded` when it has
    ended elsewhere or was LOST. While the server is away everything is kept, log lines up to 64 MiB; then
    `log` waits.
    """

    def __init__(self, connection: Connection, name: refs.BuildName, registry: Registry) -> None:
        self._recorder = Recorder(connection, name.wire)
        self._publisher = LogPublisher(connection, name.wire)
        self._connection = connection
        self._ended: Build | None = None
        super().__init__(name, self._recorder, registry)

    @property
    def endpoint(self) -> str:
        """The server that this build is recorded at."""
        return self._connection.target

    @property
    def cancel_requested(self) -> bool:
        """Somebody asked the build to stop."""
        return self._publisher.cancel_requested

    @property
    def failure(self) -> errors.RegsvcError | None:
        """Why nothing more can be recorded, or None."""
        return self._publisher.failure or self._recorder.failure

    @property
    def has_room(self) -> bool:
        """Whether calls need not wait for the server."""
        return self._publisher.has_room and self._recorder.has_room

    @property
    def publisher(self) -> LogPublisher:
        """The log's writing end, for lines that are bytes of other streams than `log`."""
        return self._publisher

    @property
    def recorder(self) -> Recorder:
        """Where params, metrics and steps go."""
        return self._recorder

    def log(self, text: str) -> None:
        """Write to the build's log; each line of `text` is one line of the log.

        Returns before the lines are sent, a few milliseconds before a follower sees them. Waits only while
        64 MiB of lines are not acknowledged.
        """
        self.check()
        lines = text.encode("utf-8", "surrogateescape").removesuffix(b"\n").split(b"\n")
        self._publisher.append(lines, stream="log", step=self._innermost)

    def check(self) -> None:
        """Raise `BuildCancelled`, `BuildEnded` or what else keeps the build from going on."""
        if self.failure is not None:
            raise self.failure
        if self.cancel_requested:
            raise BuildCancelled(f"{self.name} was asked to stop", build=self.name)
        self._recorder.check()

    def flush(self, patience: float = DEFAULT_PATIENCE) -> None:
        """Wait until everything is durable. Raises `Unavailable` after `patience` seconds without the server."""
        self._recorder.flush(patience)
        self._publisher.flush(patience)

    def finish(self, state: str = "SUCCEEDED", reason: str = "", patience: float = DEFAULT_PATIENCE) -> Build:
        """End the build as SUCCEEDED, FAILED or CANCELLED, after everything is delivered.

        Raises `BuildEnded` (it has ended otherwise), `Unavailable` (the server was away for `patience` seconds:
        the build will be LOST), or the server's refusal of a record, after the build has ended as FAILED.
        Finishing again does nothing.
        """
        refusal = None
        if self._ended is None:
            try:
                refusal = self._deliver(patience)
            finally:
                self.close()
            if refusal is not None and state == "SUCCEEDED":
                state, reason = "FAILED", f"not everything was recorded: {refusal.message}"
            request = build_pb2.FinishBuildRequest(
                name=self.wire, state=f"BUILD_STATE_{state}", reason=cut_reason(reason)
            )
            response = self._connection.call(self._connection.builds.FinishBuild, request, patience=patience)
            self._ended = build_from_wire(response.build)
        if refusal is not None:
            raise refusal
        return self._ended

    def _deliver(self, patience: float) -> errors.RegsvcError | None:
        """Flush, and return the refusal of a record, which must not keep the rest from being delivered."""
        refusal = None
        while True:
            try:
                self.flush(patience)
            except errors.RegsvcError as error:
                if self.failure is not None or isinstance(error, errors.Unavailable):
                    raise
                refusal = refusal or error
            else:
                return refusal

    def close(self) -> None:
        """Stop the threads without ending the build; what was not flushed is dropped."""
        self._recorder.close()
        self._publisher.close()

    def __enter__(self) -> BuildSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        state, reason = outcome(error)
        if self.cancel_requested and not isinstance(error, errors.BuildEnded):
            state, reason = "CANCELLED", "cancel requested"
        try:
            self.finish(state, reason)
        except errors.RegsvcError as unfinished:
            if error is None:
                raise
            error.add_note(f"{self.name} could not be ended as {state}: {unfinished.message}")


def _iso(time: str | datetime) -> str:
    return time.isoformat() if isinstance(time, datetime) else time


def outcome(error: BaseException | None) -> tuple[str, str]:
    """State and reason of a block that ended with `error`, or without one."""
    if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
        return "SUCCEEDED", ""
    if isinstance(error, KeyboardInterrupt):
        return "CANCELLED", "interrupted"
    if isinstance(error, BuildCancelled):
        return "CANCELLED", "cancel requested"
    if isinstance(error, SystemExit) and isinstance(error.code, int):
        return "FAILED", f"exit status {error.code}"
    text = str(error)
    return "FAILED", cut_reason(f"{type(error).__name__}: {text}" if text else type(error).__name__)
