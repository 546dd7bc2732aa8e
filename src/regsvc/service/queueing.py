"""The queue: templates are run, builds run again, and runners take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from regsvc.catalog import builds, events, models, requests, runs, templates, versions
from regsvc.catalog.builds import BuildState
from regsvc.catalog.database import Catalog, Reader, Transaction, now_us
from regsvc.catalog.requests import Request
from regsvc.catalog.runs import NewRun, Why
from regsvc.catalog.templates import Revision
from regsvc.content.template import Input, ParamValue, Source, named_params
from regsvc.errors import (
    BuildEnded,
    BuildTaken,
    InvalidArgument,
    NotDue,
    NotQueued,
    NotRun,
    QueueFull,
    RegsvcError,
)
from regsvc.refs import BuildName, ModelName, TemplateName, version_from_wire
from regsvc.service.authors import author_of
from regsvc.service.builds import BuildView, whole_view
from regsvc.service.limits import Limits
from regsvc.service.template_checks import check_params

MAX_QUEUED = 1_000
"""Builds of one model that wait."""


@dataclass(frozen=True)
class Work:
    """What there is to do for a runner."""

    builds: Sequence[BuildName]
    """It may take these, oldest first."""
    due: int | None
    """When there will be more by itself."""
    cancelled: Sequence[BuildName]
    """It has these, and somebody asked to stop them."""


class Queue:
    """What `TemplateService` and `RunnerService` do with builds."""

    def __init__(self, catalog: Catalog, limits: Limits):
        self._catalog = catalog
        self._limits = limits

    def run(
        self, name: TemplateName, params: Mapping[str, ParamValue], author: str, request: Request
    ) -> BuildView:
        """Queue a build. Errors as RunTemplate documents."""
        author = author_of(author)

        def run(tx: Transaction) -> BuildView:
            known = requests.replay(tx, request)
            if known is None:
                found = templates.find(tx, name)
                why = Why("call", "call", author=author)
                _, made = enqueue(tx, new_run(tx, found, params, why, self._limits))
                requests.remember(tx, request, str(made.number))
            else:
                made = BuildName(name.model, int(known))
            return whole_view(tx, made)

        return self._catalog.write(run)

    def rerun(
        self, name: BuildName, params: Mapping[str, ParamValue], author: str, request: Request
    ) -> BuildView:
        """Queue the same again. Errors as RerunBuild documents."""
        author = author_of(author)

        def rerun(tx: Transaction) -> BuildView:
            known = requests.replay(tx, request)
            if known is not None:
                return whole_view(tx, BuildName(name.model, int(known)))
            build = builds.find(tx, name)
            run = runs.find(tx, build.id)
            if run is None:
                raise NotRun(f"no template made build {name}", build=name.wire)
            old = run.new
            new = replace(
                old,
                inputs=_inputs(tx, old.inputs),
                source=_source(tx, old.source),
                params={**old.params, **params},
                why=Why("call", "call", author=author),
                lost=0,
                failed=0,
                not_before=0,
            )
            check_params(new.params, self._limits)
            check_room(tx, name.model)
            _, made = runs.queue(tx, new, rerun_of=build)
            requests.remember(tx, request, str(made.number))
            return whole_view(tx, made)

        return self._catalog.write(rerun)

    def claim(self, name: BuildName, runner: str, session: str) -> tuple[BuildView, Revision]:
        """A runner takes a build. Errors as ClaimBuild documents."""
        lease = self._limits.build_lease_us

        def claim(tx: Transaction) -> tuple[BuildView, Revision]:
            build = builds.find(tx, name)
            run = runs.find(tx, build.id)
            if run is None:
                raise NotQueued(f"no template made build {name}", build=name.wire)
            if build.ended:
                state = build.state.name
                raise BuildEnded(f"build {name} has ended: {state}", build=name.wire, state=state)
            if build.state is BuildState.QUEUED:
                if run.new.not_before > tx.now:
                    raise NotDue(f"build {name} waits before its next attempt", build=name.wire)
                runs.take(tx, build, run, runner, session, lease)
            elif (run.runner, run.session) != (runner, session):
                raise BuildTaken(f"runner {run.runner} has build {name}", build=name.wire, runner=run.runner)
            else:
                builds.renew(tx, build, lease)
            return whole_view(tx, name), templates.get(tx, run.new.revision_id)

        return self._catalog.write(claim)

    def work(self, runner: str, session: str, labels: frozenset[str], slots: int, most: int) -> Work:
        """What there is to do for a runner with these labels; at most so many builds, none without slots."""

        def read(db: Reader) -> Work:
            found, due = runs.waiting(db, now_us(), labels, most) if slots else ([], None)
            return Work(found, due, runs.to_stop(db, runner, session))

        return self._catalog.read(read)

    def running(self) -> Sequence[tuple[str, str, BuildName]]:
        """(runner, session, build) of all that runners have."""
        return self._catalog.read(runs.running)


def new_run(
    db: Reader, found: Revision, params: Mapping[str, ParamValue], why: Why, limits: Limits
) -> NewRun:
    """What running a template means now. Raises `NotFound`, `InvalidArgument`, `ResourceExhausted`."""
    template = found.template
    whole = {**template.params, **params}
    check_params(whole, limits)
    missing = next((key for key in named_params(template) if key not in whole), None)
    if missing is not None:
        shown = missing[:60]
        raise InvalidArgument(f"a step of {found.name} names param '{shown}', which is not given", key=shown)
    return NewRun(
        found.name,
        found.template_id,
        found.id,
        whole,
        _inputs(db, template.inputs),
        _source(db, template.source),
        template.labels,
        why,
    )


def enqueue(tx: Transaction, new: NewRun) -> tuple[int, BuildName]:
    """Queue a first attempt; gives its id too. Raises `QueueFull`."""
    check_room(tx, new.template.model)
    return runs.queue(tx, new)


def enqueue_unasked(tx: Transaction, found: Revision, why: Why, limits: Limits) -> int | None:
    """Queue a build that nobody asked for; gives its id, or None.

    As nobody hears of an error, a reference that does not exist makes a FAILED build with the reason, and a full
    queue an event.
    """
    try:
        check_room(tx, found.name.model)
    except QueueFull as error:
        events.record(
            tx,
            "template.skipped",
            found.name.wire,
            trigger=why.trigger,
            cause=why.cause,
            reason=error.message,
        )
        return None
    try:
        build_id, _ = runs.queue(tx, new_run(tx, found, {}, why, limits))
    except RegsvcError as error:
        template = found.template
        new = NewRun(
            found.name,
            found.template_id,
            found.id,
            template.params,
            template.inputs,
            template.source,
            template.labels,
            why,
        )
        build_id, _ = runs.queue(tx, new)
        builds.end(
            tx,
            builds.get(tx, build_id),
            BuildState.FAILED,
            f"it cannot begin: {error.message}",
            template=found.name.wire,
            attempt=new.attempt,
        )
    return build_id


def check_room(db: Reader, model: ModelName) -> None:
    """Raises `QueueFull`."""
    if runs.count_queued(db, model) >= MAX_QUEUED:
        raise QueueFull(
            f"{MAX_QUEUED} builds of {model} wait for a runner", model=model.wire, limit=MAX_QUEUED
        )


def _inputs(db: Reader, inputs: Sequence[Input]) -> tuple[Input, ...]:
    return tuple(Input(_numbered(db, each.version), each.folder) for each in inputs)


def _source(db: Reader, source: Source | None) -> Source | None:
    return Source(_numbered(db, source.version)) if source is not None and source.version else source


def _numbered(db: Reader, name: str) -> str:
    """A reference by number, whatever it names later; its model may have been renamed. Raises `NotFound`."""
    ref = version_from_wire(name)
    return versions.find(db, replace(ref, model=models.current_name(db, ref.model))).ref.wire
