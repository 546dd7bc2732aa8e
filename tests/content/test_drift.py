"""Drift measures what their sources say, and profiles of strangers are read with care."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regsvc.content.drift import (
    compare,
    jensen_shannon,
    kolmogorov_smirnov,
    population_stability_index,
    verdict,
)
from regsvc.content.profile import Column, Profile, ProfileError, from_json, to_json

FINITE = st.floats(allow_nan=False, allow_infinity=False, width=32)
COLUMNS = st.builds(
    Column,
    name=st.text(max_size=20).filter(lambda text: text.isprintable()),
    type=st.sampled_from(["Int64", "String"]),
    count=st.integers(0, 1 << 40),
    nulls=st.integers(0, 9),
    distinct=st.none() | st.integers(0, 9),
    approximate=st.booleans(),
    min=st.none() | FINITE,
    mean=st.none() | FINITE,
    quantiles=st.dictionaries(st.sampled_from(["0.5", "0.95"]), FINITE),
    top=st.lists(st.tuples(st.text(max_size=5).filter(str.isprintable), st.integers(1, 9)), max_size=3).map(
        tuple
    ),
)


@given(st.lists(COLUMNS, max_size=5, unique_by=lambda column: column.name))
def test_a_profile_comes_back_from_its_json(columns: list[Column]) -> None:
    profile = Profile(7, columns)
    assert from_json(to_json(profile)) == profile


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[]",
        b"{",
        b"[" * 100_000,
        {"version": 2, "rows": 1, "columns": []},
        {"version": 1, "rows": -1, "columns": []},
        {"version": 1, "rows": 1, "columns": [1]},
        {"version": 1, "rows": 1, "columns": [{"name": "a"}]},
        {"version": 1, "rows": 1, "columns": [{"name": "a", "type": "x"}, {"name": "a", "type": "x"}]},
        {"version": 1, "rows": 1, "columns": [{"name": "a", "type": "x", "edges": [1], "bins": [1]}]},
        {"version": 1, "rows": 1, "columns": [{"name": "a", "type": "x", "edges": [2, 1], "bins": [1]}]},
        {"version": 1, "rows": 1, "columns": [{"name": "a", "type": "x", "mean": "high"}]},
        b'{"version": 1, "rows": 1, "columns": [{"name": "a", "type": "x", "mean": NaN}]}',
        {"version": 1, "rows": 1, "columns": [{"name": "a", "type": "x", "top": [["a"]]}]},
    ],
)
def test_what_is_no_profile_is_refused(document: object) -> None:
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    with pytest.raises(ProfileError):
        from_json(text)


def test_the_measures_are_those_of_worked_examples() -> None:
    before, after = [0.5, 0.5], [0.25, 0.75]
    assert population_stability_index(before, after) == pytest.approx(
        -0.25 * math.log(0.5) + 0.25 * math.log(1.5)
    )
    assert kolmogorov_smirnov(before, after) == 0.25
    assert jensen_shannon([1.0, 0.0], [0.0, 1.0]) == 1.0
    assert kolmogorov_smirnov([1.0, 0.0], [0.0, 1.0]) == 1.0


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=30))
def test_measures_are_symmetric_bounded_and_nothing_for_equals(pairs: list[tuple[int, int]]) -> None:
    left, right = ([pair[side] for pair in pairs] for side in (0, 1))
    p, q = ([value / (sum(each) or 1) for value in each] for each in (left, right))
    assert population_stability_index(p, q) == pytest.approx(population_stability_index(q, p), abs=1e-9)
    assert jensen_shannon(p, q) == pytest.approx(jensen_shannon(q, p), abs=1e-9)
    assert 0 <= jensen_shannon(p, q) <= 1
    assert population_stability_index(p, q) >= -1e-12
    for measure in (population_stability_index, kolmogorov_smirnov, jensen_shannon):
        assert measure(p, p) == 0


def column(name: str, low: float, high: float, bins: list[int], **more: object) -> Column:
    edges = [low + (high - low) * place / len(bins) for place in range(len(bins) + 1)]
    return Column(name, "Float64", sum(bins), edges=edges, bins=bins, **more)  # type: ignore[arg-type]


def test_schema_rows_and_drift_are_told_the_farthest_first() -> None:
    before = Profile(
        20, [column("same", 0, 1, [5, 5]), column("moved", 0, 1, [10, 0]), Column("gone", "String", 20)]
    )
    after = Profile(
        40,
        [
            column("same", 0, 1, [10, 10]),
            column("moved", 9, 10, [0, 10]),
            Column("new", "Int64", 40),
        ],
    )
    found = compare(before, after)
    assert (found.rows_before, found.rows_after) == (20, 40)
    assert (found.added, found.removed) == (["new"], ["gone"])
    assert [drift.name for drift in found.columns] == ["moved", "same"]
    assert found.columns[0].js == pytest.approx(1, abs=1e-6)
    assert found.columns[0].ks == pytest.approx(1, abs=1e-6)
    assert found.columns[1].js == pytest.approx(0, abs=1e-6)


def test_psi_is_put_in_a_word_by_the_usual_bounds() -> None:
    assert [verdict(psi) for psi in (0.0, 0.0999, 0.1, 0.2499, 0.25, 9.0, None)] == [
        *("none", "none", "moderate", "moderate", "large", "large", "")
    ]


def test_categories_are_compared_by_their_names_and_the_rest() -> None:
    before = Profile(10, [Column("c", "String", 10, top=[("a", 5), ("b", 5)])])
    after = Profile(10, [Column("c", "String", 10, top=[("a", 5), ("z", 3)])])
    [drift] = compare(before, after).columns
    assert list(drift.labels) == ["a", "b", "z", "(other)"]
    assert list(drift.before) == pytest.approx([0.5, 0.5, 0, 0])
    assert list(drift.after) == pytest.approx([0.5, 0, 0.3, 0.2])
    assert drift.ks is None


def test_a_span_beyond_a_double_is_compared() -> None:
    """A stranger's profile may have it; it failed a comparison inside."""
    largest = 1.7e308
    halves = Column("a", "Float64", 4, edges=(-largest, 0.0, largest), bins=(2, 2))
    right = Column("a", "Float64", 4, edges=(-largest, 0.0, largest), bins=(0, 4))
    [found] = compare(Profile(4, [halves]), Profile(4, [right])).columns
    assert found.ks == pytest.approx(0.5)
    assert (found.edges[0], found.edges[-1]) == (-largest, largest)
    assert sum(found.before) == pytest.approx(1)
