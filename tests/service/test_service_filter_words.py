"""Filters, gates and filters of events that are wrong are answered in plain words, with what may be meant."""

from __future__ import annotations

import pytest

from regsvc.catalog.filters import VERSIONS
from regsvc.errors import FilterInvalid
from regsvc.service.eventfilter import EventFilter
from regsvc.service.gates import read_gate
from regsvc.service.limits import Limits
from regsvc.service.search import compiled

LIMITS = Limits()


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("metrics.f1 = 0.7", 12, "did you mean '=='?"),
        ("metrics.f1 => 0.7", 12, "did you mean '>='?"),
        ("metrics.f1 ≥ 0.7", 12, "did you mean '>='?"),
        ("metrics.f1 <> 0.7", 13, "did you mean '!='?"),
        ("bad & true", 5, "did you mean '&&'?"),
        ("metrics.f1 > 0.7 and bad", 18, "did you mean '&&'?"),
        ("metrics.f1 > 0.7 OR bad", 18, "did you mean '||'?"),
        ("not bad", 5, "did you mean '!'?"),
        ("not (bad)", 5, "did you mean '!'?"),
        ('framework is "x"', 11, "did you mean '=='?"),
        ("framework == “x”", 14, "did you mean '\"'?"),
        ("prod in aliases", 1, 'did you mean "prod"?'),
        ("tags.stage == eval", 15, 'did you mean "eval"?'),
        ("metrics.eval/f1 > 0.7", 14, 'did you mean metrics["eval/f1"]?'),
        ("metrics.val-top-5 > 0.7", 13, 'did you mean metrics["val-top-5"]?'),
        ("metric.f1 > 0.7", 7, "did you mean metrics.f1?"),
        ("metrics.f1 > 0,7", 15, "decimals have a point"),
        ("(bad", 5, "')' is missing at the end"),
        ("bad)", 4, "')' was not expected here"),
        ('name == "x', 9, "the string that begins here is not closed"),
        ("nothing(name)", 8, "there is no such function"),
        ('aliases == "prod"', 9, '"x" in LIST'),
        ('created > "2026"', 9, 'timestamp("2026-01-31T12:00:00Z")'),
        ('"and = or" == name and bad', 20, "did you mean '&&'?"),
    ],
)
def test_a_mistake_is_named_where_it_is(text: str, column: int, said: str) -> None:
    with pytest.raises(FilterInvalid) as error:
        compiled(VERSIONS, text, LIMITS)
    message = str(error.value)
    assert message.startswith(f"line 1, column {column}: ")
    assert said in message
    for word in (
        "container",
        "Syntax error",
        "expecting",
        "EOF",
        "overload",
        "undeclared",
        "IDENTIFIER",
        "_==",
    ):
        assert word not in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("metrics.f1 > 0.5", "did you mean version.metrics.f1?"),
        ("f1 > 0.5", "did you mean version.metrics.f1?"),
        ("metric.f1 > 0.5", "did you mean version.metrics.f1?"),
        ("versoin.metrics.f1 > 0.5", "did you mean version.metrics.f1?"),
        ("version.metrics.f1 = 0.5", "did you mean '=='?"),
    ],
)
def test_a_gate_says_what_its_names_begin_with(text: str, said: str) -> None:
    with pytest.raises(FilterInvalid, match=said.replace("?", r"\?")):
        read_gate(text, LIMITS)


def test_a_filter_of_events_knows_its_own_fields() -> None:
    with pytest.raises(FilterInvalid, match=r"did you mean kind\?"):
        EventFilter('kinds == "x"', LIMITS)
