"""Pictures of drift are well-formed, show both sides, and stay readable whatever stands in the data."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regsvc.cli.pictures import AFTER, BEFORE, bars, drift_svg

SVG = "{http://www.w3.org/2000/svg}"
EVEN = [0.25] * 4
UP = [0.1, 0.2, 0.3, 0.4]


def texts(picture: str) -> list[str]:
    """What stands in it; fails where it is no XML."""
    return [each.text or "" for each in ElementTree.fromstring(picture).iter(f"{SVG}text")]


def test_histograms_lie_over_each_other_with_legend_and_axis() -> None:
    picture = drift_svg(EVEN, UP, [0, 1, 2, 3, 4], [])
    assert texts(picture) == ["before", "after", "40 %", "0", "2", "4"]
    root = ElementTree.fromstring(picture)
    outlines = [each for each in root.iter(f"{SVG}path") if each.get("fill")]
    assert [each.get("fill") for each in outlines] == [BEFORE, AFTER]
    heights = [float(y) for y in re.findall(r"V([\d.]+)H", outlines[1].get("d") or "")]
    assert heights == sorted(heights, reverse=True), "larger shares stand higher"
    assert (root.get("width"), root.get("height")) == ("340", "120")


def test_bars_stand_beside_each_other_and_the_rest_is_one() -> None:
    labels = ["de", "fr", "us", "(other)"]
    assert texts(drift_svg(EVEN, UP, [], labels))[2:] == [
        *("us", "25 % → 30 %", "de", "25 % → 10 %"),
        *("fr", "25 % → 20 %", "(other)", "25 % → 40 %"),
    ]
    few = texts(bars([0.01] * 100, [0.01] * 100, [f"v{number}" for number in range(100)], height=60))
    assert few[2:] == ["v0", "1.0 % → 1.0 %", "(other)", "99 % → 99 %"]


@pytest.mark.parametrize(
    ("before", "after", "edges", "labels"),
    [([], [], [], []), ([0.0], [0.0], [0, 1], []), ([0.0], [0.0], [], ["x"])],
)
def test_without_values_that_is_said(
    before: Sequence[float], after: Sequence[float], edges: Sequence[float], labels: Sequence[str]
) -> None:
    assert texts(drift_svg(before, after, edges, labels)) == ["no values"]


def test_one_value_is_one_bar_and_near_ones_are_told_apart() -> None:
    assert texts(drift_svg([1, 0], [1, 0], [5, 5, 5], []))[-2:] == ["100 %", "5"]
    axis = texts(drift_svg([1, 0], [0, 1], [1767225600000000, 1767225600500000, 1767225601000000], []))[3:]
    assert len(set(axis)) == 3


def test_labels_cannot_become_markup_and_are_cut() -> None:
    label = "<script>alert('x')</script>" * 20 + "\x00\u202e"
    picture = drift_svg([1.0], [1.0], [], [label])
    assert "<script" not in picture
    assert max(map(len, texts(picture))) < 25
    with pytest.raises(ValueError, match="3 edges of 3 bins"):
        drift_svg([1.0, 0, 0], [1.0, 0, 0], [1, 2, 3], [])


@given(
    st.lists(st.floats(-1.7e308, 1.7e308), min_size=2, max_size=30).map(sorted),
    st.data(),
    st.text(max_size=30),
)
def test_numbers_of_any_size_and_any_text_give_a_picture(
    edges: list[float], data: st.DataObject, label: str
) -> None:
    shares = st.lists(st.floats(0, 1), min_size=len(edges) - 1, max_size=len(edges) - 1)
    before, after = data.draw(shares), data.draw(shares)
    picture = drift_svg(before, after, edges, [])
    assert "nan" not in picture
    assert "inf" not in picture
    texts(picture)
    texts(drift_svg(before, after, [], [label] * len(before)))


def test_times_have_dates_on_their_axis() -> None:
    day = 86_400_000_000
    edges = [20_454 * day, 20_469 * day, 20_484 * day]
    kind = "Datetime(time_unit='us', time_zone=None)"
    assert texts(drift_svg([1, 0], [0, 1], edges, [], kind=kind))[-3:] == [
        "2026-01-01",
        "2026-01-16",
        "2026-01-31",
    ]
    hours = [20_454 * day, 20_454 * day + day // 2]
    assert texts(drift_svg([1], [1], hours, [], kind=kind))[-1] == "01-01 12:00"
    assert texts(drift_svg([1], [1], [20_454, 20_456], [], kind="Date"))[-1] == "2026-01-03"
    assert texts(drift_svg([1], [1], [0, 1e300], [], kind=kind))[-1] == "1e+300"
