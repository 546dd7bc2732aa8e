"""Rollbacks by a simple model, clocks that go back, and gates within bounds."""

from __future__ import annotations

import itertools
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from regsvc.catalog import aliases, models, versions
from regsvc.catalog.aliases import AliasChange, Kind, Move
from regsvc.catalog.database import Catalog, Transaction
from regsvc.catalog.records import Metadata
from regsvc.catalog.requests import Request
from regsvc.catalog.versions import NewVersion
from regsvc.errors import InvalidArgument, NoHistory, NotFound, RegsvcError, VersionBad
from regsvc.refs import AliasName, ModelName, VersionRef
from regsvc.service.limits import Limits
from regsvc.service.promotions import Promotion, Promotions, Rollback
from regsvc.service.rollbacks import stack_of

MODEL = ModelName("team", "fraud")
PROD = AliasName(MODEL, "prod")
VERSIONS = 5
ANYHOW = Request("", "", b"")
NUMBERS = st.integers(1, VERSIONS)


def ref(number: int) -> VersionRef:
    return VersionRef(MODEL, number=number)


def filled(folder: Path) -> Catalog:
    """A catalog with versions 1 to 5 of one model."""
    catalog = Catalog(folder / "catalog.sqlite")

    def fill(tx: Transaction) -> None:
        model_id = models.ensure(tx, MODEL)
        for _ in range(VERSIONS):
            number = models.next_version(tx, model_id)
            versions.insert(tx, NewVersion(model_id, number, bytes(32), [], 0, None, Metadata()))

    catalog.write(fill)
    return catalog


def history(catalog: Catalog) -> list[AliasChange]:
    """Oldest first."""
    return catalog.read(lambda db: aliases.history(db, aliases.find(db, PROD), 1 << 60, 1 << 30))[::-1]


@pytest.fixture
def catalog(tmp_path: Path) -> Iterator[Catalog]:
    made = filled(tmp_path)
    yield made
    made.close()


class Walk(RuleBasedStateMachine):
    """An alias moves to and fro; what it can go back to is kept here as people would tell it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.catalog = filled(self.folder)
        self.promotions = Promotions(self.catalog, Limits())
        self.trail: list[int] = []
        """What it named before, and last what it names."""
        self.named: set[int] = set()
        self.bad: set[int] = set()
        self.moves = 0

    def teardown(self) -> None:
        self.catalog.close()
        shutil.rmtree(self.folder)

    @rule(number=NUMBERS)
    def promote(self, number: int) -> None:
        there = self.trail[-1:] == [number]
        asked = Promotion(PROD, ref(number), None, Move())
        if number in self.bad and not there:
            self.refused(VersionBad, lambda: self.promotions.promote(asked, ANYHOW))
            return
        found = self.promotions.promote(asked, ANYHOW)
        assert found.previous == (ref(self.trail[-1]) if self.trail else None)
        if not there:
            self.went(number, [*self.trail, number])

    @rule(mark=st.booleans(), dry=st.booleans())
    def rollback(self, mark: bool, dry: bool) -> None:
        asked = Rollback(PROD, None, None, Move("", "why"), mark_bad=mark, dry_run=dry)
        if not self.trail:
            self.refused(NotFound, lambda: self.promotions.rollback(asked, ANYHOW))
            return
        here = self.trail[-1]
        for place in range(len(self.trail) - 2, -1, -1):
            if self.trail[place] != here and self.trail[place] not in self.bad:
                break
        else:
            self.refused(NoHistory, lambda: self.promotions.rollback(asked, ANYHOW))
            return
        found = self.promotions.rollback(asked, ANYHOW)
        assert (found.previous, found.alias.version) == (ref(here), ref(self.trail[place]))
        between = [number for number in self.trail[place + 1 : -1][::-1] if number != here]
        assert found.skipped == [ref(number) for number in dict.fromkeys(between)]
        if not dry:
            self.went(self.trail[place], self.trail[: place + 1])
            self.bad |= {here} if mark else set()

    @rule(number=NUMBERS)
    def rollback_to(self, number: int) -> None:
        asked = Rollback(PROD, ref(number), None, Move())
        if not self.trail:
            error: type[RegsvcError] = NotFound
        elif number not in self.named:
            error = NoHistory
        elif number in self.bad and number != self.trail[-1]:
            error = VersionBad
        else:
            self.promotions.rollback(asked, ANYHOW)
            if number != self.trail[-1]:
                below = [place for place, each in enumerate(self.trail[:-1]) if each == number]
                self.went(number, self.trail[: below[-1] + 1] if below else [*self.trail, number])
            return
        self.refused(error, lambda: self.promotions.rollback(asked, ANYHOW))

    @rule(number=NUMBERS, bad=st.booleans())
    def mark(self, number: int, bad: bool) -> None:
        assert self.promotions.mark(ref(number), "why", "", ANYHOW, bad=bad).bad is bad
        self.bad = self.bad | {number} if bad else self.bad - {number}

    def went(self, number: int, trail: list[int]) -> None:
        self.trail, self.moves = trail, self.moves + 1
        self.named.add(number)

    def refused(self, error: type[RegsvcError], call: object) -> None:
        with pytest.raises(error):
            call()  # type: ignore[operator]

    @invariant()
    def it_names_the_end_of_the_trail_and_history_is_a_chain(self) -> None:
        if not self.trail:
            return
        changes = history(self.catalog)
        assert len(changes) == self.moves
        assert changes[-1].version == ref(self.trail[-1])
        assert all(later.previous == earlier.version for earlier, later in itertools.pairwise(changes))
        found, change = self.promotions.resolve(PROD, None)
        assert (found.ref, change) == (ref(self.trail[-1]), changes[-1])


TestWalk = Walk.TestCase
TestWalk.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)


def test_a_clock_that_was_set_back_does_not_turn_history_round(catalog: Catalog) -> None:
    promotions, start, hour = Promotions(catalog, Limits()), time.time_ns() // 1000, 3_600_000_000

    def move(number: int, at: int) -> None:
        def point(tx: Transaction) -> None:
            tx.now = at
            aliases.point(tx, PROD, versions.resolve(tx, ref(number)), Move())

        catalog.write(point)

    move(1, start)
    move(2, start + hour // 2)  # the clock is an hour fast, then it is right again
    move(3, start - hour // 2)
    changes = history(catalog)
    assert [change.at for change in changes] == [start, start + hour // 2, start + hour // 2]
    assert promotions.resolve(PROD, None)[0].number == 3
    assert promotions.resolve(PROD, start + hour // 2)[0].number == 3  # the last of one moment
    assert promotions.resolve(PROD, start + hour // 2 - 1)[0].number == 1
    with pytest.raises(InvalidArgument):
        promotions.resolve(PROD, start + hour)
    with pytest.raises(NotFound):
        promotions.resolve(PROD, start - 1)


def test_a_rollback_looks_through_a_long_history_quickly() -> None:
    moves = [(number % 1000, Kind.SET) for number in range(100_000)]
    moves += [(998 - number % 900, Kind.ROLLBACK) for number in range(900)]
    begin = time.process_time()
    assert stack_of(moves)[-1] == 99
    assert time.process_time() - begin < 2.0
