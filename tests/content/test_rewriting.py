"""Expressions written out again mean the same, but for divisions by zero."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cel_expr_python import cel
from cel_expr_python.ext import ext_bindings
from hypothesis import given, reject
from hypothesis import strategies as st

from regsvc.content.expression import Node, mapped, read_checked
from regsvc.content.rewriting import without_infinities

DYN = cel.Type.DYN
ENVIRONMENT = cel.NewEnv(
    variables=dict.fromkeys(["a", "b", "c", "divisor", "l", "s"], DYN),
    extensions=[ext_bindings.ExtBindings()],
)
DATA = {"a": 2.0, "b": 0.0, "c": 3, "divisor": 0.5, "l": [1.0, 0.0, 2.0], "s": {"k": 1.0, "a/b": 2.0}}


def tree(text: str) -> Node:
    """Without positions."""
    node = read_checked(ENVIRONMENT.compile(text).serialize())
    return mapped(node, lambda each: replace(each, position=0))


def evaluated(text: str) -> object:
    """True, False, or what is neither."""
    value = ENVIRONMENT.compile(text).eval(data=DATA).value()
    return value if isinstance(value, bool) else "error"


numbers = st.sampled_from(
    ["a", "b", "c", "divisor", "1.5", "2", "-3", "s.k", 's["a/b"]', "double(c)", "-a", "0.0"]
)
arithmetic = st.recursive(
    numbers,
    lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda each: f"({' '.join(each)})"),
    max_leaves=5,
)
conditions = st.recursive(
    st.tuples(arithmetic, st.sampled_from(["<", "<=", ">", ">=", "==", "!="]), arithmetic).map(" ".join)
    | st.sampled_from(
        [
            "has(s.k)",
            "has(s.x)",
            '"a/b" in s',
            "l.exists(e, e > a)",
            "l.all(e, e >= b || e in [1, 2])",
            "true",
        ]
    ),
    lambda inner: (
        st.tuples(inner, st.sampled_from(["&&", "||"]), inner).map(lambda each: f"({' '.join(each)})")
        | inner.map(lambda each: f"!({each})")
    ),
    max_leaves=6,
)


@given(conditions)
def test_what_divides_nothing_is_the_same_tree(text: str) -> None:
    try:
        read = tree(text)
    except RuntimeError:  # literals of two types do not compare
        reject()
    written = without_infinities(read)
    assert evaluated(written) == evaluated(text)
    assert flat(written) == flat(text)


def flat(text: str) -> str:
    """The tree, with chains of && and || as one: the parser balances them."""
    return repr(tree(without_infinities(tree(text))))


@pytest.mark.parametrize(
    "text",
    [
        "a - (a - a) - a == -2.0",
        "2 * (3 + 4) % 5 == 4",
        "!(a > 1.0 && b > 1.0)",
        '"it\'s \\"a\\"\\n\\u00e9" == "x" || 1 in [1, 2]',
        'timestamp("2026-01-31T12:00:00.5Z") - duration("1h30m1.25s") > timestamp("2025-01-01T00:00:00+02:00")',
        'duration("-1.5s") < duration("0s") && b"\\x00a" == b"\\000a" && 7u == 7u && null == null',
        "1e300 > 1e-5 && 1e999 > 1.0 && -(-1) == 1",
        '"ab".startsWith("a") && "ab".contains("b") && size("ab") == 2',
    ],
)
def test_every_literal_and_operator_is_written_as_it_was(text: str) -> None:
    assert evaluated(text) in (True, False)
    assert evaluated(without_infinities(tree(text))) == evaluated(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a / 2.0 == 1.0", True),
        ("a / divisor == 4.0", True),  # a variable of that name stays what it is
        ("12.0 / a / 3.0 == 2.0", True),
        ("12.0 / (a / divisor) == 3.0", True),
        ("a / (divisor / (a / 4.0)) == 2.0", True),
        ("7 / c == 2 && 7 / 2 == 3", True),
        ("a / b > 1.0", "error"),
        ("-a / b < 1.0", "error"),
        ("b / b == 1.0 || true", True),
        ("a / 0.0 > 1.0", "error"),
        ("a / -0.0 > 1.0", "error"),
        ("1 / 0 > 1", "error"),
        ("1 / (c - 3) > 1", "error"),
        ("c / (size(l) - 3) > 1", "error"),
        ("l.exists(e, a / e > 100.0)", "error"),
        ("l.exists(e, a / e > 1.0)", True),
        ("b == 0.0 || a / b > 1.0", True),
        ("has(s.x) && a / b > 1.0", False),
    ],
)
def test_a_division_by_zero_is_an_error_and_others_are_not(text: str, value: object) -> None:
    assert evaluated(without_infinities(tree(text))) == value
