"""The queue against a simple model of it: calls of several runners in any order, ends of all kinds, restarts."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from regsvc.catalog.builds import BuildState
from regsvc.catalog.requests import Request
from regsvc.content.template import Retries, Step, Template
from regsvc.errors import BuildEnded, BuildQueued, BuildTaken, RegsvcError
from regsvc.refs import BuildName, ModelName, TemplateName
from regsvc.service.app import RegistryApp
from regsvc.service.limits import Limits
from regsvc.service.paging import PageRequest

MODEL = ModelName("team", "fraud")
NAME = TemplateName(MODEL, "t")
ANYHOW = Request("", "", b"")
RETRIES = Retries(lost=2, failed=1)
Q, R = BuildState.QUEUED, BuildState.RUNNING
ENDS = st.sampled_from([BuildState.SUCCEEDED, BuildState.FAILED, BuildState.CANCELLED])
RUNNERS = st.sampled_from([("a", "1"), ("a", "2"), ("b", "1")])
WHICH = st.integers(0, 30)


@dataclass
class Known:
    """What the model knows of a build."""

    state: BuildState = Q
    runner: tuple[str, str] = ("", "")
    stopping: bool = False
    lost: int = 0
    failed: int = 0
    retry_of: int = 0
    rerun_of: int = 0


class QueueMachine(RuleBasedStateMachine):
    """Each rule does something to the registry and to the model, and compares what came of it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.app = RegistryApp(self.folder, Limits())
        self.app.templates.set(NAME, Template(steps=(Step("x", ("true",)),), retries=RETRIES), "", None)
        self.known: list[Known] = []

    def teardown(self) -> None:
        self.app.close()
        shutil.rmtree(self.folder)

    def pick(self, which: int) -> tuple[BuildName, Known]:
        place = which % len(self.known)
        return BuildName(MODEL, place + 1), self.known[place]

    def ended(self, number: int, known: Known, state: BuildState) -> None:
        """The model of an end, and of what follows."""
        known.state = state
        lost, failed = known.lost + (state is BuildState.LOST), known.failed + (state is BuildState.FAILED)
        again = (lost, failed) != (known.lost, known.failed) and not known.stopping
        if again and lost <= RETRIES.lost and failed <= RETRIES.failed:
            self.known.append(Known(lost=lost, failed=failed, retry_of=number))

    @rule()
    def run(self) -> None:
        self.app.queue.run(NAME, {}, "", ANYHOW)
        self.known.append(Known())

    @precondition(lambda self: self.known)
    @rule(which=WHICH)
    def rerun(self, which: int) -> None:
        name, _ = self.pick(which)
        self.app.queue.rerun(name, {}, "", ANYHOW)
        self.known.append(Known(rerun_of=name.number))

    @precondition(lambda self: self.known)
    @rule(which=WHICH, runner=RUNNERS)
    def claim(self, which: int, runner: tuple[str, str]) -> None:
        name, known = self.pick(which)
        refusal: type[RegsvcError] | None = None
        if known.state not in (Q, R):
            refusal = BuildEnded
        elif known.state is R and known.runner != runner:
            refusal = BuildTaken
        if refusal is None:
            self.app.queue.claim(name, *runner)
            known.state, known.runner = R, runner
        else:
            with pytest.raises(refusal):
                self.app.queue.claim(name, *runner)

    @precondition(lambda self: self.known)
    @rule(which=WHICH, state=ENDS)
    def finish(self, which: int, state: BuildState) -> None:
        name, known = self.pick(which)
        if known.state is R:
            self.app.builds.finish(name, state, "")
            self.ended(name.number, known, state)
        elif known.state is state:
            self.app.builds.finish(name, state, "")
        else:
            with pytest.raises(BuildQueued if known.state is Q else BuildEnded):
                self.app.builds.finish(name, state, "")

    @precondition(lambda self: self.known)
    @rule(which=WHICH)
    def cancel(self, which: int) -> None:
        name, known = self.pick(which)
        if known.state in (Q, R, BuildState.CANCELLED):
            self.app.builds.cancel(name)
            known.stopping = known.stopping or known.state in (Q, R)
            if known.state is Q:
                known.state = BuildState.CANCELLED
        else:
            with pytest.raises(BuildEnded):
                self.app.builds.cancel(name)

    @precondition(lambda self: any(each.state is R for each in self.known))
    @rule(which=WHICH)
    def lose(self, which: int) -> None:
        """The lease of one runner passes."""
        running = [place for place, each in enumerate(self.known) if each.state is R]
        place = running[which % len(running)]
        self.app.catalog.write(
            lambda tx: tx.run("UPDATE builds SET lease_until = 1 WHERE number = ?", [place + 1])
        )
        self.app.builds.mark_lost()
        self.ended(place + 1, self.known[place], BuildState.LOST)

    @rule()
    def restart(self) -> None:
        self.app.close()
        self.app = RegistryApp(self.folder, Limits())

    @invariant()
    def is_as_the_model_says(self) -> None:
        page = self.app.builds.list_builds(MODEL, PageRequest(1000, "")) if self.known else None
        found = []
        for view in reversed(page.items if page else []):
            assert view.run is not None
            new = view.run.new
            found.append(
                Known(
                    view.build.state,
                    (view.run.runner, view.run.session),
                    view.build.cancel_requested,
                    new.lost,
                    new.failed,
                    view.run.retry_of.number if view.run.retry_of else 0,
                    view.run.rerun_of.number if view.run.rerun_of else 0,
                )
            )
        assert found == self.known
        waiting = [BuildName(MODEL, place) for place, each in enumerate(self.known, 1) if each.state is Q]
        assert self.app.queue.work("a", "1", frozenset(), 1000, 1000).builds == waiting
        for runner in (("a", "1"), ("b", "1")):
            stopping = [
                BuildName(MODEL, place)
                for place, each in enumerate(self.known, 1)
                if each.state is R and each.stopping and each.runner == runner
            ]
            assert self.app.queue.work(*runner, frozenset(), 0, 0).cancelled == stopping


TestQueue = QueueMachine.TestCase
TestQueue.settings = settings(max_examples=12, stateful_step_count=40, deadline=None)
