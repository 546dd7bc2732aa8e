"""Builds: what their publishers record and what their watchers see."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from regsvc.catalog import builds, imported_runs, metrics, models, records, requests
from regsvc.catalog.builds import Build, BuildState, Step, StepState
from regsvc.catalog.database import Catalog, Reader, Transaction
from regsvc.catalog.metrics import MetricPoint
from regsvc.catalog.records import Metadata
from regsvc.catalog.requests import Request
from regsvc.catalog.runs import Run
from regsvc.errors import InvalidArgument, OutOfRange, ResourceExhausted
from regsvc.refs import BuildName, ModelName, VersionRef
from regsvc.service.checks import (
    check_finite,
    check_key,
    check_metadata,
    check_record_size,
    check_step_name,
    check_text,
    check_time,
    record_size,
)
from regsvc.service.endings import end_build
from regsvc.service.limits import Limits
from regsvc.service.paging import Page, Pager, PageRequest

T = TypeVar("T")


@dataclass(frozen=True)
class BuildView:
    """A build with all that is known about it."""

    build: Build
    metadata: Metadata
    steps: Sequence[Step]
    versions: Sequence[VersionRef]
    run: Run | None = None
    """How a template made it."""


@dataclass(frozen=True)
class BuildChanges:
    """What changed in a build after a revision."""

    seq: int
    """The revision that a watcher holds after these."""
    view: BuildView | None
    """The build without steps, when it changed."""
    steps: Sequence[Step]
    points: Sequence[MetricPoint]
    log_seq: int
    complete: bool
    """There is nothing more at the moment."""
    ended: bool


class Builds:
    """What `BuildService` does, but for the log."""

    def __init__(self, catalog: Catalog, pager: Pager, limits: Limits):
        self._catalog = catalog
        self._pager = pager
        self._limits = limits

    def create(self, model: ModelName, data: Metadata, request: Request) -> BuildView:
        """Begin a build. Errors as CreateBuild documents."""
        if data.metrics:
            raise InvalidArgument("a new build has no metrics yet; use LogMetrics")
        check_metadata(data, self._limits)

        def create(tx: Transaction) -> BuildView:
            known = requests.replay(tx, request)
            if known is None:
                name = builds.create(tx, model, data, self._limits.build_lease_us)
                requests.remember(tx, request, str(name.number))
            else:
                name = BuildName(model, int(known))
            return whole_view(tx, name)

        return self._catalog.write(create)

    def get(self, name: BuildName) -> BuildView:
        """Raises `NotFound`."""
        return self._catalog.read(lambda db: whole_view(db, name))

    def list_builds(self, model: ModelName, request: PageRequest) -> Page[BuildView]:
        """Newest first, without steps. Raises `NotFound`."""
        model_id = self._catalog.read(lambda db: models.find_id(db, model))

        def fetch(before: int, limit: int) -> list[BuildView]:
            return self._catalog.read(
                lambda db: [view_of(db, build) for build in builds.page(db, model_id, before, limit)]
            )

        return self._pager.page(
            request,
            f"builds:{model}",
            sys.maxsize,
            fetch,
            lambda view: view.build.name.number,
            lambda view: record_size(view.metadata),
        )

    def heartbeat(self, name: BuildName) -> tuple[bool, int]:
        """Whether the build shall stop, and when its lease ends. Raises `NotFound`, `BuildEnded`."""
        return self._publish(name, lambda tx, build: (build.cancel_requested, self._lease_end(tx)))

    def start_step(self, name: BuildName, step: str, request: Request) -> Step:
        """Begin a step. Errors as StartStep documents."""
        check_step_name(step)

        def start(tx: Transaction) -> Step:
            known = requests.replay(tx, request)
            if known is not None:
                return builds.find_step(tx, builds.find(tx, name), int(known))
            started = builds.start_step(tx, self._publisher(tx, name), step)
            requests.remember(tx, request, str(started.number))
            return started

        return self._catalog.write(start)

    def finish_step(self, name: BuildName, number: int, state: StepState, reason: str) -> Step:
        """End a step. Errors as FinishStep documents."""
        check_text(reason, "reason", self._limits.max_value_bytes)
        return self._publish(name, lambda tx, build: builds.end_step(tx, build, number, state, reason))

    def log_params(self, name: BuildName, data: Metadata) -> None:
        """Record params and tags. Errors as LogParams documents."""
        check_metadata(data, self._limits)

        def log(tx: Transaction, build: Build) -> None:
            builds.log_params(tx, build, data)
            # Counted afterwards, when replaced keys have fallen together; an error undoes it all.
            self._check_count(tx, "build_params", build)
            self._check_count(tx, "build_tags", build)
            check_record_size(builds.metadata(tx, build), self._limits)

        self._publish(name, log)

    def log_metrics(self, name: BuildName, points: Sequence[MetricPoint], request: Request) -> None:
        """Append points to series. Errors as LogMetrics documents."""
        if len(points) > self._limits.max_metric_points:
            raise ResourceExhausted(
                f"{len(points)} points, at most {self._limits.max_metric_points}",
                limit=self._limits.max_metric_points,
            )
        for point in points:
            check_key(point.key, self._limits)
            check_time(point.at, f"a point of '{point.key}'")
        check_finite((point.key, point.value) for point in points)

        def log(tx: Transaction) -> None:
            if requests.replay(tx, request) is not None:
                return
            build = self._publisher(tx, name)
            if points:
                metrics.append(tx, build, points)
                self._check_count(tx, "metric_series", build)
            requests.remember(tx, request, "")

        self._catalog.write(log)

    def cancel(self, name: BuildName) -> BuildView:
        """Ask the publisher to stop; a queued build ends. Raises `NotFound`, `BuildEnded`."""

        def cancel(tx: Transaction) -> BuildView:
            build = builds.find(tx, name)
            if build.state is BuildState.QUEUED:
                builds.request_cancel(tx, build)
                end_build(
                    tx,
                    builds.find(tx, name),
                    BuildState.CANCELLED,
                    "it was cancelled before a runner took it",
                )
            elif build.state is not BuildState.CANCELLED:
                builds.request_cancel(tx, builds.find_running(tx, name))
            return whole_view(tx, name)

        return self._catalog.write(cancel)

    def finish(self, name: BuildName, state: BuildState, reason: str) -> BuildView:
        """End a build. Errors as FinishBuild documents."""
        check_text(reason, "reason", self._limits.max_value_bytes)

        def finish(tx: Transaction) -> BuildView:
            build = builds.find(tx, name)
            if build.state is not state:
                end_build(tx, builds.find_running(tx, name), state, reason)
            return whole_view(tx, name)

        return self._catalog.write(finish)

    def changes(self, name: BuildName, after: int) -> BuildChanges:
        """What changed after a revision; metric points come in stretches. Raises `NotFound`, `OutOfRange`."""
        return self._catalog.read(lambda db: self._changes(db, builds.find(db, name), after))

    def mark_lost(self) -> None:
        """End builds whose publisher was not heard from."""

        def mark(tx: Transaction) -> None:
            for name in builds.lapsed(tx, tx.now):
                seconds = self._limits.build_lease_us / 1_000_000
                end_build(
                    tx,
                    builds.find(tx, name),
                    BuildState.LOST,
                    f"its publisher was not heard from for {seconds:g} s",
                )

        self._catalog.write(mark)

    def _publish(self, name: BuildName, change: Callable[[Transaction, Build], T]) -> T:
        """Do something as the publisher of a running build."""
        return self._catalog.write(lambda tx: change(tx, self._publisher(tx, name)))

    def _publisher(self, tx: Transaction, name: BuildName) -> Build:
        """The running build, which its publisher has just kept alive. Raises `NotFound`, `BuildEnded`."""
        build = builds.find_running(tx, name)
        builds.renew(tx, build, self._limits.build_lease_us)
        return build

    def _lease_end(self, tx: Transaction) -> int:
        return tx.now + self._limits.build_lease_us

    def _check_count(self, tx: Transaction, table: records.BuildTable, build: Build) -> None:
        if records.count(tx, table, build.id) > self._limits.max_record_entries:
            what = table.split("_")[1]
            raise ResourceExhausted(
                f"build {build.name} has more than {self._limits.max_record_entries} {what}",
                limit=self._limits.max_record_entries,
            )

    def _changes(self, db: Reader, build: Build, after: int) -> BuildChanges:
        if after > build.revision:
            raise OutOfRange(
                f"build {build.name} is at {build.revision}", build=build.name.wire, seq=build.revision
            )
        # Two full messages of points hold at least one whole revision, so a cut there always gets on.
        points, cut = metrics.after(db, build.id, after, 2 * self._limits.max_metric_points)
        # Snapshots of the present: sent with each stretch of points, so that none is passed over.
        view = view_of(db, build) if build.changed_revision > after or points else None
        steps = builds.steps(db, build.id, after)
        seq = build.revision if cut is None else cut
        return BuildChanges(seq, view, steps, points, build.log_seq, complete=cut is None, ended=build.ended)


def whole_view(db: Reader, name: BuildName) -> BuildView:
    """With its steps. Raises `NotFound`."""
    return view_of(db, builds.find(db, name), with_steps=True)


def view_of(db: Reader, build: Build, *, with_steps: bool = False) -> BuildView:
    """A build with what is known about it."""
    steps = builds.steps(db, build.id) if with_steps else ()
    return BuildView(
        build, builds.metadata(db, build), steps, builds.versions(db, build), imported_runs.told(db, build)
    )
