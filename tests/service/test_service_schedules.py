"""Schedules with a clock that the test sets: what runs, what was missed, what overlaps; triggers, turn by turn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from regsvc.catalog import events, templates
from regsvc.catalog.builds import BuildState
from regsvc.catalog.requests import Request
from regsvc.content.template import Input, Missed, Overlap, Schedule, Step, Template
from regsvc.errors import NotFound, ResourceExhausted
from regsvc.refs import ModelName, TemplateName
from regsvc.service import queueing
from regsvc.service.app import RegistryApp
from regsvc.service.builds import BuildView
from regsvc.service.events import BATCH
from regsvc.service.limits import Limits
from regsvc.service.paging import PageRequest
from regsvc.service.schedules import Schedules
from regsvc.service.triggers import Triggers

MODEL = ModelName("team", "fraud")
NAME = TemplateName(MODEL, "nightly")
MINUTE = 60_000_000
HOUR = 60 * MINUTE
HOURLY = Template(steps=(Step("train", ("true",)),), schedule=Schedule("0 * * * *"))


class House:
    """A registry whose schedules have a clock of their own."""

    def __init__(self, data: Path) -> None:
        self.app = RegistryApp(data, Limits())
        self.now = 0
        self.schedules = Schedules(self.app.catalog, self.app.limits, lambda: self.now)

    def put(self, template: Template, name: TemplateName = NAME) -> int:
        """Set it; gives when it is due first."""
        due = self.app.templates.set(name, template, "ann", None).next_run_at
        assert due is not None
        return due

    def at(self, moment: int) -> list[BuildView]:
        """All builds, oldest first, after the schedules were looked at then."""
        self.now = moment
        self.schedules.run_due()
        return self.builds()

    def builds(self) -> list[BuildView]:
        page = self.app.builds.list_builds(MODEL, PageRequest(1000, ""))
        return list(page.items)[::-1]

    def skipped(self) -> list[str]:
        found = self.app.catalog.read(lambda db: events.after(db, 0, 10_000))
        return [each.attributes["reason"] for each in found if each.kind == "template.skipped"]

    def end(self, view: BuildView, state: BuildState = BuildState.SUCCEEDED) -> None:
        self.app.queue.claim(view.build.name, "host-1", "s")
        self.app.builds.finish(view.build.name, state, "")


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.app.close()


def test_it_runs_when_it_is_due_and_once(house: House) -> None:
    due = house.put(HOURLY)
    assert house.at(due - 1) == []
    for _ in range(3):
        [view] = house.at(due)
    assert view.run is not None
    why = view.run.new.why
    moment = datetime.fromtimestamp(due / 1_000_000, UTC).isoformat().replace("+00:00", "Z")
    assert (view.build.state, why.trigger, why.cause, why.author) == (
        BuildState.QUEUED,
        "schedule",
        moment,
        "ann",
    )
    assert house.app.templates.get(NAME, 0).next_run_at == due + HOUR
    assert house.schedules.next_in() == 3600


def test_one_that_is_a_minute_late_is_not_missed_and_one_later_is(house: House) -> None:
    due = house.put(HOURLY)
    assert len(house.at(due + MINUTE)) == 1
    house.end(house.builds()[0])
    assert len(house.at(due + HOUR + MINUTE + 1)) == 1
    assert house.skipped() == ["missed"]
    assert house.app.templates.get(NAME, 0).next_run_at == due + 2 * HOUR


def test_of_many_that_were_missed_one_runs_at_once_if_the_policy_says_so(house: House) -> None:
    due = house.put(replace(HOURLY, schedule=Schedule("0 * * * *", missed=Missed.RUN_ONCE)))
    [view] = house.at(due + 100 * HOUR + 30 * MINUTE)
    assert view.run is not None
    last = datetime.fromtimestamp((due + 100 * HOUR) / 1_000_000, UTC).isoformat().replace("+00:00", "Z")
    assert view.run.new.why.cause == last
    assert len(house.at(due + 100 * HOUR + 31 * MINUTE)) == 1


def test_the_last_of_many_that_were_missed_may_be_in_time(house: House) -> None:
    due = house.put(HOURLY)
    assert len(house.at(due + 100 * HOUR + 1)) == 1
    assert house.skipped() == []


@pytest.mark.parametrize("overlap", [Overlap.SKIP, Overlap.QUEUE])
def test_what_becomes_of_a_run_whose_predecessor_has_not_ended(house: House, overlap: Overlap) -> None:
    due = house.put(replace(HOURLY, schedule=Schedule("0 * * * *", overlap=overlap)))
    [first] = house.at(due)
    count = 1 if overlap is Overlap.SKIP else 2
    assert len(house.at(due + HOUR)) == count
    assert house.skipped() == ["overlap"] * (2 - count)
    house.end(first)
    assert len(house.at(due + 2 * HOUR)) == count + 1


def test_a_build_that_somebody_called_for_does_not_count_as_predecessor(house: House) -> None:
    due = house.put(HOURLY)
    house.app.queue.run(NAME, {}, "bob", Request("", "", b""))
    assert len(house.at(due)) == 2


def test_a_clock_that_is_set_back_runs_nothing_twice(house: House) -> None:
    due = house.put(HOURLY)
    house.end(house.at(due)[0])
    assert len(house.at(due - HOUR)) == 1
    assert len(house.at(due + HOUR - 1)) == 1
    assert len(house.at(due + HOUR)) == 2


def test_setting_something_else_keeps_the_time_and_another_line_or_a_pause_does_not(house: House) -> None:
    due = house.put(HOURLY)
    assert house.put(replace(HOURLY, description="other")) == due
    later = house.put(replace(HOURLY, schedule=Schedule("0 0 1 1 *")))
    assert later != due
    assert house.app.templates.set(NAME, replace(HOURLY, paused=True), "ann", None).next_run_at is None
    assert house.at(due + 5 * HOUR) == []
    house.put(HOURLY)
    house.app.templates.delete(NAME, "ann")
    assert house.at(due + 10 * HOUR) == []
    assert house.schedules.next_in() is None


def test_a_reference_that_does_not_exist_makes_a_failed_build_that_says_so(house: House) -> None:
    inputs = (Input("namespaces/team/models/data/versions/latest", "in"),)
    due = house.put(replace(HOURLY, inputs=inputs))
    [view] = house.at(due)
    assert view.build.state is BuildState.FAILED
    assert "team/data does not exist" in view.build.reason
    assert len(house.at(due + HOUR)) == 2


def test_one_schedule_that_cannot_be_looked_after_holds_up_no_other(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = TemplateName(MODEL, "other")
    due = house.put(HOURLY)
    house.put(HOURLY, other)
    house.now = due

    def fire(tx: object, template_id: int, real: object = house.schedules._fire) -> None:
        if template_id == 1:
            raise RuntimeError("a defect")
        real(tx, template_id)  # type: ignore[operator]

    monkeypatch.setattr(house.schedules, "_fire", fire)
    with pytest.raises(RuntimeError):
        house.schedules.run_due()
    assert [view.run.new.template for view in house.builds() if view.run] == [other]
    monkeypatch.undo()
    house.schedules.run_due()
    assert len(house.builds()) == 2


def test_many_that_are_due_together_all_run(house: House) -> None:
    names = [TemplateName(MODEL, f"t{i}") for i in range(150)]
    due = [house.put(HOURLY, name) for name in names]
    found = house.at(max(due))
    assert {view.run.new.template for view in found if view.run} == set(names)


def test_a_trigger_that_replaces_another_asks_its_own_condition(house: House) -> None:
    triggers = Triggers(house.app.catalog, house.app.limits)
    house.app.templates.set(NAME, replace(HOURLY, triggers=('kind == "model.nothing"',)), "ann", None)
    house.app.registry.create_model(ModelName("team", "old"), "", Request("", "", b""))
    while triggers.turn():
        pass
    house.app.templates.set(NAME, replace(HOURLY, triggers=('kind == "model.created"',)), "ann", None)
    house.app.registry.create_model(ModelName("team", "new"), "", Request("", "", b""))
    while triggers.turn():
        pass
    assert [view.run.new.why.trigger for view in house.builds() if view.run] == ["event"]


def test_a_trigger_looks_at_each_event_once_whoever_looks(house: House) -> None:
    """Two that look at the same events, as after a crash: positions in memory are lost, those in the catalog hold."""
    house.app.templates.set(NAME, replace(HOURLY, triggers=('kind == "model.created"',)), "ann", None)
    for number in range(3):
        house.app.registry.create_model(ModelName("team", f"m{number}"), "", Request("", "", b""))
        for triggers in (Triggers(house.app.catalog, house.app.limits) for _ in range(2)):
            while triggers.turn():
                pass
            for view in house.builds():
                if view.build.state is BuildState.QUEUED:
                    house.end(view)
        assert len(house.builds()) == number + 1


def test_what_lets_nothing_through_is_not_looked_at_for_ever(house: House) -> None:
    house.app.templates.set(NAME, replace(HOURLY, triggers=('kind == "x"',)), "ann", None)
    for number in range(BATCH):
        house.app.registry.create_model(ModelName("team", f"m{number}"), "", Request("", "", b""))
    triggers = Triggers(house.app.catalog, house.app.limits)
    while triggers.turn():
        pass
    [kept] = house.app.catalog.read(templates.triggers)
    assert kept.seq >= BATCH


def test_templates_that_cannot_begin_do_not_run_each_other_without_end(house: House) -> None:
    """Nothing slows them down but the trigger itself: no runner takes what has failed."""
    broken = Template(
        steps=HOURLY.steps,
        inputs=(Input("namespaces/team/models/none/versions/1", "in"),),
        triggers=("true",),
    )
    for each in ("a", "b"):
        house.app.templates.set(TemplateName(MODEL, each), broken, "ann", None)
    triggers = Triggers(house.app.catalog, house.app.limits)
    turns = 0
    while triggers.turn():
        turns += 1
        assert turns < 50
    assert [view.build.state for view in house.builds()] == [BuildState.FAILED] * 2


def test_a_full_queue_does_not_run_a_trigger_by_what_it_says(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queueing, "MAX_QUEUED", 0)
    for each in ("a", "b"):
        template = Template(steps=HOURLY.steps, triggers=("true",))
        house.app.templates.set(TemplateName(MODEL, each), template, "ann", None)
    triggers = Triggers(house.app.catalog, house.app.limits)
    turns = 0
    while triggers.turn():
        turns += 1
        assert turns < 50
    assert house.builds() == []
    assert len(house.skipped()) == 1  # of the first, for what was set after it


def test_triggers_are_bounded_together(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(templates, "MAX_TRIGGERS", 2)
    house.app.templates.set(NAME, replace(HOURLY, triggers=("false", "true")), "ann", None)
    with pytest.raises(ResourceExhausted):
        house.app.templates.set(TemplateName(MODEL, "b"), replace(HOURLY, triggers=("true",)), "ann", None)
    with pytest.raises(NotFound):
        house.app.templates.get(TemplateName(MODEL, "b"), 0)
