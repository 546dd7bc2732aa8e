"""Curves as pictures: well-formed XML with every line in it, whatever the numbers are."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from regsvc.cli.curves import curves_svg
from regsvc.content.comparison import Curve

FINITE = st.floats(allow_nan=False, allow_infinity=False)
STEPS = st.integers(-(1 << 63), (1 << 63) - 1)
CURVES = st.lists(st.tuples(STEPS, FINITE), max_size=8).map(
    lambda points: Curve(sorted(step for step, _ in points), [value for _, value in points])
)


@given(st.lists(CURVES, min_size=1, max_size=16))
@example([Curve([0], [1.7e308])])
@example([Curve([0, 1], [-1.7e308, 1.7e308])])
@example([Curve([-(1 << 63), (1 << 63) - 1], [5e-324, -5e-324])])
def test_every_picture_is_well_formed_and_its_numbers_are_finite(curves: list[Curve]) -> None:
    picture = curves_svg([f"team/<m>&:{place}" for place in range(len(curves))], curves, "a<b")
    drawn = [curve for curve in curves if curve.steps]
    if not drawn:
        assert picture == ""
        return
    root = ElementTree.fromstring(picture)
    assert len(root.findall("polyline")) == sum(len(curve.steps) > 1 for curve in drawn)
    assert len(root.findall("circle")) == sum(len(curve.steps) == 1 for curve in drawn)
    for line in root.findall("polyline"):
        for number in re.split("[ ,]", line.get("points", "")):
            assert math.isfinite(float(number))


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([0.0, 1.0], ["0", "0.5", "1"]),
        ([3.0, 3.0], ["2", "3", "4"]),
        ([0.0, 1e9], ["0", "5e8", "1e9"]),
    ],
)
def test_axes_have_round_numbers(values: list[float], ticks: list[str]) -> None:
    root = ElementTree.fromstring(curves_svg(["a"], [Curve([0, 1], values)], "m"))
    shown = [text.text for text in root.findall("text") if text.get("text-anchor") == "end"]
    assert shown == ticks


def test_sixteen_subjects_are_told_apart() -> None:
    root = ElementTree.fromstring(
        curves_svg([f"m:{n}" for n in range(16)], [Curve([0, 1], [n, n + 1]) for n in range(16)], "m")
    )
    styles = {(line.get("stroke"), line.get("stroke-dasharray")) for line in root.findall("polyline")}
    assert len(styles) == 16
